"""Conventions shared by the readers of records: two codes, the longest code, and the suffixes of files."""

# The two codes to which MEDS gives a meaning (meds.birth_code, meds.death_code); used without the package too.
BIRTH, DEATH = "MEDS_BIRTH", "MEDS_DEATH"
LONGEST_CODE = 256
MEDS, BUNDLE, NDJSON = ".parquet", ".json", ".ndjson"
