"""Card numbers are found however people write them; ids, days and other numbers are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.card_numbers import holds_card_number, passes_luhn, without_card_numbers


def with_check_digit(digits: str) -> str:
    return next(digits + check for check in "0123456789" if passes_luhn(digits + check))


@given(
    digits=st.text("0123456789", min_size=12, max_size=18).map(with_check_digit),
    separator=st.sampled_from(["", " ", "-", " - ", "\u2011", "\u00a0", "."]),
    size=st.integers(2, 6),
    before=st.sampled_from(["", "card ", "PAN:", "№ "]),
    after=st.sampled_from(["", " exp 12/29", ", cvc", " x"]),
)
def test_a_card_number_is_found_in_any_grouping(
    digits: str, separator: str, size: int, before: str, after: str
) -> None:
    written = separator.join(digits[place : place + size] for place in range(0, len(digits), size))
    assert holds_card_number(f"{before}{written}{after}")


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111 12 29",
        "12 4111 1111 1111 1111",
        "\uff14\uff11\uff11\uff11 1111 1111 1111",
        "x4111111111111111y",
    ],
)
def test_neighbouring_digits_do_not_hide_it(text: str) -> None:
    assert holds_card_number(text)


@given(st.uuids())
def test_an_id_is_none(number: object) -> None:
    assert not holds_card_number(f"subscription/{number}, again {number}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",  # the check digit is wrong
        "411111111111",  # too short
        "41111111111111111111",  # too long
        "2026-12-01T09:30:00.123456Z",
        "+49 30 901820",
        "reader-4711/article-815/2026-12-01",
    ],
)
def test_other_numbers_are_none(text: str) -> None:
    assert not holds_card_number(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("card 4242 4242 4242 4242 was refused", "card [card] was refused"),
        ("5555-5555-5555-4444", "[card]"),
        ("378282246310005.", "[card]."),
        # Instants, ids and amounts stay, whatever their check digit says.
        ("at 1732900000002", "at 1732900000002"),
        ("at 1732900000004 ms", "at 1732900000004 ms"),
        ("01a205bd-4242-4242-4242-424242424242", "01a205bd-4242-4242-4242-424242424242"),
        ("4242 4242 4242 4241", "4242 4242 4242 4241"),
        ("", ""),
    ],
)
def test_card_numbers_are_masked_where_they_stand(text: str, shown: str) -> None:
    assert without_card_numbers(text, "[card]") == shown


def test_of_instants_in_milliseconds_none_is_masked() -> None:
    text = " | ".join(str(1_732_900_000_000 + step) for step in range(100))
    assert without_card_numbers(text, "[card]") == text
