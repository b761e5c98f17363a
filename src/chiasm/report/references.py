"""Papers behind the measures, the intervals and the guidelines of the page, as a bibliography cites them."""

from __future__ import annotations

from chiasm.citation import Citation

_DOI = "https://doi.org/"
INTERVALS = Citation(
    "Inference for the generalization error", "Machine Learning", 2003, f"{_DOI}10.1023/A:1024068626366"
)
"""Corrected resampled t interval."""
TRIPOD = Citation(
    "TRIPOD+AI statement: updated guidance for reporting clinical prediction models that use regression or machine "
    "learning methods",
    "BMJ",
    2024,
    f"{_DOI}10.1136/bmj-2023-078378",
)
PROBAST = Citation(
    "PROBAST+AI: an updated quality, risk of bias, and applicability assessment tool for prediction models using "
    "regression or artificial intelligence methods",
    "BMJ",
    2025,
    f"{_DOI}10.1136/bmj-2024-082505",
)
REPORTING = (TRIPOD, PROBAST)
MEASURES = {
    "harrell_c": Citation(
        "Multivariable prognostic models: issues in developing models, evaluating assumptions and adequacy, and "
        "measuring and reducing errors",
        "Statistics in Medicine",
        1996,
        f"{_DOI}10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4",
    ),
    "uno_c": Citation(
        "On the C-statistics for evaluating overall adequacy of risk prediction procedures with censored survival data",
        "Statistics in Medicine",
        2011,
        f"{_DOI}10.1002/sim.4154",
    ),
    "integrated_brier": Citation(
        "Assessment and comparison of prognostic classification schemes for survival data",
        "Statistics in Medicine",
        1999,
        f"{_DOI}10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5",
    ),
    "ipa": Citation(
        "The index of prediction accuracy: an intuitive measure useful for evaluating risk prediction models",
        "Diagnostic and Prognostic Research",
        2018,
        f"{_DOI}10.1186/s41512-018-0029-2",
    ),
    "calibration": Citation(
        "Calibration: the Achilles heel of predictive analytics",
        "BMC Medicine",
        2019,
        f"{_DOI}10.1186/s12916-019-1466-7",
    ),
}
"""By the beginning of a measure's id."""
FURTHER = {
    "decisions": Citation(
        "Decision curve analysis: a novel method for evaluating prediction models",
        "Medical Decision Making",
        2006,
        f"{_DOI}10.1177/0272989X06295361",
    ),
    "d_calibration": Citation(
        "Effective ways to build and evaluate individual survival distributions",
        "Journal of Machine Learning Research",
        2020,
        "https://jmlr.org/papers/v21/18-772.html",
    ),
}
"""By the key of a trial's document that holds what follows it."""
