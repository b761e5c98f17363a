"""Read XML of recordings as a small tree, by `safe_xml`: without a subtree that says who the patient is."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from xml.etree.ElementTree import Element

from chiasm.readers.reading import ReadError
from chiasm.readers.safe_xml import tree_of

MOST_BYTES = 64 << 20
MOST_ELEMENTS = 100_000  # that are kept
AGAIN = "export the recording again"


def is_xml(path: Path) -> bool:
    """Tell whether the file begins as XML does: with `<`, in UTF-8 or UTF-16."""
    with path.open("rb") as file:
        start = file.read(64)
    return start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<")


def read_tree(path: Path, without: Collection[str]) -> tuple[Element, set[str]]:
    """Parse the file; names are without namespace. A document type may be named by a link, which is not followed.

    Args:
        without: names of elements that are left out with all they hold.

    Returns:
        The root, and which of `without` hold any text or attribute.

    Raises:
        ReadError: damaged, over a limit, nested too deeply, or with entities.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ReadError(f"the XML file is over {MOST_BYTES >> 20} MB", "export the recording as DICOM, EDF or WFDB")
    return tree_of(path.read_bytes(), without, most=MOST_ELEMENTS, again=AGAIN)
