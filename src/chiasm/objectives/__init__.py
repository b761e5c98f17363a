"""Loss functions and the balancing of several losses: functions of tensors, independent of cohorts and networks."""
