"""The gallery: every kind of page that the program writes, as it wrote one, and the page of the site with them.

    python website/gallery.py [--pictures] [NAME ...]

writes the pages into `website/made/`, from where `mkdocs build` takes them (`make gallery` does both); with
`--pictures` Chromium takes the pictures of `docs/gallery/` anew. All is made of cohorts that the package draws.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MADE = ROOT / "website" / "made"
PICTURES = ROOT / "docs" / "gallery"
WIDE, HIGH, SHARP = 1100, 780, 0.75  # of the window, and dots a pixel of the picture
COLOURS = 128
SCHEMES = {"light": "", "dark": "-dark"}  # the colour scheme of a picture, and how its name ends


@dataclass(frozen=True)
class Shown:
    """One page: its maker is the function of its name in `gallery_pages`, or in `gallery_service` where it is `served`.

    Attributes:
        name: of its files.
        template: what writes it, below `src/chiasm/`.
        title: what it is called on the site.
        words: one sentence of what is seen.
        how: the command that makes one of your own.
        read: the page of the site that says how to read it.
        served: the page is one of a running service, of which there is a picture alone.
    """

    name: str
    template: str
    title: str
    words: str
    how: str
    read: str
    served: bool = False

    def make(self, folder: Path) -> Path:
        """Write the page into an empty folder."""
        maker = getattr(importlib.import_module("gallery_pages"), self.name.replace("-", "_"))
        return Path(maker(folder))


TRIAL, EVALUATE = "report/page.html.j2", "chiasm evaluate cohort.toml --out run"
GROUPS: dict[str, tuple[Shown, ...]] = {
    "Whether combining pays": (
        Shown("pays", TRIAL, "Pays", "1,200 patients, half of the signal in each modality: all three lower ends lie "
              "above zero, and the page says by how much.", EVALUATE, "verdict.md"),
        Shown("does-not-pay", TRIAL, "Does not pay", "2,000 patients whose second modality is the first with noise: a "
              "gain of the margin is ruled out, although both modalities predict well alone.", EVALUATE, "verdict.md"),
        Shown("more-patients", TRIAL, "Predicts more patients", "The same, with 40 % of the rows of each modality "
              "missing: the second serves those who lack the first, and that is all it does.", EVALUATE, "verdict.md"),
        Shown("cannot-tell", TRIAL, "Cannot tell", "Eighty patients of the first cohort: the page says that it cannot "
              "know, why, and how many patients would settle it.", EVALUATE, "verdict.md"),
        Shown("survival", TRIAL, "Survival", "Times and events: curves of the groups at risk, calibration at horizons, "
              "net benefit, and each pattern of what a patient has.", EVALUATE, "metrics.md"),
    ),
    "Whether it holds": (
        Shown("validation", "report/validation.html.j2", "External validation", "A stored model meets patients of "
              "another hospital: each figure there beside the one at home, with calibration and drift.",
              "chiasm validate model other.toml --out validation", "validation.md"),
        Shown("monitoring", "report/monitoring.html.j2", "Monitoring", "The same model over six batches: what drifts "
              "in the inputs, in the predictions, and in how well they fit.",
              "chiasm monitor model new.toml --out monitor.html", "upkeep.md"),
        Shown("stress", "report/stress.html.j2", "Stress", "What a model loses as modalities go missing, units are "
              "mixed up and values grow noisy, step by step.",
              "chiasm stress cohort.toml --page stress.html", "validation.md"),
        Shown("bench", "report/bench.html.j2", "A public benchmark", "A model that always answers A, held to four "
              "hundred made questions: the page says that it knows nothing.",
              "chiasm bench medqa --data medqa --model NAME --out answers", "bench.md"),
    ),
    "What a representation is worth": (
        Shown("embedding", "report/embedding.html.j2", "Embeddings", "Vectors of chance beside the encoder of the "
              "manifest: how much of the outcome each holds, at every number of labels.",
              "chiasm embed cohort.toml --page embed.html", "embeddings.md"),
        Shown("pretraining", "report/pretraining.html.j2", "Pretraining on sequences", "A network learns made DNA: its "
              "held-out perplexity, beside those who only count letters.",
              "chiasm pretrain cohort.toml --out encoder --page pretrain.html", "pretraining.md"),
        Shown("raster-pretraining", "report/raster_pretraining.html.j2", "Pretraining on images", "Masked patches of "
              "sixty phantoms: curves, and the signs by which a collapse would be seen.",
              "chiasm pretrain cohort.toml --out encoder --method mae --page films.html", "pretraining.md"),
        Shown("states", "report/states.html.j2", "Hidden states", "Spikes of three neurons that change between two "
              "states: when, and who excites whom in each.",
              "chiasm states model new.toml --out states.csv --page states.html", "states.md"),
    ),
    "What is made, and says so": (
        Shown("generation", "report/generation.html.j2", "Patients who never lived", "A synthetic cohort with what it "
              "gives away: nearest neighbours, membership, and models trained on it.",
              "chiasm generate cohort.toml --patients 500 --out nobody", "generation.md"),
        Shown("enhanced", "report/enhanced.html.j2", "A scan on a finer grid", "Before, after, their difference, and a "
              "map of where not to believe it.",
              "chiasm enhance scan.nii.gz --scale 2 --out fine.nii.gz --page fine.html", "generation.md"),
        Shown("twins", "report/twins.html.j2", "Controllers of a twin", "A small network gives doses to simulated "
              "patients, held to a PID controller and to the best constant dose.",
              "chiasm control twin.toml --out study", "twins.md"),
    ),
    "The service": (
        Shown("service", "serving/page/index.html", "One patient", "What is known goes in; the prediction, how sure it "
              "is, and what was missing come out.", "chiasm serve model", "serving.md", served=True),
        Shown("outline", "serving/outline/outline.html", "Outlines", "A model draws a label map in an image, and a "
              "click, brush and eraser correct it.", "chiasm serve outliner", "segmentation.md", served=True),
        Shown("talk", "serving/talk/talk.html", "A synthetic patient", "Take a history of a patient who is played by a "
              "script, in writing or aloud, and see afterwards what was not asked.",
              "chiasm serve model --talk example", "language.md", served=True),
    ),
}  # fmt: skip
ALL = {own.name: own for group in GROUPS.values() for own in group}
PAGE = """# Gallery of reports

