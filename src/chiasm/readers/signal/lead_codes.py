"""Names of leads by the numbers that SCP-ECG, DICOM (MDC 2:n, SCPECG 5.6.3-9-n) and HL7 (MDC_ECG_LEAD_x) share."""

from __future__ import annotations

import re

from chiasm.readers.signal.leads import lead_name

# ISO 11073-91064 and DICOM PS3.16, CID 3001; a lead that is not listed is called by its number
LEADS = {
    **dict(enumerate(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "V7"), 1)),
    **dict(enumerate(("V2R", "V3R", "V4R", "V5R", "V6R", "V7R", "X", "Y", "Z", "CC5", "CM5"), 10)),
    **dict(enumerate(("derived I", "derived II", *(f"derived V{k}" for k in range(1, 7))), 31)),
    **dict(enumerate(("III", "aVR", "aVL", "aVF", "-aVR", "V8", "V9", "V8R", "V9R"), 61)),
    **dict(enumerate(("derived III", "derived aVR", "derived aVL", "derived aVF"), 111)),
    **dict(enumerate(("ES", "AS", "AI"), 131)),
}
MDC_NUMBER = re.compile(r"2:(\d{1,5})")
SCP_NUMBER = re.compile(r"5\.6\.3-9-(\d{1,5})")
MDC_NAME = re.compile(r"MDC_ECG_(?:LEAD|ELEC_POTL)_([A-Z0-9_]+)")


def lead_of_number(number: int) -> str:
    """Return the name of a lead by its number in SCP-ECG."""
    return LEADS.get(number, f"lead {number}")


def lead_of_code(code: str) -> str | None:
    """Return the name of a lead by its code in DICOM or HL7; None for a code of another kind."""
    found = MDC_NUMBER.fullmatch(code) or SCP_NUMBER.fullmatch(code)
    if found is not None:
        return lead_of_number(int(found.group(1)))
    named = MDC_NAME.fullmatch(code.upper())
    return lead_name(named.group(1).replace("_", " ")) if named is not None else None
