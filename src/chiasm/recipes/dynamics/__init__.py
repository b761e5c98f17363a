"""Recipes of recordings that move in time."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "hmm-glm", "dynamics.hidden_states:HiddenStates", "dynamics",
        "one bag of counts, bins by neurons in order of time, and as the response the counts of the bins that follow",
        Citation(
            "One-hot Generalized Linear Model for Switching Brain State Discovery",
            "ICLR", 2024, "https://arxiv.org/abs/2310.15263",
        ),
        since="0.2.0",
    ),
    Row(
        "poisson-glm", "dynamics.hidden_states:PoissonGlm", "dynamics",
        "one bag of counts, bins by neurons in order of time, and as the response the counts of the bins that follow",
        Citation(
            "A point process framework for relating neural spiking activity to spiking history, neural ensemble, and "
            "extrinsic covariate effects",
            "Journal of Neurophysiology", 2005, "https://doi.org/10.1152/jn.00697.2004",
        ),
        since="0.2.0",
    ),
    Row(
        "history-ridge", "dynamics.history_ridge:HistoryRidge", "dynamics",
        "one bag of counts, bins by neurons in order of time, and as the response the counts of the bins that follow",
        Citation(
            "Ridge Regression: Biased Estimation for Nonorthogonal Problems",
            "Technometrics", 1970, "https://doi.org/10.1080/00401706.1970.10488634",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
