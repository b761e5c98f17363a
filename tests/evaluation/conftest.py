"""Trials compare ridges by day, where what is looked at is made of predictions, whosever they are."""

from lighter_trials import ridges_in

ridges = ridges_in(
    "test_beside", "test_external_of_a_trial", "test_run_folder", "test_several", "test_sides", "test_tuned_trial",
    "test_validation", "test_response_trial",
)  # fmt: skip
