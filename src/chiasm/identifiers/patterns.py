"""Patterns of identifiers within a text: what has a shape of its own, and what a word beside it gives away.

Each pattern is a regular expression and, where the shape alone says too little, a check of what it matched. A span is
told once, by the first pattern that takes it: what stands behind "fax" is a fax number and no telephone number too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chiasm.identifiers import checksums

CHARACTERS = 20_000  # of a text that are looked at
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?|januar|februar|m\u00e4rz|mai|juni|juli|oktober|dezember|janvier|f\u00e9vrier|mars|avril|"
    r"juin|juillet|ao\u00fbt|septembre|octobre|novembre|d\u00e9cembre)\.?"
)
YEAR, DAY, MONTH_NUMBER = r"(?:1[89]\d{2}|20\d{2})", r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
TOKEN = r"(?=[\w./-]*\d)[A-Z0-9][\w./-]*[A-Z0-9]"
NUMBER = r"(?:\s*(?:number|numbers|nummer|no|nr|num|id|code|#)\b\.?)?\s*[:#=-]?\s*"
VOCABULARIES = re.compile(  # what such an address names is a standard, a licence or an article, and no patient
    r"(?i)^(?:https?://|ftp://)?(?:www\.)?(?:[\w-]+\.)*(?:loinc\.org|hl7\.org|snomed\.(?:info|org)|unitsofmeasure\.org|"
    r"w3\.org|purl\.org|purl\.obolibrary\.org|schema\.org|xml\.org|adobe\.com|iptc\.org|openmicroscopy\.org|"
    r"schemas\.[\w.]+|creativecommons\.org|opensource\.org|doi\.org|nih\.gov|rxnav\.nlm\.nih\.gov|who\.int|ihe\.net|"
    r"nema\.org|itk\.org|python\.org|github\.com|clinicaltrials\.gov|example\.org/fhir|ohdsi\.org|iana\.org|hl7\.eu)(?=[/:?#\s]|$)"
)


@dataclass(frozen=True)
class Pattern:
    """A kind, why it is thought so, what matches, and which matches count."""

    kind: str
    why: str
    shape: re.Pattern[str]
    counts: Callable[[re.Match[str]], bool] = lambda found: True


def _pattern(
    kind: str, why: str, shape: str, counts: Callable[[re.Match[str]], bool] | None = None, flags: int = 0
) -> Pattern:
    return Pattern(kind, why, re.compile(shape, flags), counts or (lambda found: True))


def _beside(kind: str, words: str, what: str = TOKEN) -> Pattern:
    """A code of digits that stands behind one of these words."""
    return _pattern(kind, "a word before it", rf"\b(?:{words})(?![^\W\d_])\.?{NUMBER}{what}", None, re.IGNORECASE)


def _plain(found: re.Match[str]) -> str:
    return re.sub(r"[\s.-]", "", found[0])


def _is_address(found: re.Match[str]) -> bool:
    parts = [int(part) for part in found[0].split(".")]
    before = found.string[max(0, found.start() - 12) : found.start()]
    if re.search(r"(?i)\b(?:EC|version|v|release|section|chapter|oid|build)[ :.]*$", before):
        return False  # the number of an enzyme or a program
    return max(parts) < 256 and max(parts) > 9  # 1.2.3.4 is the number of a version or a paragraph


def _is_long_address(found: re.Match[str]) -> bool:
    try:
        return ipaddress.ip_address(found[0]).version == 6 and len(found[0]) >= 8
    except ValueError:
        return False


def _is_telephone(found: re.Match[str]) -> bool:
    return 8 <= sum(sign.isdigit() for sign in found[0]) <= 15


def _is_vehicle(found: re.Match[str]) -> bool:
    text = found[0]
    letters = sum(sign.isalpha() for sign in text)
    return letters >= 3 and sum(sign.isalpha() for sign in text[:8]) >= 2 and text[0] != "0"


def _is_of_one_day(found: re.Match[str]) -> bool:
    """Tell a date from the end of a span in prose, `between May 2001 and June 2003`: the time of a study."""
    before = found.string[max(0, found.start() - 40) : found.start()]
    after = found.string[found.end() : found.end() + 30]
    first = re.search(r"(?i)\b(?:between|from)(?: the)? $", before) and re.match(
        rf"(?i),? (?:and|to|until|through) .*{YEAR}", after
    )
    last = re.search(rf"(?i){YEAR},? (?:and|to|until|through) $", before) or re.search(r"(?i)\d ?[-\u2013] ?$", before)
    return not (first or last or re.match(rf"(?i) ?[-\u2013] ?(?:{MONTH}|{DAY})", after))


def _is_old(found: re.Match[str]) -> bool:
    before = found.string[max(0, found.start() - 12) : found.start()]
    return not re.search(r"\d(?: years?)? ?(?:-|\u2013|to|and) ?$", before)  # 18 to 100 years: whom a study takes


STATE_NAMES = (
    "Alabama Alaska Arizona Arkansas California Colorado Connecticut Delaware Florida Georgia Hawaii Idaho Illinois "
    "Indiana Iowa Kansas Kentucky Louisiana Maine Maryland Massachusetts Michigan Minnesota Mississippi Missouri "
    "Montana Nebraska Nevada Ohio Oklahoma Oregon Pennsylvania Tennessee Texas Utah Vermont Virginia Washington "
    "Wisconsin Wyoming"
)
STATES = frozenset(STATE_NAMES.split())  # a state is no smaller place
PATTERNS = (
    _pattern("email", "its shape", r"[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}\b"),
    _pattern(
        "url",
        "its shape",
        r"(?:https?|ftp)://[^\s\"'<>|]+|\bwww\.[\w-]+\.[\w./-]+",
        lambda found: VOCABULARIES.match(found[0]) is None,
        re.IGNORECASE,
    ),
    _pattern(
        "photo",
        "the name of a picture",
        r"(?:face|facial|portrait|selfie|mugshot|headshot|passport)[\w-]{0,60}\."
        r"(?:jpe?g|png|heic|tiff?|bmp|gif)\b",
        None,
        re.IGNORECASE,
    ),
    _pattern("other", "its shape", r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", None, re.IGNORECASE),
    _pattern("ip", "its shape", r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]|\.\d)", _is_address),
    _pattern("device", "its shape", r"(?<![\w:-])(?:[0-9A-F]{2}[:-]){5}[0-9A-F]{2}(?![\w:-])", None, re.IGNORECASE),
    _pattern("ip", "its shape", r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{0,4}(?![\w:])", _is_long_address),
    _pattern("device", "its check digit", r"\(01\)\d{14}", lambda found: checksums.gtin(found[0][4:])),
    _pattern(
        "account",
        "its check digits",
        r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
        lambda found: checksums.iban(_plain(found)),
    ),
    _pattern(
        "account",
        "its check digits",
        r"(?<![\d-])\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?![\d-])",
        lambda found: checksums.card(_plain(found)),
    ),
    _pattern(
        "social",
        "its check digits",
        r"\b[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}\b",
        lambda found: checksums.nir(_plain(found)),
    ),
    _pattern(
        "social",
        "its check letter",
        r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b",
        lambda found: checksums.codice_fiscale(found[0]),
    ),
    _pattern(
        "social",
        "its check digits",
        r"(?<![\d.])\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)",
        lambda found: checksums.cpf(found[0]),
    ),
    _pattern(
        "social",
        "its check digit",
        r"(?<![\d-])(?:\d{2})?\d{6}[-+]\d{4}(?![\d-])",
        lambda found: checksums.personnummer(found[0]),
    ),
    _pattern(
        "social",
        "its check digits",
        r"(?<![\d.-])\d{6} ?\d{5}(?![\d.-])",
        lambda found: checksums.fodselsnummer(_plain(found)),
    ),
    _pattern("social", "its shape", r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"),
    _pattern(
        "record", "its check digit", r"(?<![\d-])\d{3} \d{3} \d{4}(?![\d-])", lambda found: checksums.nhs(_plain(found))
    ),
    _pattern(
        "plan",
        "its shape",
        r"\b[1-9][A-Z][A-Z0-9]\d-[A-Z][A-Z0-9]\d-[A-Z]{2}\d{2}\b",
        lambda found: checksums.mbi(found[0]),
    ),
    _pattern("vehicle", "its shape", r"\b[A-HJ-NPR-Z0-9]{13}\d{4}\b", _is_vehicle),
    _beside("fax", "tele?fax|fax", r"\+?[\d(][\d\s()/.-]{5,}\d"),
    _beside(
        "phone",
        "tel|telephone|phone|telefon|t\u00e9l\u00e9phone|mobile|cell|handy|call(?: back)?",
        r"\+?[\d(][\d\s()/.-]{5,}\d",
    ),
    _beside(
        "plan", "health plan|insurance|insured|member|policy|beneficiary|medicare|medicaid|versichertennummer|kvnr"
    ),
    _beside("account", "account|acct|a/c|konto(?:nummer)?|invoice", r"\d[\w -]{3,}\d"),
    _beside(
        "vehicle",
        "(?:licen[cs]e|number|registration) plate|vin|kennzeichen",
        r"(?=[A-Z -]{0,6}\d)[A-Z0-9][A-Z0-9 -]{3,}",
    ),
    _beside(
        "licence",
        r"(?:medical |driver'?s? |driving )?(?:licen[cs]e|certificate|permit)|lic|passport|npi|dea|gmc",
        rf"(?!v?\d+(?:\.\d+)+\b){TOKEN}",  # a licence of software has a version
    ),
    _beside(
        "record",
        "mrn|medical record|hospital number|patient (?:number|no|id)|record (?:number|no)|nhs|chart|fallnummer|"
        "patientennummer|case number",
    ),
    _beside("social", "ssn|social security|national insurance|nino|sozialversicherungsnummer|cpr|personnummer|aadhaar"),
    _beside("device", r"serial|s/n|sn|device|udi|imei|implant", r"(?=[\w./-]*\d{3})[A-Z0-9][\w./-]{3,}"),
    _beside(
        "biometric",
        r"(?:iris|retinal?|finger ?print|voice ?print|face ?print|palm ?print|biometric|gait)"
        r"(?:[\s_-]*(?:scan|template|hash|signature|embedding))?",
        r"(?=[\w./-]*\d)[A-Z0-9][\w./-]{4,}",
    ),
    _beside(
        "other",
        r"(?:study[ -]?)?pseudonym|(?:study|subject|participant|specimen|sample)[ -]id|barcode|accession(?: number)?",
        r"(?=[\w./-]*\d)[A-Z0-9][\w./-]{2,}",
    ),
    _pattern(
        "phone",
        "its shape",
        r"(?<![\w.+])\+\d{1,3}[\s.-]?(?:\(\d{1,4}\)[\s.-]?)?\d{1,5}(?:[\s.-]?\d{2,5}){1,4}(?!\d)",
        _is_telephone,
    ),
    _pattern("phone", "its shape", r"(?<![\w.-])(?:\([2-9]\d{2}\)\s?|[2-9]\d{2}[-.])[2-9]\d{2}[-.]\d{4}(?![\w-])"),
    _pattern("date", "its shape", rf"(?<![\w.-]){YEAR}[-/.]{MONTH_NUMBER}[-/.]{DAY}(?!\d|[-/]\d)"),
    _pattern("date", "its shape", rf"(?<![\w./-]){DAY}([-/.]){MONTH_NUMBER}\1(?:{YEAR})(?![\w/]|[.-]\d)"),
    _pattern("date", "its shape", rf"(?<![\w./-]){MONTH_NUMBER}([-/]){DAY}\1(?:{YEAR})(?![\w/]|[.-]\d)"),
    _pattern("date", "its shape", rf"(?<![\w./]){DAY}(?:/{MONTH_NUMBER}/|\.{MONTH_NUMBER}\.)\d{{2}}(?![\w/.])"),
    _pattern(
        "date",
        "its shape",
        rf"\b{DAY}(?:st|nd|rd|th|\.)?(?: of)?[ -]{MONTH},?[ -](?:{YEAR}|\d{{2}})\b",
        _is_of_one_day,
        re.IGNORECASE,
    ),
    _pattern("date", "its shape", rf"\b{MONTH} {DAY}(?:st|nd|rd|th)?,? {YEAR}\b", _is_of_one_day, re.IGNORECASE),
    _pattern("date", "its shape", rf"\b{MONTH},? (?:of )?{YEAR}\b", _is_of_one_day, re.IGNORECASE),
    _pattern(
        "date",
        "a word before it",
        rf"\b(?:dob|born|birth|geboren|date|datum)\b[\w\s]{{0,12}}[:=]?\s*"
        rf"{YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\b",
        None,
        re.IGNORECASE,
    ),
    _pattern(
        "date",
        "an age over 89",
        r"\b(?P<age>9\d|1[0-2]\d)[ -]?(?:years?|yrs?|yo|y/o|y\.o\.|ans|jahre)\b"
        r"(?![ -]*(?:or|and|,)? *(?:older|over|above|more))",
        _is_old,
        re.IGNORECASE,
    ),
    _pattern(
        "date", "an age over 89", r"\baged? (?P<age>9\d|1[0-2]\d)\b(?! *(?:\+|or|and|years or))", _is_old, re.IGNORECASE
    ),
    _pattern(
        "place",
        "its shape",
        r"\b\d{1,5}[a-z]?,? (?:[A-Z][\w'-]+ ){1,3}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Close|"
        r"Court|Boulevard|Blvd|Way|Square|Terrace|Crescent|Gardens)\b",
    ),
    _pattern(
        "place",
        "its shape",
        r"\b[A-Z\u00c4\u00d6\u00dc][\w-]*(?:stra\u00dfe|strasse|str\.|gasse|allee|weg|platz) \d{1,4}[a-z]?\b",
    ),
    _pattern(
        "place",
        "its shape",
        r"\b\d{1,4}(?: bis| ter)?,? (?:rue|avenue|boulevard|place|chemin|all\u00e9e|impasse) (?:de |du |des |"
        r"la |l')*[A-Z]\w+",
    ),
    _pattern("place", "its shape", r"\b(?:[A-Z]{1,2}\d[A-Z\d]?|GIR) \d[ABD-HJLNP-UW-Z]{2}\b"),
    _pattern(
        "place",
        "its shape",
        r"\b(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|"
        r"T[NX]|UT|V[AT]|W[AIVY]),? \d{5}(?:-\d{4})?\b",
    ),
    _pattern(
        "place",
        "a word before it",
        r"\b(?:lives? in|resident of|residing (?:in|at)|address|wohnhaft in)\b[:\s]+(?:\d+ )?[A-Z][\w'-]+",
        lambda found: found[0].split()[-1] not in STATES,
    ),
)


DIGIT = re.compile(r"\d")
WITHOUT_DIGIT = tuple(own for own in PATTERNS if own.kind in ("email", "url", "photo", "place"))


def found_in(text: str) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Yield kind, reason and span of what stands in the first 20,000 characters of a text; no span is told twice."""
    if len(text) < 4:
        return
    text = text[:CHARACTERS]
    taken: list[tuple[int, int]] = []
    for pattern in PATTERNS if DIGIT.search(text) else WITHOUT_DIGIT:
        for found in pattern.shape.finditer(text):
            start, end = found.span()
            if any(start < last and first < end for first, last in taken) or not pattern.counts(found):
                continue
            taken.append((start, end))
            yield pattern.kind, pattern.why, (start, end)
