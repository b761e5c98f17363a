"""`chiasm tune`, and `--budget`: a search on the screen and for machines, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

from chiasm.api import load_model
from cohort_folder import CohortFolder
from command_line import Run


def test_a_search_is_shown_and_the_model_of_its_pick_says_so(
    run: Run, two_tables: CohortFolder, tmp_path: Path
) -> None:
    words = ["tune", two_tables.manifest, "--recipe", "early-fusion"]
    said = run(*words, "--space", "l1_ratio=0.3;1", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert len(found["settings"]) == 2 and found["recipe"] == "early-fusion:l1_ratio=[0.3;1.0]"
    shown = run(*words, "--space", "l1_ratio=0.3..1", "--budget", "2", "--out", tmp_path / "search")
    assert shown.code == 0 and "picked" in shown.out and "which flatters it" in shown.out
    assert "tries 2 settings, drawn from ranges" in shown.err
    fitted = run("fit", two_tables.manifest, "--recipe", found["recipe"], "--out", tmp_path / "model")
    assert fitted.code == 0, fitted.err
    model = load_model(tmp_path / "model")
    assert model.tuning.chosen == found["chosen"] == model.recipe
    card = (tmp_path / "model" / "card.md").read_text(encoding="utf-8")
    assert "was picked among 2 settings" in card and model.tuning.sentence in fitted.out


def test_what_cannot_be_searched_is_one_sentence(run: Run, two_tables: CohortFolder, tmp_path: Path) -> None:
    words = ["tune", two_tables.manifest, "--recipe", "kron-rls"]
    for space, says in (
        (["--space", "offset"], "has no values"),
        (["--space", "offset=1", "--space", "offset=2"], "names the option 'offset' twice"),
        ([], "has no option in it"),
        (["--space", "offset=0.5..0.1"], "ends are swapped"),
    ):
        refused = run(*words, *space)
        assert refused.code == 2 and says in refused.err and "\n" not in refused.err.strip(), refused.err
    refused = run("evaluate", two_tables.manifest, "--recipes", "late-fusion", "--budget", "3", "--out", tmp_path / "r")
    assert refused.code == 2 and "--budget is the number of settings of a tuned recipe" in refused.err
