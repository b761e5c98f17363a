"""What MolFM trains without a target: contrast, matching and hidden text of pairs, and the knowledge graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from chiasm.cohort.knowledge import Knowledge
from chiasm.fusion.molfm import Molfm
from chiasm.objectives.contrastive import contrast
from chiasm.objectives.knowledge import corrupted, distance, keys, margin_loss
from chiasm.objectives.matching import hard_negatives, matching_loss, same_content
from chiasm.objectives.retention import hidden_tokens, masked_reconstruction
from chiasm.protocols import Fused

HIDDEN = 0.15  # share of a text's tokens, as of BERT's; of two tokens or more at least one
AT_ONCE = 256  # triples of a step


@dataclass(frozen=True)
class Facts:
    """Triples `(n, 3)`, their sorted keys, the numbers of entities and of relations, and the margin."""

    triples: Tensor
    known: Tensor
    entities: int
    relations: int
    margin: float

    @classmethod
    def of(cls, known: Knowledge, margin: float) -> Self:
        """Take them from a cohort's knowledge."""
        triples, sizes = torch.from_numpy(known.triples.copy()), (len(known.entities), len(known.relations))
        return cls(triples, keys(triples, *sizes).sort().values, *sizes, margin)


def paired_losses(fusion: Molfm, fused: Fused, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the terms of the patients of a batch who have structure and text, each with weight one as in the paper.

    - `align`: CLIP's contrast of the unit vectors. Pairs that share a structure, or a text, are positive together.
      Which do is told from the tokens that were read: vectors differ by dropout, and may agree by chance.
    - `match`: binary cross entropy of the own pairs, and of each structure with a text, and each text with a structure,
      of somebody else, drawn by likeness.
    - `text`: squared error of what is rebuilt of hidden tokens of the text.
    """
    extras = fused.extras
    here = extras["structure:mask"].any(1) & extras["text:mask"].any(1)
    vectors, rows = extras["vectors"], torch.nonzero(here)[:, 0]
    if not len(rows):
        return dict.fromkeys(("align", "match", "text"), vectors[rows].sum())
    own = vectors[rows].detach()
    structures, texts = (extras[f"{part}:values"][rows] for part in ("structure", "text"))
    same = same_content(structures) | same_content(texts)
    align = contrast(vectors[rows, 0], vectors[rows, 1], fusion.scale(), targets=same.float())
    logits = fusion.scale() * own[:, 0] @ own[:, 1].T
    *pairs, belongs = drawn_pairs(rows, logits, same, generator)
    match = matching_loss(fusion.matched(extras, *pairs), belongs)
    _, hidden = hidden_tokens(extras["text:mask"][rows], HIDDEN, generator)
    rebuilt = masked_reconstruction(fusion.rebuilt(extras, rows, hidden), extras["text:values"][rows], hidden)
    return {"align": align, "match": match, "text": rebuilt}


def drawn_pairs(
    rows: Tensor, logits: Tensor, same: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return whose structure and whose text each pair has, and if they belong together: own pairs first, then others.

    Args:
        rows: `(n,)` places of the patients in the batch.
        logits, same: `(n, n)` likeness of structure i and text j, and which pairs are no negatives.
    """
    text = hard_negatives(logits, same, generator)
    structure = hard_negatives(logits.T, same.T, generator)
    a, b = rows[text >= 0], rows[structure >= 0]
    structures = torch.cat([rows, a, rows[structure[structure >= 0]]])
    texts = torch.cat([rows, rows[text[text >= 0]], b])
    return structures, texts, torch.arange(len(structures), device=rows.device) < len(rows)


def embedded(fusion: Molfm, facts: Facts, generator: torch.Generator) -> Tensor:
    """Return the margin loss of up to 256 triples, drawn anew, and of what each was corrupted to."""
    if len(facts.triples) > AT_ONCE:
        chosen = torch.randint(len(facts.triples), (AT_ONCE,), generator=generator)
    else:
        chosen = torch.arange(len(facts.triples))
    true = facts.triples[chosen]
    false, made = corrupted(true, facts.known, facts.entities, facts.relations, generator)
    entities, relations = fusion.facts.entities, fusion.facts.relations
    far = [distance(entities, relations, own[made].to(entities.device)) for own in (true, false)]
    return margin_loss(far[0], far[1], facts.margin)
