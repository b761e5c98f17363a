"""Check digits and formats that make a number certain, or nearly: one function a number, of text without blanks.

Each says how likely a number made at random passes, given its shape. Sources: NHS Data Dictionary (NHS number); ISO
13616 and ISO 7064 (IBAN); GKV-Spitzenverband (KVNR); INSEE (NIR); ISO/IEC 7812-1 (Luhn); Skatteverket
(personnummer); Skatteetaten (fodselsnummer); Receita Federal (CPF); D.M. 23.12.1976 (codice fiscale); CMS (NPI; MBI,
which has a shape and no check digit); GS1 General Specifications (GTIN).
"""

from __future__ import annotations

import re

ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
               (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14,
                16, 10, 22, 25, 24, 23), strict=True))  # fmt: skip


def luhn(digits: str) -> bool:
    """Tell whether the last digit is that of Luhn's rule: one of ten at random."""
    total = 0
    for place, sign in enumerate(reversed(digits)):
        value = int(sign) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def nhs(digits: str) -> bool:
    """Tell whether ten digits are an NHS number, by weights 10 to 2 modulo 11: one of eleven at random."""
    if not re.fullmatch(r"\d{10}", digits) or len(set(digits)) == 1:
        return False
    check = 11 - sum(int(sign) * weight for sign, weight in zip(digits, range(10, 1, -1), strict=False)) % 11
    return check % 11 == int(digits[9]) and check != 10


def iban(text: str) -> bool:
    """Tell whether a text is an IBAN: modulo 97 of its letters as numbers is one, by chance one of 97."""
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", text):
        return False
    return int("".join(str(int(sign, 36)) for sign in text[4:] + text[:4])) % 97 == 1


def kvnr(text: str) -> bool:
    """Tell whether a text is the number of a German insured person: a letter, eight digits and theirs of Luhn."""
    if not re.fullmatch(r"[A-Z]\d{9}", text):
        return False
    digits = f"{ord(text[0]) - 64:02d}{text[1:9]}"
    doubled = [int(sign) * (2 if place % 2 else 1) for place, sign in enumerate(digits)]
    return sum(value // 10 + value % 10 for value in doubled) % 10 == int(text[9])


def nir(text: str) -> bool:
    """Tell whether a text is a French NIR: sex, year, month, place, order and a key of 97 minus the rest modulo 97."""
    if not re.fullmatch(r"[12]\d{2}(0[1-9]|1[0-2]|[2-9]\d)(\d{2}|2[AB])\d{6}\d{2}", text):
        return False
    number = int(text[:13].replace("2A", "19").replace("2B", "18"))
    return 97 - number % 97 == int(text[13:])


def codice_fiscale(text: str) -> bool:
    """Tell whether a text is an Italian codice fiscale, by its last letter: one of 26 at random."""
    if not re.fullmatch(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", text):
        return False
    even = sum(int(sign) if sign.isdigit() else ord(sign) - 65 for sign in text[1:15:2])
    return (sum(ODD[sign] for sign in text[0:15:2]) + even) % 26 == ord(text[15]) - 65


def personnummer(text: str) -> bool:
    """Tell whether a text is a Swedish personnummer, `YYMMDD-NNNN`: a day, and Luhn's digit."""
    found = re.fullmatch(r"(\d{2})?(\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))[-+](\d{4})", text)
    return found is not None and luhn(found[2] + found[3])


def fodselsnummer(text: str) -> bool:
    """Tell whether eleven digits are a Norwegian fodselsnummer: a day and two check digits modulo 11."""
    if not re.fullmatch(r"(0[1-9]|[12]\d|3[01])(0[1-9]|1[0-2])\d{7}", text):
        return False
    digits = [int(sign) for sign in text]
    first = -sum(a * b for a, b in zip(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2), strict=False)) % 11
    second = -sum(a * b for a, b in zip(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=False)) % 11
    return first == digits[9] and second == digits[10]


def cpf(text: str) -> bool:
    """Tell whether a text is a Brazilian CPF, `NNN.NNN.NNN-NN`, by two check digits: one of a hundred at random."""
    digits = [int(sign) for sign in text if sign.isdigit()]
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    for size in (9, 10):
        rest = sum(digit * weight for digit, weight in zip(digits[:size], range(size + 1, 1, -1), strict=True)) % 11
        if digits[size] != (0 if rest < 2 else 11 - rest):
            return False
    return True


def npi(digits: str) -> bool:
    """Tell whether ten digits are the number of an American provider: Luhn's digit behind the prefix 80840."""
    return bool(re.fullmatch(r"[12]\d{9}", digits)) and luhn("80840" + digits)


def mbi(text: str) -> bool:
    """Tell whether a text has the shape of a Medicare beneficiary identifier: eleven signs, no S L O I B Z."""
    letter, either = "[AC-HJKMNP-RT-Y]", "[AC-HJKMNP-RT-Y0-9]"
    shape = rf"[1-9]{letter}{either}\d{letter}{either}\d{letter}{{2}}\d{{2}}"
    return bool(re.fullmatch(shape, text.replace("-", "")))


def card(digits: str) -> bool:
    """Tell whether digits are the number of a payment card: a known first digit, 15 or 16 digits, and Luhn's."""
    return bool(re.fullmatch(r"3[47]\d{13}|[2456]\d{15}", digits)) and luhn(digits)


def gtin(digits: str) -> bool:
    """Tell whether the last digit of a GTIN is its check digit, by weights 3 and 1 from the right."""
    total = sum(int(sign) * (3 if place % 2 else 1) for place, sign in enumerate(reversed(digits)))
    return total % 10 == 0