Every kind of page that the program writes, as it wrote it. Nobody's data is in them: each is made of a cohort that the
package draws, by `website/gallery_pages.py`. A report is one file that needs nothing else, in light and in dark, on a
screen or printed.{full}

{groups}
"""
ASK = " The pages in full come with `make gallery`, which makes them anew and then this site."


def page(made: Iterable[str] = ()) -> str:
    """Markdown of the gallery; each picture leads to its page in full where that was `made`."""
    there = set(made)
    groups = []
    for title, group in GROUPS.items():
        shown = "\n\n".join(_figure(own, own.name in there) for own in group)
        groups.append(f'## {title}\n\n<div class="gallery" markdown>\n\n{shown}\n\n</div>')
    return PAGE.format(full="" if there else ASK, groups="\n\n".join(groups))


def _figure(own: Shown, there: bool) -> str:
    told = f'width="{round(WIDE * SHARP)}" height="{round(HIGH * SHARP)}" loading="lazy"'
    told += f' alt="The top of the page: {own.title.lower()}"'
    picture = "".join(
        f'<img class="in-{scheme}" src="gallery/{own.name}{end}.png" {told}>' for scheme, end in SCHEMES.items()
    )
    picture = f'<a href="gallery/{own.name}.html">{picture}</a>' if there else picture
    below = f"`{own.how}` · [how to read it]({own.read})"
    return f"<div markdown>\n\n### {own.title}\n\n{own.words}\n\n{picture}\n\n{below}\n\n</div>"


def main(arguments: list[str]) -> None:
    """Write these pages, else all of them."""
    pictures = "--pictures" in arguments
    names = [own for own in arguments if own != "--pictures"] or list(ALL)
    unknown = [own for own in names if own not in ALL]
    if unknown:
        sys.exit(f"the gallery has no '{unknown[0]}': there are {', '.join(ALL)}")
    MADE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.environ["CHIASM_STORE"] = str(Path(place) / "store")
        for name in names:
            (folder := Path(place) / name).mkdir()
            if not ALL[name].served:
                (MADE / f"{name}.html").write_bytes(ALL[name].make(folder).read_bytes())
                print(name, flush=True)
        if pictures:
            _take(names, Path(place))


def _take(names: list[str], place: Path) -> None:
    """The tops of these pages as pictures of few colours."""
    import gallery_service
    from PIL import Image
    from playwright.sync_api import sync_playwright

    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as own:
        browser = own.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        for name in names:
            for scheme, end in SCHEMES.items():
                context: Any = browser.new_context(
                    viewport={"width": WIDE, "height": HIGH}, device_scale_factor=SHARP, color_scheme=scheme
                )
                file, window = PICTURES / f"{name}{end}.png", context.new_page()
                if ALL[name].served:
                    (own_place := place / f"{name}{end}").mkdir(exist_ok=True)
                    getattr(gallery_service, name)(own_place, window, partial(window.screenshot, path=file))
                else:
                    window.goto((MADE / f"{name}.html").as_uri())
                    window.screenshot(path=file)
                few = Image.open(file).convert("RGB").quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
                few.save(file, optimize=True)
                print(file.name, flush=True)
        browser.close()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "website"))
    main(sys.argv[1:])
