"""Pages of a running service, brought to what their picture in the gallery shows; each starts a service of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from gallery_pages import fitted, served

import chiasm
from chiasm.segmentation.phantoms import phantom, phantom_cohort

Take = Callable[[], object]


def until(page: Any, expression: str) -> None:
    """Wait for something of a page whose policy forbids what Playwright would wait with."""
    end = time.monotonic() + 60
    while not page.evaluate(f"Boolean({expression})"):
        if time.monotonic() > end:
            raise TimeoutError(f"{expression} did not come; the page says: {page.inner_text('body')[:400]}")
        page.wait_for_timeout(50)


def shown_from(page: Any, what: str) -> None:
    """Bring a part of the page to the top, a little below it."""
    page.evaluate(f"scrollTo(0, document.querySelector('{what}').getBoundingClientRect().top + scrollY - 24)")


def service(folder: Path, page: Any, take: Take) -> None:
    """A prediction for one patient."""
    rng, n = np.random.default_rng(0), 400
    ids = [f"case-{number:03d}" for number in range(n)]
    clinical = pd.DataFrame({"age": rng.normal(62, 9, n).round(), "grade": rng.integers(1, 4, n)}, index=ids)
    laboratory = pd.DataFrame({"crp": rng.gamma(2, 8, n).round(1), "albumin": rng.normal(40, 4, n).round(1)}, index=ids)
    hazard = np.exp(0.05 * (clinical["age"] - 62) + 0.4 * clinical["grade"] + 0.03 * laboratory["crp"])
    event, censored = rng.exponential(90 / hazard), rng.exponential(40, n)
    patients = pd.DataFrame({"months": np.minimum(event, censored) + 0.1, "died": event < censored}, index=ids)
    cohort = chiasm.cohort_from_frames(
        patients, {"clinical": clinical, "laboratory": laboratory.iloc[:300]},
        target=chiasm.Survival("months", "died", unit="months"), name="made-up",
    )  # fmt: skip
    chiasm.fit(cohort, "late-fusion", seed=0).save(folder / "risk")
    with served(folder / "risk") as base:
        page.goto(base)
        page.wait_for_selector("#patient:not([hidden])")
        page.get_by_label("age").fill("67")
        page.get_by_label("grade").fill("3")
        page.click("#predict")
        page.wait_for_selector("#answer:not([hidden])")
        shown_from(page, "#answer")
        page.wait_for_timeout(300)
        take()


def outline(folder: Path, page: Any, take: Take) -> None:
    """A phantom whose bright part a click has taken."""
    from PIL import Image
    from scipy.ndimage import uniform_filter

    manifest = phantom_cohort(folder / "phantoms", 16, (64, 64), seed=1)
    cohort = chiasm.encode(chiasm.open_cohort(manifest)).cohort
    chiasm.fit(cohort, "unet:width=8,depth=2,epochs=4,crops=1", seed=0).save(folder / "outliner")
    images, _ = phantom(3, (64, 64))
    seen = images["clear"]
    grey = (seen - seen.min()) / np.ptp(seen) * 255
    Image.fromarray(grey.astype(np.uint8)).save(folder / "clear.png")
    row, column = np.unravel_index(int(np.argmax(uniform_filter(seen, 5))), seen.shape)
    with served(folder / "outliner") as base:
        page.goto(f"{base}/outline")
        page.wait_for_selector("#opening:not([hidden])")
        page.set_input_files("#file-0", folder / "clear.png")
        page.click("#open")
        page.wait_for_selector("#work:not([hidden])")
        until(page, "ready()")
        page.locator("#reach").fill("50")
        box, sizes = page.locator("#stage").bounding_box(), page.evaluate("sizes()")
        page.mouse.click(
            box["x"] + box["width"] * (column + 0.5) / sizes["columns"],
            box["y"] + box["height"] * (row + 0.5) / sizes["rows"],
        )
        until(page, "ready()")
        shown_from(page, "#work")
        page.wait_for_timeout(300)
        take()


def talk(folder: Path, page: Any, take: Take) -> None:
    """The beginning of a conversation, in writing."""
    from chiasm.api.conversing import EXAMPLE
    from chiasm.api.serving import Talk

    fitted().save(folder / "risk")
    with served(folder / "risk", talk=Talk(EXAMPLE)) as base:
        page.goto(f"{base}/talk")
        page.wait_for_selector("#talk:not([hidden])")
        for said in (
            "Good morning, my name is Doctor Meyer. What brings you to me today?",
            "Does it go away when you rest?",
        ):
            before = page.locator("#captions li").count()
            page.fill("#text", said)
            page.click("#send")
            until(page, f"document.querySelectorAll('#captions li').length >= {before + 2}")
        take()
