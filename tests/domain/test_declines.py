"""What a gateway's code means for the next try."""

from __future__ import annotations

import pytest

from domain import declines
from domain.declines import DECLINES, UNRESOLVED, DeclineClass, code_name, read_decline

SOFT, HARD, ACTION = DeclineClass.SOFT, DeclineClass.HARD, DeclineClass.ACTION


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # Gateways' own words
        ("insufficient_funds", SOFT), ("do_not_honor", SOFT), ("generic_decline", SOFT), ("processing_error", SOFT),
        ("issuer_unavailable", SOFT), ("issuer_not_available", SOFT), ("try_again_later", SOFT),
        ("card_velocity_exceeded", SOFT),
        ("expired_card", HARD), ("lost_card", HARD), ("stolen_card", HARD), ("pickup_card", HARD),
        ("fraudulent", HARD), ("invalid_account", HARD), ("incorrect_number", HARD), ("do_not_try_again", HARD),
        ("revocation_of_authorization", HARD), ("stop_payment_order", HARD), ("transaction_not_allowed", HARD),
        ("authentication_required", ACTION), ("call_issuer", ACTION), ("incorrect_cvc", ACTION),
        ("approve_with_id", ACTION), ("pin_try_exceeded", ACTION),
        # Adyen's refusalReason, as it is written there
        ("Not enough balance", SOFT), ("Acquirer Error", SOFT), ("Refused", SOFT), ("Declined Non Generic", SOFT),
        ("Expired Card", HARD), ("Blocked Card", HARD), ("FRAUD-CANCELLED", HARD), ("Restricted Card", HARD),
        ("3D Not Authenticated", ACTION), ("Authentication required", ACTION), ("Referral", ACTION),
        ("CVC Declined", ACTION),
        # ISO 8583
        ("05", SOFT), ("51", SOFT), ("61", SOFT), ("65", SOFT), ("91", SOFT), ("96", SOFT),
        ("01", ACTION), ("1A", ACTION), ("N7", ACTION), ("54", HARD),
        # SEPA
        ("AM04", SOFT), ("MS03", SOFT), ("AC01", HARD), ("AC04", HARD), ("AC06", HARD), ("AG01", HARD),
        ("MD01", HARD), ("MD06", HARD), ("MD07", HARD), ("MS02", HARD), ("SL01", ACTION),
        # ACH
        ("R01", SOFT), ("R09", SOFT), ("R02", HARD), ("R03", HARD), ("R04", HARD), ("R07", HARD), ("R08", HARD),
        ("R10", HARD), ("R16", HARD), ("R29", HARD),
    ],
)  # fmt: skip
def test_common_codes_have_their_class(code: str, expected: DeclineClass) -> None:
    decline = read_decline(code)
    assert decline is not None
    assert decline.decline_class is expected
    assert decline.known
    assert decline.meaning


@pytest.mark.parametrize("code", ["04", "07", "12", "14", "15", "41", "43", "46", "57", "R0", "R1", "R3"])
def test_what_visa_says_an_issuer_never_approves_is_not_tried_again(code: str) -> None:
    decline = read_decline(code)
    assert decline is not None
    assert decline.decline_class is HARD


@pytest.mark.parametrize("code", ["gateway_timeout", "timeout", "Unknown", "api-connection-error", "68"])
def test_a_timeout_is_no_decline(code: str) -> None:
    """A gateway timeout is unknown, not declined."""
    assert read_decline(code) is None


@pytest.mark.parametrize("code", ["duplicate_transaction", "94", "AM05", "R24"])
def test_a_duplicate_asks_the_gateway_first(code: str) -> None:
    # law I6: what it repeats may have succeeded
    assert read_decline(code) is None


@pytest.mark.parametrize("code", ["flux_capacitor", "5", "R99"])
def test_an_unknown_code_is_soft_and_says_so(code: str) -> None:
    decline = read_decline(code)
    assert decline is not None
    assert decline.decline_class is SOFT
    assert not decline.known
    assert decline.code == code.lower()
    assert repr(code.lower()) in decline.meaning


@pytest.mark.parametrize("code", [None, "", "  "])
def test_a_decline_without_a_code_is_soft_and_unknown(code: str | None) -> None:
    decline = read_decline(code)
    assert decline is not None
    assert (decline.code, decline.decline_class, decline.known) == ("", SOFT, False)
    assert decline.meaning == "the gateway gave no code"


def test_ach_allows_three_entries_and_others_set_no_limit() -> None:
    # Nacha: a return for want of funds may be sent twice more
    assert [code for code, decline in DECLINES.items() if decline.max_tries is not None] == ["r01", "r09"]
    for code in ("R01", "r09"):
        decline = read_decline(code)
        assert decline is not None
        assert decline.max_tries == 3


def test_a_publisher_s_class_stands_above_the_table() -> None:
    mine = {"do_not_honor": HARD, "house_rule": ACTION, "r01": HARD}
    assert (a := read_decline("Do-Not-Honor", mine)) is not None
    assert (a.decline_class, a.known) == (HARD, True)
    assert a.meaning == "the bank declined without a reason"
    assert (b := read_decline("house_rule", mine)) is not None
    assert (b.decline_class, b.known) == (ACTION, True)
    assert (c := read_decline("R01", mine)) is not None
    assert (c.decline_class, c.max_tries) == (HARD, 3)
    assert (d := read_decline("insufficient_funds", mine)) is not None
    assert d.decline_class is SOFT


def test_no_class_makes_a_timeout_a_decline() -> None:
    assert read_decline("timeout", {"timeout": SOFT}) is None


def test_the_table_says_nothing_twice_and_is_spelled_as_it_is_looked_up() -> None:
    rows = [
        row.split(" | ")[0]
        for table in (declines._SOFT, declines._HARD, declines._ACTION)
        for row in table.split("\n")
        if row
    ]
    assert len(rows) == len(set(rows)) == len(DECLINES)
    assert all(code_name(code) == code for code in [*rows, *UNRESOLVED])
    assert not UNRESOLVED & set(rows)
    assert all(decline.code == code for code, decline in DECLINES.items())


@pytest.mark.parametrize(
    ("said", "name"),
    [("Not enough balance", "not_enough_balance"), (" AC04 ", "ac04"), ("FRAUD-CANCELLED", "fraud_cancelled"),
     ("05", "05"), ("do_not_honor", "do_not_honor")],
)  # fmt: skip
def test_spelling(said: str, name: str) -> None:
    assert code_name(said) == name
