"""Losses and the balance between them: functions of tensors that know no cohort and no network."""
