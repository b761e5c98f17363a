"""Boxes in images: networks that draw them, what these are trained on, and the crops of boxes as a cohort."""
