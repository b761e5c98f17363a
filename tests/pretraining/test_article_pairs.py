"""Archives to pairs to shards: what is kept, what is left out and why, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from made_articles import BY, archive, article, figure, folder_of_articles, picture
from PIL import Image

import chiasm
from chiasm.pretraining.articles import tar
from chiasm.pretraining.articles.concepts import Balance, concepts_of
from chiasm.pretraining.articles.shards import changed, open_shards
from chiasm.pretraining.articles.sources import articles_in, by_stem, file_of
from chiasm.pretraining.articles.stream import Order, stream
from chiasm.readers.reading import ReadError
from command_line import Run


def test_pairs_of_an_archive_and_of_files_that_lie_open(tmp_path: Path) -> None:
    body = figure("f1", "A lung.") + figure("f2", "A liver.", "sub/f2.jpg") + figure("f3", "The lung again.")
    files = {"a.nxml": article(body), "f1.png": picture(1), "f1.gif": picture(9, "GIF"), "f2.jpg": picture(2, "JPEG")}
    packed = archive(tmp_path / "PMC1.tar.gz", {**files, "f3.tif": picture(1, "TIFF")})
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = chiasm.articles(packed, tmp_path / "shards")
    table = found.table.set_index("figure")
    assert list(table["kept"]) == [True, True, False]
    assert list(table["file"]) == ["f1.png", "f2.jpg", "f3.tif"]
    assert found.left_out == {"the same picture is there already": 1}
    first, second = stream(open_shards(tmp_path / "shards"), Order())
    assert first.key == "PMC1_f1" and sorted(first.parts) == ["json", "png", "txt"]
    assert (first.parts["png"], first.parts["txt"]) == (picture(1), b"A lung.")
    assert second.parts["jpg"] == files["f2.jpg"]
    told = json.loads(second.parts["json"])
    assert (told["article"], told["licence"], told["width"], told["height"]) == ("PMC1", "CC-BY-4.0", 13, 12)
    plain = chiasm.articles(tmp_path / "a.nxml")
    assert list(plain.table["why"]) == ["", "", "its picture is not there"]


def test_the_same_articles_are_the_same_bytes_and_what_tar_reads(tmp_path: Path) -> None:
    folder = folder_of_articles(tmp_path / "in", 7)
    for name in ("a", "b"):
        chiasm.articles(folder, tmp_path / name, per_shard=3)
    for own in sorted((tmp_path / "a").iterdir()):
        assert own.read_bytes() == (tmp_path / "b" / own.name).read_bytes()
    shards = open_shards(tmp_path / "a")
    assert [own.samples for own in shards.shards] == [3, 3, 1] and not changed(shards)
    with tarfile.open(tmp_path / "a" / "articles-000001.tar") as known:
        names = known.getnames()
        assert names[:3] == ["PMC000003_f0.png", "PMC000003_f0.txt", "PMC000003_f0.json"]
        held = [known.extractfile(name).read() for name in names]  # type: ignore[union-attr]
    own = [data for sample in list(stream(shards, Order()))[3:6] for data in sample.parts.values()]
    assert own == held


def test_webdataset_reads_the_shards_as_we_do(tmp_path: Path) -> None:
    iterators = pytest.importorskip("webdataset.tariterators", reason="webdataset is not here")
    chiasm.articles(folder_of_articles(tmp_path / "in", 5), tmp_path / "out", per_shard=2)
    known = []
    for shard in sorted((tmp_path / "out").glob("*.tar")):
        with shard.open("rb") as file:
            expanded = iterators.tar_file_expander([{"url": shard.name, "stream": file}])
            known += [(own["__key__"], own["png"], own["txt"]) for own in iterators.group_by_keys(expanded)]
    found = stream(open_shards(tmp_path / "out"), Order())
    assert [(own.key, own.parts["png"], own.parts["txt"]) for own in found] == known and len(known) == 5


def test_what_is_left_out_is_counted_by_its_reason(tmp_path: Path) -> None:
    closed = '<license xlink:href="https://creativecommons.org/licenses/by-nc/4.0/"/>'
    body = (
        figure("f1", "A lung.") + figure("f2", "") + figure("f3", "A tree.") + figure("f4", "A lung.", "nowhere")
        + figure("f5", "A lung.", permissions=f"<permissions>{closed}</permissions>") + figure("f6", "Heart and lung.")
        + figure("f7", "A lung, reprinted with permission.") + figure("f8", "A lung.") + figure("f9", "A lung.")
    )  # fmt: skip
    files = {f"f{k}.png": picture(k) for k in (1, 2, 3, 5, 6, 7)} | {"f8.png": picture(8)[:200], "f9.png": b""}
    archive(tmp_path / "a.tar.gz", {"a.nxml": article(body, "1"), **files})
    archive(tmp_path / "b.tar.gz", {"b.nxml": article(figure("x", "A lung."), "2", licence=""), "x.png": picture(20)})
    archive(tmp_path / "c.tar.gz", {"c.nxml": article("", "3")})
    archive(tmp_path / "d.tar.gz", {"again.nxml": article(body, "1"), "broken.nxml": article(body)[:-50]})
    found = chiasm.articles(tmp_path, concepts=["lung", "heart\tcardiac"], most=1)
    assert dict(zip(found.table["figure"], found.table["why"], strict=True)) == {
        "f1": "", "f2": "it has no caption", "f3": "names no concept of the list", "f4": "its picture is not there",
        "f5": "licence CC-BY-NC", "f6": "", "f7": "its caption names a permission of others",
        "f8": "its picture is not read: the file is damaged, and is not read as a picture",
        "f9": "its picture is not read: the picture is empty", "x": "licence none stated",
    }  # fmt: skip
    assert (found.articles, found.without_figures, found.repeated) == (3, 1, 1)
    assert [problem.path for problem in found.problems] == ["d.tar.gz:broken.nxml"]
    assert found.concepts is not None and found.concepts.to_dict("list") == {
        "concept": ["lung", "heart"], "named": [2, 1], "kept": [1, 1]
    }  # fmt: skip
    assert sum(found.left_out.values()) == 8
    assert int(chiasm.articles(tmp_path, licences=["any"]).table["kept"].sum()) == 6
    assert int(chiasm.articles(tmp_path, licences=["CC-BY-NC"]).table["kept"].sum()) == 1


def test_pictures_of_nothing_and_captions_that_repeat_are_said(tmp_path: Path) -> None:
    held = io.BytesIO()
    Image.new("RGB", (20, 20), (90, 90, 90)).save(held, "PNG")
    files = {"a.png": held.getvalue(), "b.png": picture(1, side=4), "c.png": picture(2), "d.png": picture(3)}
    body = "".join(figure(name[0], "A lung.") for name in files)
    found = chiasm.articles(archive(tmp_path / "a.tar.gz", {"a.nxml": article(body), **files}))
    assert list(found.table["why"])[:2] == [
        "its picture is not read: the picture has one colour",
        "its picture is not read: the picture has fewer than 8 pixels a side",
    ]
    assert found.notes == ("1 pair kept with the caption of another, which a contrast takes for unlike",)


def test_concepts_are_whole_words_and_none_crowds_out_the_rare() -> None:
    concepts = concepts_of(["T cell\tT lymphocyte", "cell  # any", "", "X-ray"])
    assert concepts.named_in("T-cells and one t CELL in an x ray") == ("T cell", "cell", "X-ray")
    assert concepts.named_in("Excellent T-lymphocyte") == ("T cell",)
    assert concepts.named_in("") == ()
    balance = Balance(most=2)
    filed = [
        balance.file(own) for own in (("cell",), ("cell", "X-ray"), ("cell", "X-ray"), ("cell",), ("X-ray", "cell"))
    ]
    assert filed == ["cell", "X-ray", "cell", None, "X-ray"]
    assert balance.named == {"cell": 5, "X-ray": 3} and balance.filed == {"cell": 2, "X-ray": 2}
    for lines, words in ((["a", "a"], "again"), (["a\tb", "b"], "name of 'a' too"), (["-"], "no name"), ([], "empty")):
        with pytest.raises(ReadError, match=words):
            concepts_of(lines)


def test_a_graphic_means_the_best_of_its_files() -> None:
    assert file_of("a.b-g1", by_stem(["a.b-g1.gif", "a.b-g1.jpg", "a.b.png"])) == "a.b-g1.jpg"
    assert file_of("x/y.TIF", by_stem(["y.TIF", "y.jpg", "y.tif"])) == "y.TIF"
    assert file_of("y", by_stem(["z.jpg", "y.pdf"])) is None
    assert file_of("y.pdf", by_stem(["y.pdf", "y.pdf.JPG"])) == "y.pdf.JPG"


def test_figures_of_one_name_have_a_key_each(tmp_path: Path) -> None:
    body = "".join(figure(own, "A lung.", "f") for own in ("f", "f", "f-2", "f", "f-2"))
    found = chiasm.articles(archive(tmp_path / "a.tar.gz", {"a.nxml": article(body), "f.png": picture(1)}))
    assert list(found.table["key"]) == ["PMC1_f", "PMC1_f-2", "PMC1_f-2-2", "PMC1_f-3", "PMC1_f-2-3"]


def packed(*members: tuple[str, bytes, bytes]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT) as file:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/passwd"
            file.addfile(info, io.BytesIO(data))
    return held.getvalue()


SOUND = article(figure("f", "A lung."))
HOSTILE = {
    "up": (packed(("../a.nxml", tarfile.REGTYPE, SOUND)), "leads out of it"),
    "absolute": (packed(("/a.nxml", tarfile.REGTYPE, SOUND)), "leads out of it"),
    "no tar": (b"x" * 2000, "no tar file"),
    "cut": (packed(("a.nxml", tarfile.REGTYPE, SOUND))[:700], "cut off"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_said(tmp_path: Path, name: str) -> None:
    data, words = HOSTILE[name]
    for ending, own in ((".tar", data), (".tar.gz", gzip.compress(data))):
        (tmp_path / f"a{ending}").write_bytes(own)
        (found,) = articles_in([tmp_path / f"a{ending}"])
        assert found.article is None and found.fault is not None and words in found.fault.what
    with pytest.raises(chiasm.CohortError, match=words):
        chiasm.articles(tmp_path / "a.tar.gz")


def test_a_folder_that_is_there_stays_where_nothing_can_be_read_or_the_articles_lie_in_it(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for place in (folder, out):
        place.mkdir()
    (folder / "a.nxml").write_bytes(SOUND[:-5])
    (out / "kept").write_text("so")
    with pytest.raises(chiasm.CohortError, match="cut off"):
        chiasm.articles(folder, out, force=True)
    with pytest.raises(chiasm.CohortError, match="cut off"):
        chiasm.articles(folder, tmp_path / "new", cohort=tmp_path / "cohort")
    for place in (folder, tmp_path):
        with pytest.raises(ValueError, match="the articles lie in the folder"):
            chiasm.articles(folder / "a.nxml", place, force=True)
    with pytest.raises(ValueError, match="two folders"):
        chiasm.articles(folder, out, cohort=out, force=True)
    assert sorted(own.name for own in tmp_path.rglob("*")) == ["a.nxml", "in", "kept", "out"]


def test_links_are_passed_by_and_long_names_are_read(tmp_path: Path) -> None:
    name = f"{'n' * 150}.nxml"
    data = packed(("a.nxml", tarfile.SYMTYPE, b""), ("b.nxml", tarfile.LNKTYPE, b""), (name, tarfile.REGTYPE, SOUND))
    (tmp_path / "a.tar").write_bytes(data)
    (found,) = articles_in([tmp_path / "a.tar"])
    assert found.article is not None and found.name == f"a.tar:{name}"


def test_what_stands_before_a_cut_counts_and_a_bomb_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed(("a/a.nxml", tarfile.REGTYPE, SOUND), ("b/b.nxml", tarfile.REGTYPE, SOUND))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(data[: len(data) // 2 - 3000])[:-20])
    found = list(articles_in([tmp_path / "a.tar.gz"]))
    assert [own.fault is None for own in found] == [True, False]
    monkeypatch.setattr("chiasm.pretraining.articles.sources.BOMB_BYTES", 5000)
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(packed(("a.bin", tarfile.REGTYPE, bytes(1 << 22)))))
    (bomb,) = articles_in([tmp_path / "b.tar.gz"])
    assert bomb.fault is not None and "200 times" in bomb.fault.what
    monkeypatch.setattr(tar, "HEADER_BYTES", 100)
    (tmp_path / "c.tar").write_bytes(packed(("n" * 300, tarfile.REGTYPE, SOUND)))
    (long,) = articles_in([tmp_path / "c.tar"])
    assert long.fault is not None and "header" in long.fault.what


def test_the_command_writes_shards_rows_and_a_cohort(tmp_path: Path, run: Run) -> None:
    folder = folder_of_articles(tmp_path / "in", 4, figures=2)
    (tmp_path / "concepts.txt").write_text("lung\nliver\thepatic\n")
    out, rows, cohort = (tmp_path / name for name in ("out", "rows.csv", "cohort"))
    words = ("--out", out, "--table", rows, "--cohort", cohort, "--concepts", tmp_path / "concepts.txt")
    said = run("articles", folder, *words)
    assert said.code == 0 and "4 articles, 8 pictures of figures, 6 pairs kept" in said.out
    opened = chiasm.open_cohort(cohort)
    assert len(opened) == 6 and not [own for own in chiasm.check_cohort(opened) if own.severity == "error"]
    assert opened.kinds == {"caption": "text", "picture": "image"}
    assert run("articles", folder, "--out", out).code == 2
    told = json.loads(run("articles", folder, "--json", "--concepts", tmp_path / "concepts.txt").out)
    assert (told["kept"], told["left_out"]) == (6, {"names no concept of the list": 2})
    closed = archive(
        tmp_path / "c.tar.gz", {"a.nxml": article(figure("f", "A lung."), licence=BY.replace("by", "by-nc"))}
    )
    refused = run("articles", closed, "--out", tmp_path / "none")
    assert refused.code == 2 and "1: licence CC-BY-NC" in refused.err and not (tmp_path / "none").exists()
    assert "holds no article" in run("articles", cohort / "pictures").err
