"""What the name of a column, a tag or another field says of its values: the kind of identifier it announces, if any.

A name announces and proves nothing: `values_fit` of `columns.py` asks the values too.
"""

from __future__ import annotations

import re

WORDS = {
    "name": r"(?:(?:patients?|pat|person|first|last|middle|full|family|given|fore|sur|maiden|birth|mothers?|"
    r"fathers?|partner|contact|"
    r"next of kin|physicians?|doctors?|clinicians?|nurse|surgeon|operators?|referring|performing|attending|"
    r"reading|technician|"
    r"reporter|user|owner|author|human|legal|display) ?)+(?:s )?names?|names?|surname|fore ?name|firstname|"
    r"lastname|fullname|"
    r"nachname|vorname|prenom|apellidos?|nombre|cognome|nome|initials|patient|person|clinician|physician|doctor|consultant|surgeon|"
    r"operator|nurse|technician|author|creator|last modified by|manager|copyright|artist|x?p?author|recorded by|"
    r"admin code|technicien",
    "place": r".*\b(?:address|addr|street|strasse|village|suburb|county|district|municipality|borough|"
    r"neighbou?rhood|parish|zip|"
    r"zip ?code|post ?code|postal ?code|plz|wohnort|latitude|longitude|gps|birthplace|geographic|locality|"
    r"hospital|institution|"
    r"clinic)\b.*|city|town|ort|(?:home|patient|current) location|place of birth|residence|hospital name|"
    r"institution name",
    "date": r".*\b(?:date|dates|dob|birth ?da(?:y|te)|datum|geburtsdatum|timestamp|date ?time|naissance|"
    r"nacimiento)\b.*|"
    r"(?:day|month|year month) of .*|start ?time|admitted|discharged|deceased",
    "phone": r".*\b(?:phone|telephone|tel|telefon|mobile|handy|callback|cell ?phone|telephone numbers|"
    r"phones?)\b.*|contact number",
    "fax": r".*\b(?:tele)?fax\b.*",
    "email": r".*\be ?mails?\b.*",
    "social": r".*\b(?:ssn|social security|nino|national (?:id|insurance|identity)|sozialversicherung\w*|"
    r"personnummer|bsn|aadhaar|"
    r"cpf|dni|codice fiscale|fodselsnummer|cpr|nir)\b.*",
    "record": r".*\b(?:mrn|medical record|record (?:no|nr|number|id)|hospital (?:no|nr|number|id)|nhs|"
    r"chart (?:no|number)|case (?:no|nr|"
    r"number)|fallnummer|patientennummer|ipp|encounter (?:id|no|number)|admission (?:id|no|number)|"
    r"accession(?: number)?)\b.*|"
    r"patient ?(?:id|no|nr|number|code|identifier)|other patient ids?|pid",
    "plan": r".*\b(?:health plan|insurance|insured|insurer|policy|member(?:ship)? (?:id|no|nr|number)|"
    r"beneficiary|medicare|medicaid|hicn|"
    r"mbi|kvnr|versicherten\w*|subscriber)\b.*",
    "account": r".*\b(?:account|acct|iban|konto\w*|bank|billing|invoice|credit card|card number)\b.*",
    "licence": r".*\b(?:licen[cs]e|certificate|passport|permit|dea|npi|gmc|registration (?:no|nr|number))\b.*",
    "vehicle": r".*\b(?:vehicle|vin|plate|kennzeichen|car registration)\b.*",
    "device": r".*\b(?:serial|serial (?:no|nr|number)|udi|imei|implant|mac address|pacemaker|equipment|"
    r"device(?: (?:id|no|nr|number|identifier|"
    r"serial))?|body serial number|scanner id|gantry id|detector id|plate id|scan ?scope id)\b.*|transducer",
    "url": r".*\b(?:url|uri|website|web ?site|homepage|hyperlink)\b.*",
    "ip": r".*\bip(?: address)?\b.*|host ?name|host computer",
    "biometric": r".*\b(?:biometrics?|finger ?print|iris|retina(?:l)? scan|voice ?print|face (?:embedding|"
    r"encoding|print|template)|"
    r"palm ?print)\b.*",
    "photo": r".*\b(?:photo|photos|photograph|portrait|selfie|face image|face photo|avatar|headshot|mugshot)\b.*",
    "other": r".*\b(?:uuid|guid|pseudonym|barcode|initials)\b.*|(?:study|subject|participant|sample|specimen|"
    r"client|customer|trial|donor|"
    r"enrolment|enrollment|screening|randomi[sz]ation) ?(?:id|no|nr|number|code)|.*\b(?:id|identifier)",
}
SHAPES = {kind: re.compile(words) for kind, words in WORDS.items()}
AGE = re.compile(r"(?:.* )?(?:age|alter|edad)(?: .*)?")
IN_DAYS, IN_MONTHS = re.compile(r"\bdays?\b|\bd\b"), re.compile(r"\bmonths?\b|\bmo\b")
NOT_OF_PEOPLE = re.compile(  # `gene name` names a gene
    r"\b(?:gene|drug|protein|file|column|variable|test|lab|unit|species|strain|cell|class|label|brand|trade|generic|product|model|"
    r"manufacturer|event|study|series|sequence|protocol|package|software|feature|item|code|disease|procedure|medication|generator|"
    r"station|table|index|layer|key|display|set|method|body part|pandas|type|chemical|compound|molecule|symbol|"
    r"target|transfer|sop|"
    r"implementation|version|kind|category|status|tissue source|intent)\b"
)


def words_of(name: str) -> str:
    """Return the words of a name, in small letters: `Patient's_BirthDate2` is `patients birth date 2`."""
    text = re.sub(r"['\u2019]", "", name)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=\d)", " ", text)
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def announced(name: str) -> str | None:
    """Return the kind of identifier that a name announces, the first in order; or None."""
    words = words_of(name)
    for kind, shape in SHAPES.items():
        if shape.fullmatch(words) and not (kind in ("name", "other", "date") and NOT_OF_PEOPLE.search(words)):
            return kind
    return None


def is_bare(name: str) -> bool:
    """Tell whether a field is called a name, and does not say whose."""
    return words_of(name).split(" ")[-1] in ("name", "names") and len(words_of(name).split(" ")) == 1


def years_of_age(name: str) -> float | None:
    """Return how many of a column's units make a year, where it is an age by its name; else None."""
    words = words_of(name)
    if not AGE.fullmatch(words):
        return None
    return 365.25 if IN_DAYS.search(words) else 12.0 if IN_MONTHS.search(words) else 1.0
