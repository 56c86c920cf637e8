"""Gifts: the claim window and the access window are two; who pays is not who reads; no second trial."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.credits import BilledLine, CreditLine, TaxAmount, credit_gross
from domain.media.gifts import (
    Earned,
    Gift,
    GiftPolicy,
    GiftRefused,
    GiftState,
    OwnStart,
    Span,
    buy_gift,
    claim_gift,
    earned,
    gift_state,
    gives_access,
    mail_due,
    may_have_trial,
    own_start,
    refund_gift,
    reschedule_mail,
)
from domain.periods import Interval, Unit

BOUGHT = date(2025, 12, 1)


def policy(**given: Any) -> GiftPolicy:
    """A year to claim, 100 days to read."""
    wanted = {"claim_within": {"unit": "year"}, "access": {"unit": "day", "count": 100}}
    return GiftPolicy.model_validate({**wanted, **given})


def bought(**given: Any) -> Gift:
    return buy_gift(policy(), "gift", "paper", "giver", BOUGHT, **given)


def claimed(on: date = date(2026, 1, 1), **given: Any) -> Gift:
    """Read from 1 January until 11 April 2026."""
    return claim_gift(policy(), bought(**given), "reader", on)


def line(net: int = 10000, tax: int = 700) -> BilledLine:
    taxes = (TaxAmount("DE", Decimal("0.07"), tax),)
    return BilledLine(
        "key", "invoice", "one_time", "news", None, "price", "paper", None, None, Decimal(1), net, taxes
    )


def test_a_gift_is_claimed_within_one_window_and_read_in_another() -> None:
    gift = bought()
    assert (gift.claim_until, gift.mail_on, gift.access) == (date(2026, 12, 1), BOUGHT, None)
    last_day = claim_gift(policy(), gift, "reader", date(2026, 11, 30))
    assert last_day.access == Span(date(2026, 11, 30), date(2027, 3, 10))
    assert (last_day.giver, last_day.reader, last_day.claimed_on) == ("giver", "reader", date(2026, 11, 30))
    # It is read beyond the claim window.
    assert gives_access(last_day, date(2027, 3, 9))


def test_what_was_sold_stays_when_the_policy_changes() -> None:
    gift = bought()
    assert gift.length == Interval(Unit.DAY, 100)
    shorter = policy(claim_within={"unit": "day"}, access={"unit": "day"})
    found = claim_gift(shorter, gift, "reader", date(2026, 1, 1)).access
    assert found == Span(date(2026, 1, 1), date(2026, 4, 11))


def test_months_of_reading_end_on_the_same_day_of_the_month() -> None:
    # law 2
    monthly = policy(access={"unit": "month", "count": 1})
    gift = buy_gift(monthly, "gift", "paper", "giver", BOUGHT)
    assert claim_gift(monthly, gift, "reader", date(2026, 1, 31)).access == Span(
        date(2026, 1, 31), date(2026, 2, 28)
    )


@pytest.mark.parametrize(
    ("gift", "day", "expected"),
    [
        (bought(), BOUGHT, GiftState.BOUGHT),
        (bought(), date(2026, 11, 30), GiftState.BOUGHT),
        (bought(), date(2026, 12, 1), GiftState.EXPIRED),
        (claimed(), date(2025, 12, 31), GiftState.BOUGHT),
        (claimed(), date(2026, 1, 1), GiftState.CLAIMED),
        (claimed(), date(2027, 1, 1), GiftState.CLAIMED),
        (replace(claimed(), refunded_on=date(2026, 2, 1)), date(2026, 1, 31), GiftState.CLAIMED),
        (replace(claimed(), refunded_on=date(2026, 2, 1)), date(2026, 2, 1), GiftState.REFUNDED),
        (replace(bought(), refunded_on=date(2026, 2, 1)), date(2027, 2, 1), GiftState.REFUNDED),
    ],
)
def test_the_state_is_a_function_of_the_dates(gift: Gift, day: date, expected: GiftState) -> None:
    assert gift_state(gift, day) is expected


def test_the_giver_may_choose_the_first_day() -> None:
    christmas = bought(starts_on=date(2025, 12, 24))
    assert claim_gift(policy(), christmas, "reader", date(2025, 12, 10)).access == Span(
        date(2025, 12, 24), date(2026, 4, 3)
    )
    assert claim_gift(policy(), christmas, "reader", date(2025, 12, 25)).access == Span(
        date(2025, 12, 25), date(2026, 4, 4)
    )
    with pytest.raises(GiftRefused, match="cannot be read from 2025-11-30"):
        bought(starts_on=date(2025, 11, 30))
    assert bought(starts_on=BOUGHT).starts_on == BOUGHT


def test_the_reader_may_choose_a_first_day_as_far_as_the_policy_goes() -> None:
    later = policy(latest_start_days=30)
    gift = bought(starts_on=date(2025, 12, 24))
    on = date(2025, 12, 10)
    chosen = claim_gift(later, gift, "reader", on, date(2026, 1, 23))
    assert chosen.access == Span(date(2026, 1, 23), date(2026, 5, 3))
    for start in (date(2025, 12, 23), date(2026, 1, 24)):
        with pytest.raises(GiftRefused, match="from 2025-12-24 to 2026-01-23"):
            claim_gift(later, gift, "reader", on, start)
    with pytest.raises(GiftRefused, match="from 2026-01-01 to 2026-01-01, not on 2026-01-02"):
        claim_gift(policy(), bought(), "reader", date(2026, 1, 1), date(2026, 1, 2))


def test_claiming_twice_is_one_claim_and_nobody_else_can() -> None:
    gift = claimed()
    assert claim_gift(policy(), gift, "reader", date(2026, 5, 1)) is gift
    with pytest.raises(GiftRefused, match="was claimed on 2026-01-01"):
        claim_gift(policy(), gift, "other", date(2026, 1, 2))


@pytest.mark.parametrize(
    ("gift", "on", "message"),
    [
        (bought(), date(2026, 12, 1), "until the day before 2026-12-01"),
        (bought(), date(2025, 11, 30), "is bought on 2025-12-01"),
        (replace(bought(), refunded_on=BOUGHT), BOUGHT, "was refunded on 2025-12-01"),
        (replace(claimed(), refunded_on=date(2026, 2, 1)), date(2026, 2, 1), "was refunded on 2026-02-01"),
    ],
)
def test_a_gift_that_cannot_be_claimed_says_why(gift: Gift, on: date, message: str) -> None:
    with pytest.raises(GiftRefused, match=message):
        claim_gift(policy(), gift, "reader", on)


def test_access_is_the_window_and_ends_with_a_refund() -> None:
    gift = claimed()
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 4, 10), date(2026, 4, 11)]
    assert [gives_access(gift, day) for day in days] == [False, True, True, False]
    assert not gives_access(bought(), BOUGHT)
    # Truth: a refunded gift ends access.
    refunded, _ = refund_gift(policy(), gift, line(), [], date(2026, 2, 1))
    assert gives_access(refunded, date(2026, 1, 31))
    assert not gives_access(refunded, date(2026, 2, 1))


def test_the_gift_mail_goes_out_on_its_day_once_and_only_while_there_is_something_to_claim() -> None:
    gift = bought(mail_on=date(2025, 12, 24))
    assert not mail_due(gift, date(2025, 12, 23))
    assert mail_due(gift, date(2025, 12, 24))
    assert mail_due(gift, date(2026, 11, 30)), "a late mail is better than none"
    assert not mail_due(gift, date(2026, 12, 1))
    assert not mail_due(replace(gift, mailed_on=date(2025, 12, 24)), date(2025, 12, 24))
    refunded, _ = refund_gift(policy(), gift, line(), [], date(2025, 12, 10))
    assert not mail_due(refunded, date(2025, 12, 24))
    told_before = claim_gift(policy(), gift, "reader", date(2025, 12, 20))
    assert not mail_due(told_before, date(2025, 12, 24))


def test_the_day_of_the_mail_lies_within_the_claim_window() -> None:
    assert bought(mail_on=date(2026, 11, 30)).mail_on == date(2026, 11, 30)
    for day in (date(2025, 11, 30), date(2026, 12, 1)):
        with pytest.raises(GiftRefused, match="choose a day from 2025-12-01 and before 2026-12-01"):
            bought(mail_on=day)


def test_the_mail_can_be_put_off_until_it_is_sent() -> None:
    gift = bought(mail_on=date(2025, 12, 24))
    today = date(2025, 12, 10)
    assert reschedule_mail(gift, date(2026, 1, 6), today).mail_on == date(2026, 1, 6)
    assert reschedule_mail(gift, today, today).mail_on == today
    with pytest.raises(GiftRefused, match="choose a day from 2025-12-10"):
        reschedule_mail(gift, date(2025, 12, 9), today)
    with pytest.raises(GiftRefused, match="was sent on 2025-12-09"):
        reschedule_mail(replace(gift, mailed_on=date(2025, 12, 9)), date(2026, 1, 6), today)
    with pytest.raises(GiftRefused, match="was claimed"):
        reschedule_mail(claimed(), date(2026, 1, 6), date(2026, 1, 1))


def test_before_the_claim_all_of_it_is_refunded() -> None:
    gift, credit = refund_gift(policy(), bought(), line(), [], date(2026, 11, 30))
    assert credit == CreditLine(
        "key", "unused_credit", None, None, -10000, (TaxAmount("DE", Decimal("0.07"), -700),)
    )
    assert (gift.refunded_on, gift.refunded) == (date(2026, 11, 30), 10000)
    with pytest.raises(GiftRefused, match="was refunded on 2026-11-30"):
        refund_gift(policy(), gift, line(), [], date(2026, 12, 1))


def test_after_the_claim_the_days_left_are_refunded() -> None:
    # law 5; law 4: the day of the refund is not read any more. 31 of 100 days were read.
    gift, credit = refund_gift(policy(), claimed(), line(), [], date(2026, 2, 1))
    assert credit is not None
    assert (credit.net, credit.tax, credit.start) == (-6900, -483, date(2026, 2, 1))
    assert (gift.refunded, gift.access) == (6900, claimed().access)


def test_a_gift_that_is_claimed_and_not_begun_is_refunded_whole() -> None:
    gift, credit = refund_gift(policy(), claimed(starts_on=date(2026, 3, 1)), line(), [], date(2026, 2, 1))
    assert credit is not None
    assert (credit.net, credit.tax) == (-10000, -700)
    assert gift.refunded == 10000


def test_a_policy_may_give_nothing_back_after_the_claim() -> None:
    none = policy(after_claim="none")
    gift, credit = refund_gift(none, claimed(), line(), [], date(2026, 2, 1))
    assert credit is None
    assert (gift.refunded_on, gift.refunded) == (date(2026, 2, 1), 0)
    assert not gives_access(gift, date(2026, 2, 1))
    _, whole = refund_gift(none, bought(), line(), [], date(2026, 2, 1))
    assert whole is not None
    assert whole.net == -10000


def test_a_refund_gives_back_no_more_than_is_left() -> None:
    # law 5
    goodwill = credit_gross(line(), [], 10700)
    gift, credit = refund_gift(policy(), bought(), line(), [goodwill], date(2026, 2, 1))
    assert credit is None
    assert gift.refunded == 0


def test_a_gift_read_to_its_end_is_not_refunded() -> None:
    _, last = refund_gift(policy(), claimed(), line(), [], date(2026, 4, 10))
    assert last is not None
    assert last.net == -100
    with pytest.raises(GiftRefused, match="read to its end on 2026-04-11"):
        refund_gift(policy(), claimed(), line(), [], date(2026, 4, 11))


def test_an_expired_gift_is_refunded_only_where_the_policy_says_so() -> None:
    with pytest.raises(GiftRefused, match="expired on 2026-12-01"):
        refund_gift(policy(), bought(), line(), [], date(2026, 12, 1))
    gift, credit = refund_gift(policy(refund_expired=True), bought(), line(), [], date(2026, 12, 1))
    assert credit is not None
    assert credit.net == -10000
    # What had become revenue on that day is none.
    assert earned(gift, 10000, date(2026, 12, 1)) == Earned(0, 0)


def test_what_nobody_claims_becomes_revenue_on_the_day_it_expires() -> None:
    assert earned(bought(), 10000, date(2026, 11, 30)) == Earned(0, 0)
    assert earned(bought(), 10000, date(2026, 12, 1)) == Earned(0, 10000)


def test_what_is_claimed_becomes_revenue_as_it_is_read() -> None:
    gift = claimed(starts_on=date(2026, 1, 5))  # read until 15 April
    for day, read in ((1, 0), (4, 0), (5, 100), (6, 200)):
        assert earned(gift, 10000, date(2026, 1, day)) == Earned(read, 0)
    assert earned(gift, 10000, date(2026, 4, 13)) == Earned(9900, 0)
    assert earned(gift, 10000, date(2026, 4, 14)) == Earned(10000, 0)
    assert earned(gift, 10000, date(2027, 4, 14)) == Earned(10000, 0)


def test_after_a_refund_revenue_is_what_was_read_and_what_was_not_given_back() -> None:
    prorated, _ = refund_gift(policy(), claimed(), line(), [], date(2026, 2, 1))
    assert earned(prorated, 10000, date(2026, 1, 31)) == Earned(3100, 0)
    assert earned(prorated, 10000, date(2026, 2, 1)) == Earned(3100, 0)
    nothing, _ = refund_gift(policy(after_claim="none"), claimed(), line(), [], date(2026, 2, 1))
    assert earned(nothing, 10000, date(2026, 1, 31)) == Earned(3100, 0)
    assert earned(nothing, 10000, date(2026, 2, 1)) == Earned(3100, 6900)
    unclaimed, _ = refund_gift(policy(), bought(), line(), [], date(2026, 2, 1))
    assert earned(unclaimed, 10000, date(2027, 1, 1)) == Earned(0, 0)


def test_goodwill_before_the_refund_makes_no_revenue_out_of_nothing() -> None:
    # 5000 net went back before; the 69 days left come to 6900 and 5000 are left: nothing is earned.
    goodwill = credit_gross(line(), [], 5350)
    gift, credit = refund_gift(policy(), claimed(), line(), [goodwill], date(2026, 2, 1))
    assert credit is not None
    assert credit.net == -5000
    assert earned(gift, 5000, date(2026, 2, 1)) == Earned(0, 0)


@given(
    st.integers(0, 10**6),
    st.integers(0, 364),
    st.integers(0, 600),
    st.sampled_from(["prorated", "none"]),
    st.integers(0, 800),
    st.booleans(),
)
def test_a_gifts_money_is_earned_deferred_or_given_back(
    net: int, claim_after: int, refund_after: int, after: str, look_after: int, is_claimed: bool
) -> None:
    gift = bought()
    if is_claimed:
        gift = claim_gift(policy(), gift, "reader", BOUGHT + timedelta(days=claim_after))
    refund_on, day = BOUGHT + timedelta(days=refund_after), BOUGHT + timedelta(days=look_after)
    if gift.claimed_on is None or refund_on >= gift.claimed_on:
        with suppress(GiftRefused):
            gift, _ = refund_gift(policy(after_claim=after), gift, line(net, 0), [], refund_on)
    found = earned(gift, net, day)
    assert found.read >= 0
    assert found.breakage >= 0
    settled = day >= date(2028, 1, 1) or gift_state(gift, day) in (GiftState.EXPIRED, GiftState.REFUNDED)
    back = gift.refunded if gift_state(gift, day) is GiftState.REFUNDED else 0
    assert sum(found) + back <= net
    if settled:
        assert sum(found) + back == net
    assert sum(earned(gift, net, BOUGHT + timedelta(days=2000))) + gift.refunded == net


def test_who_claimed_a_gift_has_had_the_trial() -> None:
    # Truth: a refunded gift earns no second trial.
    gift = claimed()
    refunded, _ = refund_gift(policy(), gift, line(), [], date(2026, 1, 2))
    for each in (gift, refunded):
        assert not may_have_trial([bought(), each], "reader", "paper")
        assert may_have_trial([each], "giver", "paper")
        assert may_have_trial([each], "reader", "magazine")
    assert may_have_trial([], "reader", "paper")
    assert may_have_trial([bought()], "reader", "paper")


def test_a_reader_goes_on_as_payer_from_the_end_of_the_gift_without_a_trial() -> None:
    gift = claimed()
    assert own_start(gift, "reader", date(2026, 2, 1)) == OwnStart("reader", date(2026, 4, 11), trial=False)
    assert own_start(gift, "reader", date(2026, 5, 1)).starts_on == date(2026, 5, 1)
    refunded, _ = refund_gift(policy(), gift, line(), [], date(2026, 2, 1))
    assert own_start(refunded, "reader", date(2026, 2, 3)) == OwnStart(
        "reader", date(2026, 2, 3), trial=False
    )


@pytest.mark.parametrize(("gift", "reader"), [(bought(), "reader"), (claimed(), "giver")])
def test_nobody_goes_on_from_a_gift_that_is_not_theirs(gift: Gift, reader: str) -> None:
    with pytest.raises(GiftRefused, match="only who claimed the gift"):
        own_start(gift, reader, date(2026, 2, 1))


def test_the_policy_refuses_keys_that_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        policy(claim_days=30)
