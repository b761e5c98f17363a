"""What readers of records agree on: the names of two codes, the longest code, and how files are called."""

# The two codes to which MEDS gives a meaning (meds.birth_code, meds.death_code); used without the package too.
BIRTH, DEATH = "MEDS_BIRTH", "MEDS_DEATH"
LONGEST_CODE = 256
MEDS, BUNDLE, NDJSON = ".parquet", ".json", ".ndjson"
