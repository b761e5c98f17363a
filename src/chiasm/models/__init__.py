"""Operations on fitted models: merging them without data."""
