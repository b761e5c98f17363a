"""What stands in a text: each kind in several spellings, and what looks like one and is none."""

from __future__ import annotations

import pytest

from chiasm.identifiers.names import labelled, looks_like_a_name
from chiasm.identifiers.patterns import found_in

HELD = [
    ("email", "write to m.o'neil+study@st-olaf.example.org today"),
    ("url", "see https://people.example.net/~mo"),
    ("url", "www.example.net/mo"),
    ("ip", "from 203.0.113.77 at night"),
    ("ip", "from 2001:db8::ff00:42:8329"),
    ("social", "SSN 219-09-9999"),
    ("social", "n\u00b0 2 55 08 14 168 025 38"),
    ("social", "codice fiscale RSSMRA85T10A562S"),
    ("social", "personnummer 811228-9874"),
    ("record", "NHS number 943 476 5919"),
    ("record", "MRN: 00482213"),
    ("record", "Fallnummer 2023-0042"),
    ("plan", "Medicare 1EG4-TE5-MK73"),
    ("plan", "insurance no. 7781-220"),
    ("account", "pay to GB82 WEST 1234 5698 7654 32"),
    ("account", "card 4111 1111 1111 1111"),
    ("account", "account number 990 110 72"),
    ("licence", "driving licence DX-44120"),
    ("vehicle", "the car 1M8GDM9AXKP042788"),
    ("vehicle", "number plate B MW 1234"),
    ("device", "pacemaker S/N: PJN448213"),
    ("device", "00:1A:2B:3C:4D:5E"),
    ("device", "(01)00012345678905(17)261231"),
    ("biometric", "iris code 0xC0FFEE12"),
    ("photo", "Mo_face_left.JPG"),
    ("other", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
    ("other", "study pseudonym: KX-19"),
    ("phone", "call +49 30 901820 or"),
    ("phone", "(617) 555-0142"),
    ("phone", "tel. 0221 478 0"),
    ("fax", "Fax: +49 30 901821"),
    ("date", "seen on 2014-03-09"),
    ("date", "am 9.3.2014 gesehen"),
    ("date", "on March 9, 2014"),
    ("date", "9th of March 2014"),
    ("date", "born 19440506"),
    ("date", "in March 2014"),
    ("date", "a 93-year-old woman"),
    ("place", "of 17 Larkspur Lane"),
    ("place", "Lindenallee 12"),
    ("place", "12 rue de la Paix"),
    ("place", "OX3 9DU"),
    ("place", "Boston, MA 02114"),
]
NOTHING = [
    "version 1.2.3.4 of the protocol",
    "SOP class 1.2.840.10008.5.1.4.1.1.2",
    "http://loinc.org and https://doi.org/10.1000/182",
    "http://hl7.org/fhir/StructureDefinition/Patient",
    "between January 2005 and March 2007",
    "from May 2001 to June 2003",
    "platelets 140, plated colonies 1200",
    "IL6, BRCA1, TP53 and HLA-DRB1*15:01",
    "aged 90 or older; 90 years and over",
    "p = 0.0012, 95 % CI 1.02-1.34",
    "blood pressure 120/80, ratio 1:128",
    "cell count 4.5 x 10^9/l at 12:30:45",
    "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ",
    "CC(=O)Oc1ccccc1C(=O)O",
    "serial measurements of 12 patients",
    "std::vector<int> a::b",
    "a telomere, a faxed copy, a license agreement",
    "He lives in Wyoming, under the Attribution License v1.0 and License 3.0",
    "enzyme EC 3.1.1.11, pub. aged 18-100 years of age, 8 - 90 years",
    "between January 1, 1992, and August 31, 1994",
    "8.2 mmol/l, 140-160 mg, days 1-28",
]


@pytest.mark.parametrize(("kind", "text"), HELD, ids=lambda own: own[:24])
def test_a_text_holds_an_identifier(kind: str, text: str) -> None:
    assert kind in {own for own, *_ in found_in(text)}, list(found_in(text))


def test_what_looks_like_one_and_is_none() -> None:
    assert {text: [own for own, *_ in found_in(text)] for text in NOTHING if list(found_in(text))} == {}


def test_a_span_is_told_once() -> None:
    spans = [span for _, _, span in found_in("fax +44 1632 960984, phone +44 1632 960983, e-mail z@w.example")]
    assert len(spans) == 3
    assert all(first[1] <= second[0] for first, second in zip(sorted(spans), sorted(spans)[1:], strict=False))


def test_names_behind_titles_and_labels() -> None:
    for text in (
        "seen by Dr. Fell",
        "Name: Quartermain, Zelda",
        "Frau M. Schmidt",
        "signed by: Jos\u00e9 \u00c1lvarez",
    ):
        assert labelled(text), text
    for text in ("Name: unknown", "the doctor was seen", "Dr. unknown", "no name", "mother: 62 years"):
        assert not labelled(text), text


def test_what_may_be_somebodys_name() -> None:
    for text in ("Zelda Quartermain", "Ludwig van Beethoven", "J. R. Tolkien", "Mary O'Neil-Smith"):
        assert looks_like_a_name(text), text
    for text in ("Zelda", "BRCA1 Gene", "The Lancet", "University of Oxford", "CI Score", "zelda quartermain"):
        assert not looks_like_a_name(text), text
