"""Conventions shared by the readers of records: two codes, the longest code, and the suffixes of files."""

# The two codes to which MEDS gives a meaning (meds.birth_code, meds.death_code); used without the package too.
BIRTH, DEATH = "MEDS_BIRTH", "MEDS_DEATH"
# What extracts call a birth that MEDS would call MEDS_BIRTH; in capitals.
BIRTHS = frozenset(
    ("DOB", "BIRTH", "BIRTHDATE", "BIRTH_DATE", "DATE_OF_BIRTH", "DATEOFBIRTH", "BORN", "BIRTH_DATETIME")
) | {"SNOMED//3950001", "SNOMED/3950001", "LOINC//21112-8"}
LONGEST_CODE = 256
MEDS, BUNDLE, NDJSON = ".parquet", ".json", ".ndjson"
