"""A kind of target is one file in targets/, heads/ and linear/, and a row in five tables: counts, added to a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from scratch import ROOT, run, scratch_copy

NEW = {
    "src/chiasm/targets/count.py": '''"""Counts: whole numbers of events, zero or more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.targets.cells import Cells
from chiasm.targets.outcome import Outcome
from chiasm.targets.regression import Regression
from chiasm.targets.target import Floats, Target


@dataclass(frozen=True)
class Count(Regression):
    """Count target: a whole number of events, read from `column`; a model predicts the expected count."""

    kind: ClassVar[str] = "count"
    is_scaled: ClassVar[bool] = False

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        target, outcome = super().read(cells)
        wrong = outcome.known & ((outcome.value < 0) | (outcome.value != np.round(outcome.value)))
        cells.note(f"column '{self.column}' is not a count", "write 0, 1, 2 ...", wrong)
        known = outcome.known & ~wrong
        return target, Outcome(np.where(known, outcome.value, np.nan), None, known)

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """Log of the expected count."""
        return np.log(np.maximum(super().links(frame, names), 1e-9))

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame(np.exp(links), columns=list(columns))

    @classmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        return np.log([outcome.value.mean() + 1e-9])

    @classmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        value = rng.poisson(np.exp(np.clip(signal / 2, -5, 3)))
        return pd.DataFrame({"value": value}), cls("value"), value + 0.01 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        return pd.DataFrame({"value": outcome.value.astype(int)}, index=ids), type(self)("value")
''',
    "src/chiasm/heads/count.py": '''"""Counts: the log of the expected count, and the Poisson loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor, nn

from chiasm.heads.kind import Array, Calibrated, HeadKind
from chiasm.targets import Outcome


class CountHead(HeadKind):
    """Log of the expected count."""

    def loss(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        return nn.functional.poisson_nll_loss(output[:, 0], value)

    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        return pd.DataFrame({"prediction": np.exp(np.clip(link[:, 0], -30, 30))})

    def level(self, link: Array, outcome: Outcome) -> Array:
        """The mean expected count becomes the mean count."""
        known = outcome.known
        return np.array([np.log((outcome.value[known].sum() + 1e-9) / np.exp(link[known, 0]).sum())])
''',
    "src/chiasm/linear/poisson.py": '''"""Poisson loss of counts; the link is the log of the expected count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chiasm.linear.loss import Array, Boosting, Fits, Growing, Local, Loss, Near
from chiasm.linear.shared_rows import Rows
from chiasm.targets import Outcome


class Poisson(Loss):
    """Negative log likelihood of counts, without what does not depend on the link."""

    def path(self, x: Rows, known: Outcome, penalties: Sequence[float], classes: int | None) -> Fits:
        from sklearn.linear_model import PoissonRegressor

        features = np.asarray(x)
        models = [PoissonRegressor(alpha=own / len(features), max_iter=1000) for own in penalties]
        fits = [model.fit(features, known.value) for model in models]
        return [(fit.coef_[:, None], np.array([fit.intercept_])) for fit in fits]

    def local(self, known: Outcome, classes: int | None) -> Local:
        value = known.value[:, None]

        def at(link: Array) -> Near:
            mean = np.exp(np.clip(link, -30, 30))
            return Near(float(np.sum(mean - value * link)), mean - value, mean, lambda d: mean * d)

        return Local(np.log(value.mean(0) + 1e-9), at)

    def deviance(self, link: Array, known: Outcome) -> float:
        return self.nll(link, known.value) / len(link)

    def terms(self, own: Outcome, whole: Outcome) -> Any:
        return np.asarray(own.value, np.float64)

    def nll(self, link: Array, terms: Any) -> float:
        eta = np.clip(link[:, 0], -30, 30)
        return float(np.sum(np.exp(eta) - terms * eta))

    def boosting(self, known: Outcome, classes: int | None) -> list[Boosting]:
        return [Boosting("count:poisson", known.value, np.log([known.value.mean() + 1e-9]))]

    def prior_votes(self, whole: Outcome, classes: int | None) -> Array:
        return np.array([whole.value.mean() + 1e-9])

    def growing(self, own: Outcome, whole: Outcome, classes: int | None) -> list[Growing]:
        rate = (whole.value.mean() + 1e-9) / (own.value.mean() + 1e-9)
        return [Growing(rate * own.value[:, None], np.ones(len(own.value)), np.ones(len(own.value)), "poisson")]

    def link_of(self, votes: Array) -> Array:
        return np.log(votes)
