"""Trials compare ridges by day, where what is looked at is made of predictions, whosever they are."""

from lighter_trials import ridges_in

ridges = ridges_in(
    "test_adapting", "test_collect_command", "test_contrasts", "test_interaction_command", "test_model_sources",
    "test_prepared_once", "test_several_cohorts", "test_sources", "test_stress_command", "test_tokens", "test_trials",
    "test_triples",
)  # fmt: skip
