"""A predictor that stands on another one, and says of itself what that one does."""

from __future__ import annotations

from chiasm.protocols import Predictor, reads_inputs


class Wrapping:
    """What was trained, and whether encoder inputs are needed, are those of `predictor`."""

    predictor: Predictor

    @property
    def trained_parameters(self) -> int:
        return self.predictor.trained_parameters

    @property
    def reads_inputs(self) -> bool:
        """True if the wrapped predictor needs encoder inputs instead of stored tokens."""
        return reads_inputs(self.predictor)
