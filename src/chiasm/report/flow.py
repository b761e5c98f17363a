"""Picture of the flow of patients: in the tables, with an outcome, with a modality, in the folds."""

from __future__ import annotations

from typing import Any

from chiasm.evaluation import Trial
from chiasm.report.drawing import INK, QUIET, NewSheet, Picture, sheet, style, wrapped
from chiasm.report.wording import count

ROW = 0.62  # inches from one box to the next
LINE = 0.17  # inches of a further line in a box


def flow_steps(trial: Trial) -> tuple[list[str], list[str]]:
    """Say the steps from the tables into the folds, and beside each what left before the next; "" for nobody."""
    flow, protocol = trial.document["description"]["flow"], trial.document["protocol"]
    tested = int(trial.predictions["patient"].nunique())
    sealed = "" if not flow["sealed"] else f"{flow['sealed']:,} more are sealed"
    steps = [f"{count(flow['tables'], 'patient')} in the table"]
    left = [sealed]
    known = flow["tables"] - flow["unknown_outcome"]
    steps.append(f"{known:,} with a known outcome")
    left.append("" if not flow["unknown_outcome"] else f"{flow['unknown_outcome']:,} left out: outcome unknown")
    steps.append(f"{flow['used']:,} with a modality")
    left.append("" if not flow["no_modality"] else f"{flow['no_modality']:,} left out: no modality")
    have = [f"{name}: {n:,}" for name, n in flow["modalities"].items()]
    steps.append("\n".join([*have, f"every modality: {flow['every']:,}"]))
    left.append("")
    folds, repeats = protocol["test_folds"], 1 if protocol["given_folds"] else protocol["repeats"]
    drawn = "" if repeats == 1 else f" of {repeats} repeats"
    steps.append(
        f"{tested:,} tested in {count(folds, 'fold')}{drawn}\n"
        f"a fold: {protocol['n_train']:,.0f} to train, {protocol['n_test']:,.0f} to test"
    )
    left.append("" if tested == flow["used"] else f"{flow['used'] - tested:,} are in training sets only")
    return steps, left


def draw_flow(trial: Trial, new: NewSheet = sheet) -> Picture:
    """Draw the steps as boxes below each other, and who left beside the arrow that leads to the next."""
    steps, left = flow_steps(trial)
    lines = [step.count("\n") + 1 for step in steps]
    heights = [0.32 + LINE * (n - 1) for n in lines]
    total = sum(heights) + (ROW - 0.32) * (len(steps) - 1) + 0.2
    with style():
        width = 6.2 if any(left) else 3.2  # where nobody left there is nothing beside the boxes
        figure = new(total, width)
        axes = figure.add_subplot()
        axes.set(xlim=(0, width), ylim=(-total, 0))
        axes.set_axis_off()
        top = -0.1
        for place, (step, height) in enumerate(zip(steps, heights, strict=True)):
            _box(axes, step, top, height)
            if left[place]:
                axes.annotate(
                    wrapped(left[place], 34), (3.02, top - height / 2), (3.35, top - height / 2),
                    va="center", color=QUIET, fontsize=8.5,
                    arrowprops={"arrowstyle": "<-", "color": QUIET, "linewidth": 0.8},
                )  # fmt: skip
            if place < len(steps) - 1:
                end = top - height - (ROW - 0.32)
                axes.annotate(
                    "", (1.6, end), (1.6, top - height),
                    arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 0.9},
                )  # fmt: skip
                top = end
        told = "; ".join(
            f"{step}{f' ({aside})' if aside else ''}".replace("\n", ", ")
            for step, aside in zip(steps, left, strict=True)
        )
        return Picture(figure, (axes,), f"Flow of patients. {told}.")


def _box(axes: Any, text: str, top: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((0.2, top - height), 2.8, height, fill=False, edgecolor=QUIET, linewidth=0.9))
    axes.text(1.6, top - height / 2, text, ha="center", va="center", fontsize=8.5)
