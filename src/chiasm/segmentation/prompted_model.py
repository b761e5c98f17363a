"""A fitted promptable network: it draws by itself as every network of label maps, and from clicks where there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, cast
from weakref import ref

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.compute.isolation import threads_for
from chiasm.compute.memo import of_the_last
from chiasm.encoders import pack
from chiasm.segmentation.clicked import Click, require_places
from chiasm.segmentation.drawing import Drawing
from chiasm.segmentation.grids import images_of
from chiasm.segmentation.model import Outliner
from chiasm.segmentation.parts import DrawnMap, Part, regridded
from chiasm.segmentation.prompted_training import Promptable
from chiasm.segmentation.prompts import asked_by, lies
from chiasm.segmentation.windows import drawn_codes, padded, unpadded
from chiasm.targets.label_maps import LabelMap, map_of
from chiasm.training.batches import presence, take
from chiasm.training.network import in_evaluation

FAINT = 0.1  # logit of what was drawn before, in windows without a click


@storable("prompted-outliner")
@dataclass(frozen=True)
class PromptedOutliner(Outliner):
    """Predictor of label maps whose network answers clicks."""

    @classmethod
    def of(cls, own: Outliner, design: Any) -> Self:
        """The same predictor as one that answers clicks, stored with this design."""
        return cls(**{**{field.name: getattr(own, field.name) for field in fields(own)}, "design": design})

    def outlined(
        self, cohort: Cohort, clicks: Sequence[Click], labels: Sequence[str], before: LabelMap | None
    ) -> LabelMap:
        """Draw the labels that are clicked anew, beside the others as they were before, or as the network has them.

        Where two of the clicked labels meet, the surer one stands; what is clicked takes from what is not.
        """
        names = sorted(self.grids)
        tokens = pack(cohort, {name: self.grids[name] for name in names})
        present = torch.from_numpy(presence(tokens, names)[[0]])
        drawing = of_the_last(_READING, self, self.drawing)
        asked = sorted({list(labels).index(own.label) for own in clicks})
        network = cast(Promptable, drawing.network)
        work = 54.0 * self.trained_parameters * float(np.prod(self.window))
        with in_evaluation(drawing), torch.inference_mode(), threads_for(work):
            here = take(tokens, np.array([0]))
            images, spacing = images_of(here, present, self.grids, 0)
            first = next(iter(images.values()))
            shape, grid = first.values.shape[1:], first.grid
            require_places(clicks, shape, before)
            each = [[on_grid(own, shape, grid) for own in clicks if own.label == labels[place]] for place in asked]
            if before is None:
                codes, held = drawing.codes(here, present, 0)[0].astype(np.int32), None
            else:
                codes, held = before.codes, DrawnMap(before, grid)

            def of_part(part: Part) -> Tensor:
                cut = {name: image[(slice(None), *part)] for name, image in images.items()}
                size = next(iter(cut.values())).shape[1:]
                filled = {name: padded(own, self.window, 0.0)[None] for name, own in cut.items()}
                sides = tuple(next(iter(filled.values())).shape[2:])
                whole = tuple(slice(own.start, own.start + side) for own, side in zip(part, sides, strict=True))
                drawn = None if held is None else torch.stack([held[part] == place + 1 for place in asked])
                clicked = torch.tensor([any(lies(own, part) for own in of_label) for of_label in each])
                if drawn is not None and not bool(clicked.any()):  # nobody has asked for anything here
                    return kept(drawn)
                told = None if drawn is None else padded(drawn, self.window, False)
                owner = torch.zeros(len(asked), dtype=torch.int64)
                embedded, prompts = network.embedded(filled, present), asked_by(each, whole, told)
                own = unpadded(network.masks(embedded, owner, torch.tensor(asked), prompts, sides)[0], size)
                own = torch.cat([torch.zeros_like(own[:1]), own])
                if drawn is None:
                    return own
                asks = torch.cat([torch.ones(1, dtype=torch.bool), clicked]).view(-1, *[1] * len(size))
                return torch.where(asks, own, kept(drawn))

            found = drawn_codes(of_part, grid, self.window)
        answer = regridded(np.array([0, *(place + 1 for place in asked)], dtype=np.int32)[found], shape)
        codes[np.isin(codes, np.array(asked) + 1)] = 0
        codes[answer > 0] = answer[answer > 0]
        return map_of(codes, self.spacing or spacing)


def kept(drawn: Tensor) -> Tensor:
    """Faint logits `(N + 1, ...)` of masks before, `(N, ...)` bool, that yield to those of a window with a click."""
    own = torch.where(drawn, FAINT, -FAINT)
    return torch.cat([torch.zeros_like(own[:1]), own])


def on_grid(own: Click, shape: Sequence[int], grid: Sequence[int]) -> Click:
    """A click in pixels of an image, in those of another grid over it."""
    sides = zip(own.place, shape, grid, strict=True)
    return replace(own, place=tuple((at + 0.5) * new / old - 0.5 for at, old, new in sides))


_READING: list[tuple[ref[PromptedOutliner], Drawing]] = []  # the network that was asked last: clicks follow one another