''',
}
ROWS = {
    "src/chiasm/targets/kinds.py": (
        "Regression, Survival)",
        "Regression, Survival, Count)",
        "from chiasm.targets.count import Count\n",
    ),
    "src/chiasm/heads/kinds.py": (
        '    "survival": HazardHead(),\n',
        '    "survival": HazardHead(),\n    "count": CountHead(),\n',
        "from chiasm.heads.count import CountHead\n",
    ),
    "src/chiasm/linear/losses.py": (
        '    "survival": Cox(),\n',
        '    "survival": Cox(),\n    "count": Poisson(),\n',
        "from chiasm.linear.poisson import Poisson\n",
    ),
    "src/chiasm/metrics/table.py": (
        "METRICS: dict[str, tuple[Metric, ...]] = {\n",
        "METRICS: dict[str, tuple[Metric, ...]] = {\n"
        '    "count": (\n'
        '        Metric("r2", "R²", True, _of_classes(numbers_.r2), within=within_.r2),\n'
        '        Metric("spearman", "Spearman\'s ρ", True, _of_classes(numbers_.spearman)),\n'
        "    ),\n",
        "",
    ),
    "src/chiasm/report/kinds.py": (
        '    "regression": KindPage(',
        '    "count": KindPage("an expected count", number_facts),\n    "regression": KindPage(',
        "",
    ),
}
"""File to the text that a row is put in place of, the text with the row, and the import that it needs."""

TRIAL = """
import html, json, pathlib
import pandas as pd
import chiasm
from chiasm.recipes.registry import make_recipe
from chiasm.testing import check_recipe

drawn = chiasm.synthetic_cohort("complementary", 120, target="count", seed=0)
ids = [str(name) for name in drawn.ids]
pd.DataFrame({"id": ids, "visits": drawn.outcome.value.astype(int)}).to_csv("patients.csv", index=False)
for name in drawn.modalities:
    drawn.raw(name).assign(id=ids).to_csv(f"{name}.csv", index=False)
pathlib.Path("cohort.toml").write_text('''
name = "visits"
[patients]
table = "patients.csv"
id = "id"
[target]
kind = "count"
column = "visits"
[modalities.m1]
kind = "omics"
table = "m1.csv"
[modalities.m2]
kind = "omics"
table = "m2.csv"
''')
assert chiasm.check_cohort("cohort.toml") == []
cohort = chiasm.open_cohort("cohort.toml")
trial = chiasm.evaluate(cohort, ["late-fusion"], chiasm.Protocol(folds=3, repeats=1, draws=100), seed=0, out="run")
document = json.loads(pathlib.Path("run/trial.json").read_text())
row = next(row for row in document["recipes"] if row["name"] == "late-fusion")
assert document["cohort"]["target"]["kind"] == "count" and row["metric"] == "r2" and row["mean"] > 0.05, row
assert all(end is not None for end in document["verdict"]["combining"])
page = html.unescape(trial.report("run/report.html").read_text(encoding="utf-8"))
assert "the number 'visits'" in page and "an expected count" in page
model = chiasm.fit(cohort, "healnet:epochs=2,latent_width=8", seed=0)
model.save("model")
assert (chiasm.load_model("model").predict(cohort)["prediction"] > 0).all()
try:
    chiasm.fit(cohort, "kron-rls", seed=0)
except chiasm.Unsupported as refused:
    print(refused)
for name in ("late-fusion", "block-forest:trees=20"):
    check_recipe(make_recipe(name), kinds=("count",), n=84)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return scratch_copy(tmp_path / "copy")


def add(place: Path) -> list[str]:
    """Add the kind to a copy of the repository; return the files that it touches."""
    for name, text in NEW.items():
        assert not (place / name).exists()
        (place / name).write_text(text, encoding="utf-8")
    for name, (mark, row, needed) in ROWS.items():
        before = (place / name).read_text(encoding="utf-8")
        assert before.count(mark) == 1, f"{name}: {mark}"
        after = before.replace(mark, row)
        first = after.index("from chiasm.")
        (place / name).write_text(after[:first] + needed + after[first:], encoding="utf-8")
    return [*NEW, *ROWS]


@pytest.mark.slow
@pytest.mark.nightly
def test_a_kind_of_target_is_three_files_and_a_row_in_five_tables(copy: Path) -> None:
    assert len(add(copy)) == 3 + 5
    done = run(copy, "-W", "ignore", "-c", TRIAL)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "another recipe" in done.stdout
    done = run(
        copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_kinds_of_target.py",
        "tests/test_architecture.py", "-k", "kind or table or idea or names",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.slow
@pytest.mark.nightly
def test_a_table_without_its_row_is_found(copy: Path) -> None:
    add(copy)
    whole = (ROOT / "src/chiasm/heads/kinds.py").read_text(encoding="utf-8")
    (copy / "src/chiasm/heads/kinds.py").write_text(whole, encoding="utf-8")
    tests = ("tests/test_kinds_of_target.py", "-k", "every_table")
    done = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert done.returncode == 1 and "HEADS" in done.stdout
