"""Names of leads by the numbers that SCP-ECG, DICOM (MDC 2:n, SCPECG 5.6.3-9-n) and HL7 (MDC_ECG_LEAD_x) share."""

from __future__ import annotations

import re

from chiasm.readers.signal.leads import lead_name

# ISO 11073-91064 and DICOM PS3.16, CID 3001
LEADS = {
    **dict(enumerate(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "V7"), 1)),
    **dict(enumerate(("V2R", "V3R", "V4R", "V5R", "V6R", "V7R", "X", "Y", "Z", "CC5", "CM5"), 10)),
    **dict(enumerate(("derived I", "derived II", *(f"derived V{k}" for k in range(1, 7))), 31)),
    **dict(enumerate(("III", "aVR", "aVL", "aVF", "-aVR", "V8", "V9", "V8R", "V9R"), 61)),
    **dict(enumerate(("derived III", "derived aVR", "derived aVL", "derived aVF"), 111)),
    **dict(enumerate(("ES", "AS", "AI"), 131)),
}
NO_LEADS = {73: "defibrillator", 74: "external pacing"}
# names by which MDC calls a lead, where they are not the lead's own; `d` is derived, `f` one of Frank's electrodes
NAMED = {"AVRNEG": "-aVR", **{f"F{place}": f"Frank {place}" for place in "IECAMFH"}}
DERIVED = re.compile(r"D(I{1,3}|AV[RLF]|V[1-6])")
MDC_NUMBER = re.compile(r"2:(\d{1,5})")
SCP_NUMBER = re.compile(r"5\.6\.3-9-(\d{1,5})")
MDC_NAME = re.compile(r"MDC_ECG_(?:LEAD|ELEC_POTL)_([A-Z0-9_]+)")


def lead_of_number(number: int) -> str:
    """Return the name of a lead by its number in SCP-ECG; a lead that is not listed is called by its number."""
    return (LEADS | NO_LEADS).get(number, f"lead {number}")


def lead_of_code(code: str) -> str | None:
    """Return the name of a lead by its code in DICOM or HL7; None for another kind of code, or one not listed."""
    found = MDC_NUMBER.fullmatch(code) or SCP_NUMBER.fullmatch(code)
    if found is not None:
        return (LEADS | NO_LEADS).get(int(found.group(1)))
    named = MDC_NAME.fullmatch(code.upper())
    if named is None:
        return None
    name = named.group(1)
    if name in NAMED:
        return NAMED[name]
    derived = DERIVED.fullmatch(name)  # `DI` is no European name of a lead here
    return f"derived {lead_name(derived.group(1))}" if derived else lead_name(name.replace("_", " "))
