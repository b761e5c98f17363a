"""Released questions on images, captions and reports as cohorts; instructions made of captions and tables."""
