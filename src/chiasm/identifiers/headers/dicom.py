"""Tags of DICOM headers that identify, by the Basic Application Level Confidentiality Profile (PS3.15, table E.1-1).

The profile lists some hundred attributes to be removed or replaced. Here each of a kind of the Safe Harbor rule has
that kind: names by their value representation (PN), dates by theirs (DA, DT), those below by their keyword. The text of
all other attributes is looked at as any text is, since a description may hold anything. UIDs are not reported: a header
does not tell one that was replaced, as the profile asks, from one that was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chiasm.identifiers.headers.label import LABELS, Label
from chiasm.readers.image.dicom_header import HEADER_BYTES, PIXELS, UNDEFINED, opened

BY_KEYWORD = {
    "place": (
        "PatientAddress InstitutionAddress InstitutionName InstitutionalDepartmentName CountryOfResidence "
        "RegionOfResidence "
        "PatientInstitutionResidence CurrentPatientLocation ReferringPhysicianAddress PersonAddress PerformedLocation "
        "RequestedProcedureLocation ScheduledProcedureStepLocation OrderEntererLocation ScheduledStudyLocation "
        "ScheduledPatientInstitutionResidence ResponsibleOrganization "
        "VerifyingOrganization "
        "HumanPerformerOrganization RequestingService ClinicalTrialSiteName ClinicalTrialSiteID GPSLatitude "
        "GPSLongitude "
        "DistributionAddress "
    ),
    "phone": (
        "PatientTelephoneNumbers ReferringPhysicianTelephoneNumbers PersonTelephoneNumbers PersonTelecomInformation "
        "OrderCallbackPhoneNumber OrderCallbackTelecomInformation PatientTelecomInformation"
    ),
    "record": (
        "PatientID OtherPatientIDs MedicalRecordLocator AdmissionID AccessionNumber StudyID ServiceEpisodeID "
        "RequestedProcedureID PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest "
        "PerformedProcedureStepID ScheduledProcedureStepID"
    ),
    "plan": "InsurancePlanIdentification",
    "device": (
        "DeviceSerialNumber DetectorID GantryID GeneratorID PlateID CassetteID StationName DeviceUID "
        "ModifyingDeviceID PerformedStationName ScheduledStationName UniqueDeviceIdentifier DeviceLabel XRaySourceID "
        "XRayDetectorID SourceSerialNumber LensSerialNumber"
    ),
    "ip": "PerformedStationAETitle ScheduledStationAETitle RetrieveAETitle SourceApplicationEntityTitle",
    "url": "RetrieveURL RetrieveURI PixelDataProviderURL",
    "other": (
        "MilitaryRank BranchOfService Occupation PatientReligiousPreference IconImageSequence "
        "ClinicalTrialSubjectID ClinicalTrialSubjectReadingID"
    ),
}
KIND_OF = {keyword: kind for kind, keywords in BY_KEYWORD.items() for keyword in keywords.split()}
TEXTS = ("AE", "AS", "CS", "DS", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT", "DA", "DT")
SHIFTED = "MODIFIED", "REMOVED"  # LongitudinalTemporalInformationModified: the dates are no patient's any more
CHARACTERS = 2_000
DEEP = 6  # sequences within sequences


def dicom_labels(path: Path) -> Iterator[Label]:
    """Yield the tags of a DICOM file with a text, private ones too, up to its pixels; inside `guarded`."""
    from pydicom.filereader import read_partial

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        return tag in PIXELS or (length != UNDEFINED and length > HEADER_BYTES)

    with opened(path, HEADER_BYTES) as (stream, _):
        tags = read_partial(stream, stop_when=at_pixels, defer_size=1 << 16, force=False)
        yield from _told(tags)


def _told(tags: Any) -> Iterator[Label]:
    removed = str(tags.get("PatientIdentityRemoved", "")).upper() == "YES"
    shifted = str(tags.get("LongitudinalTemporalInformationModified", "")).upper() in SHIFTED
    if str(tags.get("BurnedInAnnotation", "")).upper() == "YES":
        yield Label("BurnedInAnnotation", "text in the pixels", "other")
    if str(tags.get("RecognizableVisualFeatures", "")).upper() == "YES":
        yield Label("RecognizableVisualFeatures", "a face in the pixels", "photo")
    if any(str(own).upper() in ("LABEL", "OVERVIEW") for own in tags.get("ImageType") or ()):
        yield Label("ImageType", "a picture of the slide's label", "other")
    for count, (element, private) in enumerate(_elements(tags)):
        if count > LABELS:
            return
        name = f"private tag ({element.tag.group:04x},{element.tag.element:04x})" if private else _name_of(element)
        if private and element.tag.element < 0x100:
            continue  # who reserved the block
        text = _text(element)
        if text:
            yield Label(name, text, _kind(element, private, removed, shifted, tags))
    if any(element.tag.group & 0xFF01 == 0x6000 for element in tags):
        yield Label("overlay (60xx,3000)", "a drawing over the pixels", "other")


def _elements(tags: Any, private: bool = False, depth: int = 0) -> Iterator[tuple[Any, bool]]:
    for element in tags:
        hidden = private or element.tag.is_private
        if element.VR == "SQ":
            for item in element.value if depth < DEEP else ():
                yield from _elements(item, hidden, depth + 1)
        elif element.VR in TEXTS or (hidden and element.VR in ("UN", "OB")):
            yield element, hidden


def _name_of(element: Any) -> str:
    return str(element.keyword) or f"tag ({element.tag.group:04x},{element.tag.element:04x})"


def _kind(element: Any, private: bool, removed: bool, shifted: bool, tags: Any) -> str | None:
    if private:
        return "other"
    if element.keyword in ("PatientName", "PatientID") and removed:
        return None  # a pseudonym, by the header's own word; its text is looked at all the same
    if element.keyword == "PatientAge":
        digits = "".join(sign for sign in str(element.value) if sign.isdigit())
        return "date" if str(element.value).endswith("Y") and digits and int(digits) > 89 else None
    if element.VR == "PN":
        return "name"
    if element.VR in ("DA", "DT"):
        return None if shifted or element.tag.group == 0x0002 else "date"
    return KIND_OF.get(element.keyword)


def _text(element: Any) -> str:
    value = element.value
    if isinstance(value, bytes):
        plain = value.rstrip(b"\0 ")
        return plain.decode("latin-1")[:CHARACTERS] if plain.isascii() and plain.decode("ascii").isprintable() else ""
    parts = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    if element.VR in ("DS", "IS", "TM", "CS") and element.keyword not in KIND_OF:
        return ""  # numbers, times of day and fixed words
    return "; ".join(str(part) for part in parts if part is not None and str(part).strip())[:CHARACTERS]
