"""Labels that lie within others, as a tumour in its organ, and are never more probable than what holds them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.errors import nearest

Parents = tuple[int, ...]
"""Of each node the one that holds it, -1 where none does; the first K nodes are the labels, the others no label."""
TOP = -1


def read_tree(text: str, labels: Sequence[str]) -> Parents:
    """Read what lies within what, as `tumour<liver/benign<tumour`, for labels K; empty: none within another.

    A name that is no label, as `tumour` where liver, benign and malignant are drawn, stands for all that lies in it.

    Raises:
        ValueError: a part says no such thing, a name lies in two or in itself, or is no label and holds nothing.
    """
    names, within = list(labels), dict[str, str]()
    for part in filter(None, (own.strip() for own in text.split("/"))):
        child, arrow, parent = (own.strip() for own in part.partition("<"))
        if not arrow or not child or not parent or "<" in parent:
            raise ValueError(f"tree has a part '{part}' that says no label within another: write tumour<liver")
        if child in within:
            raise ValueError(f"tree puts '{child}' in '{within[child]}' and in '{parent}': it lies in one")
        within[child] = parent
        names += [own for own in (parent, child) if own not in names]
    for name in names[len(labels) :]:
        if name not in within.values():
            like = nearest(name, labels)
            hint = f"did you mean '{like}'?" if like else f"there are {', '.join(labels)}"
            raise ValueError(f"tree names '{name}', which is no label and holds none: {hint}")
    for name in names:
        above = name
        for _ in names:
            above = within.get(above, "")
        if above:
            raise ValueError(f"tree puts '{name}' within itself")
    return tuple(names.index(within[name]) if name in within else TOP for name in names)


def check_tree(parents: Parents) -> None:
    """Refuse parents that are none.

    Raises:
        ValueError: one is not there, or a node lies within itself.
    """
    if not 1 <= len(parents) <= 4096 or not all(TOP <= own < len(parents) for own in parents):
        raise ValueError("a tree of labels has a node, and names of each the node that holds it or -1")
    levels_of(parents)


def levels_of(parents: Parents) -> list[int]:
    """How many nodes hold each node, one within the other.

    Raises:
        ValueError: a node lies within itself.
    """
    found = []
    for node in range(len(parents)):
        above, level = parents[node], 0
        while above != TOP:
            above, level = parents[above], level + 1
            if level > len(parents):
                raise ValueError("a node of a tree of labels lies within itself")
        found.append(level)
    return found


def tree_log_probabilities(logits: Tensor, parents: Parents, labels: int) -> tuple[Tensor, Tensor]:
    """Logarithms of the probabilities of codes `(B, K + 1, ...)`, and of lying within each node `(B, n, ...)`.

        within(v) = within(parent of v) softmax(of v among those beside it, and the rest of the parent at 0)
        p(code of v) = within(v) p(the rest of v);  p(no label) = the rest where no parent is

    So what lies within a node is never more probable than the node, and all codes sum to one. A node that is no label
    has no rest.

    Args:
        logits: `(B, n, ...)`.
        parents: of the n nodes, the first K of them the labels.
    """
    within: list[Tensor | None] = [None] * len(parents)
    codes: list[Tensor | None] = [None] * (labels + 1)
    zero = torch.zeros_like(logits[:, :1])
    for parent in sorted({*parents}, key=lambda own: -1 if own == TOP else levels_of(parents)[own]):
        below = [node for node, own in enumerate(parents) if own == parent]
        base = zero[:, 0] if parent == TOP else within[parent]
        assert base is not None  # parents come first
        rest = parent == TOP or parent < labels
        shares = functional.log_softmax(torch.cat([zero, logits[:, below]] if rest else [logits[:, below]], 1), 1)
        for place, node in enumerate(below):
            within[node] = base + shares[:, place + rest]
        if rest:
            codes[parent + 1] = base + shares[:, 0]
    each = [own for own in within if own is not None]
    told = [codes[k] if codes[k] is not None else within[k - 1] for k in range(labels + 1)]
    return torch.stack([own for own in told if own is not None], 1), torch.stack(each, 1)
