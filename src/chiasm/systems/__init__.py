"""The published systems of the field: what each needs, where it lives here, how it is held to its paper."""
