"""The answer about a study as a DICOM Structured Report, which stands beside the images that it was made from."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.readers.registry import missing

SCHEME = "99CHIASM"
MAKER = "chiasm"
SERIES_NUMBER = 9_000
LONG_TEXT = 1_024  # letters of a value of a text item that every viewer shows


def report_of(files: Sequence[Path], resource: Mapping[str, Any], version: str) -> bytes:
    """Return an Enhanced SR in the study of some instances: outcomes with probabilities, notes, model; unverified.

    Args:
        files: the instances that were read; nothing but their headers is.
        resource: the answer, as `risk.answer_of` gives it.

    Raises:
        Unsupported: the package highdicom is missing.
    """
    try:
        import highdicom as hd
        from highdicom.sr import CodedConcept, EnhancedSR
        from pydicom import dcmread
        from pydicom.uid import generate_uid
    except ImportError:
        raise missing("highdicom", "hospital", "structured reports") from None
    evidence = [dcmread(path, stop_before_pixels=True) for path in files]
    title = CodedConcept("126000", "DCM", "Imaging Measurement Report")
    root = hd.sr.ContainerContentItem(title, is_content_continuous=False)
    root.ContentSequence = hd.sr.ContentSequence(_items(resource, hd), is_root=False, is_sr=True)
    report = EnhancedSR(
        evidence=evidence,
        content=root,
        series_instance_uid=generate_uid(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=str(resource["method"]["text"])[:64],
        software_versions=version,
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    written = io.BytesIO()
    report.save_as(written)
    return written.getvalue()


def _items(resource: Mapping[str, Any], hd: Any) -> list[Any]:
    contains = hd.sr.RelationshipTypeValues.CONTAINS
    units = hd.sr.CodedConcept("1", "UCUM", "no units")
    found = []
    for number, own in enumerate(resource.get("prediction", []), 1):
        words = f"Probability of {own['outcome']['text']}"
        if span := own.get("whenRange"):
            words += f" within {span['high']['value']:g} {span['high'].get('unit', '')}".rstrip()
        concept = hd.sr.CodedConcept(f"P{number}", SCHEME, words[:64])
        found.append(hd.sr.NumContentItem(concept, float(own["probabilityDecimal"]), units, relationship_type=contains))
    if quantity := resource.get("valueQuantity"):
        concept = hd.sr.CodedConcept("V1", SCHEME, str(resource["code"]["text"])[:64])
        unit = hd.sr.CodedConcept(
            str(quantity.get("unit", "1"))[:16], SCHEME, str(quantity.get("unit", "no units"))[:64]
        )
        found.append(hd.sr.NumContentItem(concept, float(quantity["value"]), unit, relationship_type=contains))
    for number, note in enumerate(resource["note"], 1):
        concept = hd.sr.CodedConcept(f"N{number}", SCHEME, "Note")
        found.append(hd.sr.TextContentItem(concept, str(note["text"])[:LONG_TEXT], relationship_type=contains))
    return found
