"""Check digits: published examples pass, and no other digit in any place does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chiasm.identifiers import checksums

EXAMPLES: list[tuple[Callable[[str], bool], str]] = [
    (checksums.nhs, "9434765919"),
    (checksums.iban, "GB82WEST12345698765432"),
    (checksums.kvnr, "A123456780"),
    (checksums.nir, "255081416802538"),
    (checksums.codice_fiscale, "RSSMRA85T10A562S"),
    (checksums.personnummer, "811228-9874"),
    (checksums.fodselsnummer, "13097248022"),
    (checksums.cpf, "529.982.247-25"),
    (checksums.npi, "1234567893"),
    (checksums.card, "4111111111111111"),
    (checksums.gtin, "00012345678905"),
]


@pytest.mark.parametrize(("holds", "number"), EXAMPLES, ids=lambda own: getattr(own, "__name__", own))
def test_an_example_passes_and_one_wrong_digit_does_not(holds: Callable[[str], bool], number: str) -> None:
    assert holds(number)
    passed = 0
    for place, sign in enumerate(number):
        if sign.isdigit():
            passed += sum(holds(number[:place] + str(other) + number[place + 1 :]) for other in range(10)) - 1
    assert passed == 0


def test_a_number_of_one_digit_is_none() -> None:
    assert not checksums.nhs("0000000000") and not checksums.cpf("111.111.111-11")


def test_the_shape_of_a_medicare_number() -> None:
    assert checksums.mbi("1EG4-TE5-MK73") and checksums.mbi("1EG4TE5MK73")
    assert not checksums.mbi("1SG4-TE5-MK73") and not checksums.mbi("0EG4-TE5-MK73")
