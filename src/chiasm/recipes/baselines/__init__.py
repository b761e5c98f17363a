"""Baseline recipes: one modality alone, and linear or kernel models of several."""

from typing import Any

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name
from chiasm.specs import loaded

# fmt: off
ROWS = by_name((
    Row(
        "single", "baselines.single:Single", "single",
        "the modality it names",
        Citation(
            "Ridge Regression: Biased Estimation for Nonorthogonal Problems",
            "Technometrics", 1970, "https://doi.org/10.1080/00401706.1970.10488634",
        ),
        leads="modality",
        always=True,
    ),
    Row(
        "presence", "baselines.presence:Presence", "baseline",
        "nothing: it reads which modalities a patient has, and no value of them",
        Citation(
            "Inference and missing data",
            "Biometrika", 1976, "https://doi.org/10.1093/biomet/63.3.581",
        ),
        since="0.2.0",
        always=True,
    ),
    Row(
        "early-fusion", "baselines.early:EarlyFusion", "baseline",
        "two modalities or more; an absent one is imputed by its training mean",
        Citation(
            "Regularization and Variable Selection via the Elastic Net",
            "Journal of the Royal Statistical Society B", 2005, "https://doi.org/10.1111/j.1467-9868.2005.00503.x",
        ),
        tried=("early-fusion",),
    ),
    Row(
        "multi-ridge", "baselines.multi_ridge:MultiRidge", "baseline",
        "two modalities or more; one that is absent adds nothing",
        Citation(
            "Fast Cross-validation for Multi-penalty High-dimensional Ridge Regression",
            "Journal of Computational and Graphical Statistics", 2021,
            "https://doi.org/10.1080/10618600.2021.1904962",
        ),
        since="0.2.0",
    ),
    Row(
        "fine-gray", "baselines.fine_gray:FineGrayRecipe", "baseline",
        "competing risks and two modalities or more; an absent one is imputed by its training mean",
        Citation(
            "A Proportional Hazards Model for the Subdistribution of a Competing Risk",
            "Journal of the American Statistical Association", 1999, "https://doi.org/10.1080/01621459.1999.10474144",
        ),
        since="0.2.0",
    ),
    Row(
        "ipf-lasso", "baselines.ipf_lasso:IpfLasso", "baseline",
        "two modalities or more; one that is absent adds nothing",
        Citation(
            "IPF-LASSO: Integrative L1-Penalized Regression with Penalty Factors for Prediction Based on "
            "Multi-Omics Data",
            "Computational and Mathematical Methods in Medicine", 2017, "https://doi.org/10.1155/2017/7691937",
        ),
        since="0.2.0",
    ),
    Row(
        "priority-lasso", "baselines.priority_lasso:PriorityLasso", "baseline",
        "two modalities or more; one that is absent adds nothing",
        Citation(
            "Priority-Lasso: a simple hierarchical approach to the prediction of clinical outcome using "
            "multi-omics data",
            "BMC Bioinformatics", 2018, "https://doi.org/10.1186/s12859-018-2344-6",
        ),
        since="0.2.0",
    ),
    Row(
        "boosted-trees", "baselines.boosted:Boosted", "baseline",
        "two modalities or more; one that is absent is a missing value, so that its absence is read",
        Citation(
            "XGBoost: A Scalable Tree Boosting System",
            "KDD", 2016, "https://doi.org/10.1145/2939672.2939785",
        ),
        since="0.2.0",
    ),
    Row(
        "block-forest", "baselines.block_forest:BlockForest", "baseline",
        "two modalities or more; a tree votes for who has all that it reads",
        Citation(
            "Block Forests: random forests for blocks of clinical and omics covariate data",
            "BMC Bioinformatics", 2019, "https://doi.org/10.1186/s12859-019-2942-y",
        ),
        since="0.2.0",
    ),
    Row(
        "transfer", "baselines.transfer:Transfer", "baseline",
        "two modalities or more, and a source cohort or a fitted model that shares columns with this one",
        Citation(
            "Transfer Learning for High-Dimensional Linear Regression: Prediction, Estimation and Minimax Optimality",
            "Journal of the Royal Statistical Society B", 2022, "https://doi.org/10.1111/rssb.12479",
        ),
        since="0.2.0",
        tried=("transfer",),
    ),
    Row(
        "late-fusion", "baselines.late:LateFusion", "baseline",
        "two modalities or more; no patient needs both",
        Citation(
            "On Combining Classifiers",
            "IEEE TPAMI", 1998, "https://doi.org/10.1109/34.667881",
        ),
        tried=("late-fusion",),
    ),
    Row(
        "stacked-fusion", "baselines.stacked:StackedFusion", "baseline",
        "two modalities or more",
        Citation(
            "Stacked Regressions",
            "Machine Learning", 1996, "https://doi.org/10.1007/BF00117832",
        ),
        tried=("stacked-fusion",),
    ),
    Row(
        "ensemble", "baselines.ensemble:Ensemble", "baseline",
        "what its members need",
        Citation(
            "Ensemble Selection from Libraries of Models",
            "ICML", 2004, "https://doi.org/10.1145/1015330.1015432",
        ),
        since="0.2.0",
    ),
    Row(
        "kron-rls", "baselines.kron_rls:KronRLS", "kernel",
        "two modalities or more; classes or a number; up to 12,000 patients unless items are shared",
        Citation(
            "Toward more realistic drug-target interaction predictions",
            "Briefings in Bioinformatics", 2015, "https://doi.org/10.1093/bib/bbu010",
        ),
        tried=("kron-rls",),
    ),
    Row(
        "nearest-patient", "baselines.nearest_patient:NearestPatient", "baseline",
        "a target of texts, and two modalities or more",
        Citation(
            "Nearest Neighbor Pattern Classification",
            "IEEE Transactions on Information Theory", 1967, "https://doi.org/10.1109/TIT.1967.1053964",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""


def baseline(name: str) -> Any:
    """Import a recipe of this family, one of `ROWS`, and return its class."""
    return loaded(f"{__name__}.{ROWS[name].where.removeprefix('baselines.')}")
