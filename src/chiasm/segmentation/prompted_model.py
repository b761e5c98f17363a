"""A fitted promptable network: it draws by itself as every network of label maps, and from clicks where there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
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
from chiasm.segmentation.prompted_training import Promptable
from chiasm.segmentation.prompts import asked_by
from chiasm.segmentation.windows import Part, padded, stitched, unpadded
from chiasm.targets.label_maps import LabelMap, map_of
from chiasm.training.batches import presence, take
from chiasm.training.network import in_evaluation


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
        each = [[own for own in clicks if own.label == labels[place]] for place in asked]
        network = cast(Promptable, drawing.network)
        work = 54.0 * self.trained_parameters * float(np.prod(self.window))
        with in_evaluation(drawing), torch.inference_mode(), threads_for(work):
            here = take(tokens, np.array([0]))
            images, spacing = images_of(here, present, self.grids, 0)
            shape = tuple(next(iter(images.values())).shape[1:])
            require_places(clicks, shape, before)
            if before is None:
                codes = drawing.logits(here, present, 0)[0].argmax(0).cpu().numpy().astype(np.int32)
                held = None
            else:
                codes = before.codes
                held = torch.from_numpy(np.stack([codes == place + 1 for place in asked]))

            def of_part(part: Part) -> Tensor:
                cut = {name: image[(slice(None), *part)] for name, image in images.items()}
                size = next(iter(cut.values())).shape[1:]
                filled = {name: padded(own, self.window, 0.0)[None] for name, own in cut.items()}
                sides = tuple(next(iter(filled.values())).shape[2:])
                whole = tuple(slice(own.start, own.start + side) for own, side in zip(part, sides, strict=True))
                said = None if held is None else padded(held[(slice(None), *part)], self.window, False)
                prompts = asked_by(each, whole, said)
                owner = torch.zeros(len(asked), dtype=torch.int64)
                embedded = network.embedded(filled, present)
                return unpadded(network.masks(embedded, owner, torch.tensor(asked), prompts, sides)[0], size)

            logits = stitched(of_part, shape, self.window).cpu().numpy()
        codes[np.isin(codes, np.array(asked) + 1)] = 0
        drawn = (logits > 0).any(0)
        codes[drawn] = (np.array(asked, dtype=np.int32) + 1)[logits.argmax(0)][drawn]
        return map_of(codes, self.spacing or spacing)


_READING: list[tuple[ref[PromptedOutliner], Drawing]] = []  # the network that was asked last: clicks follow one another
