"""Access follows from what an account has: by table, and by properties that hold whatever it has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.entitlements import (
    AccessFacts,
    Given,
    Grant,
    SourceKind,
    Span,
    Subscribed,
    claimed,
    grants_of,
)
from domain.media.gifts import GiftPolicy, buy_gift, claim_gift
from domain.media.households import Member
from domain.periods import start_of_day
from domain.policy import AccessPolicy
from domain.subscription_terms import Item
from domain.subscriptions import State
from tests.domain.entitled import NEW_YORK, ORDINARY, PLANS, facts, granted, item, terms

FULL_IN_PAUSE = AccessPolicy(in_pause="full")
GRACE = AccessPolicy(grace_days=10)


def day(number: int) -> date:
    """The day of 2026 with that number: 1 is 1 January."""
    return date(2026, 1, 1) + timedelta(days=number - 1)


JAN, FEB, MAR, APR = (date(2026, month, 1) for month in (1, 2, 3, 4))


@pytest.mark.parametrize(
    ("held", "policy", "wanted"),
    [
        pytest.param(
            Subscribed(terms(item("plus", JAN))),
            ORDINARY,
            ["epaper 2026-01-01..", "news 2026-01-01.."],
            id="a plan",
        ),
        pytest.param(
            Subscribed(terms(item("plus", JAN), item("tv", JAN, item_id="i2"))),
            ORDINARY,
            ["epaper 2026-01-01..", "news 2026-01-01..", "tv 2026-01-01.."],
            id="an add-on",
        ),
        pytest.param(
            Subscribed(terms(item("digital", JAN), item("plus", JAN, item_id="i2"))),
            ORDINARY,
            ["epaper 2026-01-01..", "news 2026-01-01.."],
            id="one feature by two plans is one grant",
        ),
        pytest.param(
            Subscribed(terms(item("lite", JAN), item("digital", FEB, MAR, item_id="i2"))),
            ORDINARY,
            [
                "news 2026-01-01..2026-02-01 max 5 changed",
                "news 2026-02-01..2026-03-01 changed",
                "news 2026-03-01.. max 5",
            ],
            id="of two plans the more generous counts while it lasts",
        ),
        pytest.param(
            Subscribed(
                terms(item("digital", JAN, FEB), item("plus", FEB, item_id="i2", replaces="i1")),
            ),
            ORDINARY,
            ["epaper 2026-02-01..", "news 2026-01-01.."],
            id="an upgrade does not interrupt what both give",
        ),
        pytest.param(
            Subscribed(terms(item("plus", JAN, FEB), item("digital", FEB, item_id="i2", replaces="i1"))),
            ORDINARY,
            ["epaper 2026-01-01..2026-02-01 changed", "news 2026-01-01.."],
            id="a downgrade that waits ends what only the old plan gives",
        ),
        pytest.param(
            Subscribed(
                terms(
                    item("digital", JAN, FEB, ends_at=datetime(2026, 2, 1, 15, 30, tzinfo=NEW_YORK)),
                    item(
                        "plus",
                        FEB,
                        item_id="i2",
                        replaces="i1",
                        starts_at=datetime(2026, 2, 1, 15, 30, tzinfo=NEW_YORK),
                    ),
                )
            ),
            ORDINARY,
            ["epaper 2026-02-01T15:30..", "news 2026-01-01.."],
            id="a change by the second",
        ),
        pytest.param(
            Subscribed(terms(item("digital", JAN), ends_on=MAR)),
            ORDINARY,
            ["news 2026-01-01..2026-03-01 ended"],
            id="canceled at the end of the period",
        ),
        pytest.param(
            Subscribed(terms(item("digital", JAN), ends_on=JAN, status=State.CANCELED)),
            ORDINARY,
            [],
            id="canceled on its first day",
        ),
        pytest.param(
            Subscribed(terms(item("digital", JAN), status=State.PAUSED), (Span(FEB, None),)),
            ORDINARY,
            ["news 2026-01-01..2026-02-01 paused"],
            id="paused",
        ),
        pytest.param(
            Subscribed(terms(item("digital", JAN), status=State.PAUSED), (Span(FEB, MAR),)),
            ORDINARY,
            ["news 2026-01-01..2026-02-01 paused", "news 2026-03-01.."],
            id="paused until a day",
        ),
        pytest.param(
            Subscribed(terms(item("digital", JAN), status=State.PAUSED), (Span(FEB, None),)),
            FULL_IN_PAUSE,
            ["news 2026-01-01.."],
            id="paused with access",
        ),
        pytest.param(
            Subscribed(
                terms(item("digital", JAN, FEB), item("digital", MAR, item_id="i2", replaces="i1")),
                (Span(FEB, MAR),),
            ),
            FULL_IN_PAUSE,
            ["news 2026-01-01.."],
            id="resumed as another item, with access meanwhile",
        ),
        pytest.param(
            Subscribed(
                terms(
                    item("plus", JAN, FEB),
                    item("digital", FEB, FEB, item_id="i2", replaces="i1"),
                    item("digital", MAR, item_id="i3", replaces="i2"),
                ),
                (Span(FEB, MAR),),
            ),
            FULL_IN_PAUSE,
            ["epaper 2026-01-01..2026-02-01 changed", "news 2026-01-01.."],
            id="changed and paused on one day: the pause is read by the new plan",
        ),
        pytest.param(
            Subscribed(terms(item("digital", JAN)), awaits_payment=True),
            ORDINARY,
            [],
            id="nothing is paid yet",
        ),
        pytest.param(
            Subscribed(terms(item("digital", JAN)), awaits_payment=True),
            AccessPolicy(before_payment=True),
            ["news 2026-01-01.."],
            id="nothing is paid yet, and the policy does not wait",
        ),
        pytest.param(
            Subscribed(terms(item("digital", JAN), ends_on=MAR)),
            GRACE,
            ["news 2026-01-01..2026-03-01 ended"],
            id="no grace where nothing is to be paid",
        ),
        pytest.param(
            Subscribed(terms(item("digital", JAN), ends_on=MAR)),
            AccessPolicy(grace_days=10, grace_when="always"),
            ["news 2026-01-01..2026-03-11 ended"],
            id="grace for all",
        ),
        pytest.param(
            Subscribed(terms(item("digital", JAN), ends_on=MAR, status=State.CANCELED)),
            AccessPolicy(grace_days=10, grace_when="always"),
            ["news 2026-01-01..2026-03-01 ended"],
            id="no grace after a cancel at once",
        ),
        pytest.param(
            Subscribed(terms(item("growing", JAN))),
            ORDINARY,
            ["epaper 2026-04-01..", "news 2026-01-01.."],
            id="a newer version comes with the next renewal",
        ),
        pytest.param(
            Subscribed(terms(item("committed", JAN))),
            ORDINARY,
            ["epaper 2027-01-01..", "news 2026-01-01.."],
            id="of a term, with the end of the term",
        ),
        pytest.param(
            Subscribed(terms(item("growing", JAN), ends_on=APR)),
            ORDINARY,
            ["news 2026-01-01..2026-04-01 ended"],
            id="a renewal that does not come brings nothing",
        ),
        pytest.param(
            Subscribed(
                terms(item("digital", JAN)),
                readers=(Member("ann", JAN, FEB), Member("bob", FEB), Member("ann", MAR)),
            ),
            ORDINARY,
            [
                "ann: news 2026-01-01..2026-02-01 left",
                "ann: news 2026-03-01..",
                "bob: news 2026-02-01..",
            ],
            id="readers of a household, while they sit",
        ),
    ],
)
def test_grants_of_a_subscription(held: Subscribed, policy: AccessPolicy, wanted: list[str]) -> None:
    assert granted(facts(held), policy) == wanted


def test_grace_while_the_renewal_is_to_be_paid() -> None:
    held = Subscribed(terms(item("digital", JAN), ends_on=MAR))
    assert granted(facts(held, payment_open=True), GRACE) == ["news 2026-01-01..2026-03-11 ended"]


def test_debts_keep_out_who_reads_by_subscription_and_nobody_else() -> None:
    bought = Given(SourceKind.PURCHASE, "p1", "tv", 1, JAN)
    given = facts(
        Subscribed(terms(item("digital", JAN))), withheld=[Span(FEB, MAR), Span(APR, None)], given=(bought,)
    )
    assert granted(given) == [
        "news 2026-01-01..2026-02-01 unpaid",
        "news 2026-03-01..2026-04-01 unpaid",
        "tv 2026-01-01..",
    ]


def test_a_gift_is_read_from_the_claim_until_its_end_or_its_refund() -> None:
    policy = GiftPolicy.model_validate({"claim_within": {"unit": "year"}, "access": {"unit": "month"}})
    gift = buy_gift(policy, "g1", "digital-news", "giver", JAN)
    assert claimed(gift, "plus", 1) is None
    gift = claim_gift(policy, gift, "ann", FEB)
    held = claimed(gift, "plus", 1)
    assert held is not None
    assert granted(facts(given=(held,))) == [
        "ann: epaper 2026-02-01..2026-03-01 ended",
        "ann: news 2026-02-01..2026-03-01 ended",
    ]
    refunded = Given(held.kind, held.id, held.plan, 1, held.start, held.end, refunded=date(2026, 2, 10))
    assert granted(facts(given=(refunded,)))[1] == "news 2026-02-01..2026-02-10 refunded"
    at_once = Given(held.kind, held.id, held.plan, 1, held.start, held.end, refunded=held.start)
    assert granted(facts(given=(at_once,))) == []


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "UTC", "Pacific/Honolulu"])
def test_days_are_those_of_the_account(zone: str) -> None:
    found = grants_of(
        facts(Subscribed(terms(item("digital", JAN), ends_on=FEB)), zone=ZoneInfo(zone)), PLANS, ORDINARY
    )
    assert [(grant.starts_at, grant.ends_at) for grant in found] == [
        (start_of_day(JAN, ZoneInfo(zone)), start_of_day(FEB, ZoneInfo(zone)))
    ]
    assert found[0].starts_at.tzinfo is not None
    assert found[0].starts_at.utcoffset() == timedelta(0)


def test_a_plan_that_the_catalog_does_not_have_is_an_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        granted(facts(Subscribed(terms(item("nothing", JAN)))))
    unknown = item("digital", JAN)
    unknown.plan_version = 9
    with pytest.raises(KeyError, match="no version 9"):
        granted(facts(Subscribed(terms(unknown))))
    with pytest.raises(KeyError, match="no version 9"):
        granted(facts(given=(Given(SourceKind.PURCHASE, "p1", "tv", 9, JAN),)))


# Properties: subscriptions with several plans, changes, pauses, debts and ends, on days of one year.
_days = st.integers(1, 365).map(day)
_plans = st.sampled_from(sorted(PLANS))


def _spans(days: Sequence[date], open_end: bool) -> tuple[Span, ...]:
    edges = sorted(set(days))
    spans = [Span(start, end) for start, end in zip(edges[::2], edges[1::2], strict=False)]
    if open_end and len(edges) % 2:
        spans.append(Span(edges[-1], None))
    return tuple(spans)


@st.composite
def _items(draw: Any) -> list[Item]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        start = draw(_days)
        end = draw(st.none() | _days)
        found.append(
            item(draw(_plans), start, None if end is None else max(start, end), item_id=f"i{number}")
        )
    return found


@st.composite
def _facts(draw: Any) -> AccessFacts:
    items = draw(_items())
    starts_on = min(each.starts_on for each in items)
    ends_on = draw(st.none() | _days)
    status = draw(st.sampled_from([State.ACTIVE, State.CANCELED])) if ends_on else State.ACTIVE
    held = Subscribed(
        terms(
            *items,
            starts_on=starts_on,
            ends_on=None if ends_on is None else max(starts_on, ends_on),
            status=status,
        ),
        _spans(draw(st.lists(_days, max_size=5)), open_end=True),
        awaits_payment=draw(st.booleans()),
    )
    return facts(
        held,
        withheld=_spans(draw(st.lists(_days, max_size=5)), open_end=True),
        zone=ZoneInfo(draw(st.sampled_from(["UTC", "America/New_York", "Pacific/Auckland"]))),
        payment_open=draw(st.booleans()),
    )


_policies = st.builds(
    AccessPolicy,
    in_pause=st.sampled_from(["none", "full"]),
    before_payment=st.booleans(),
    grace_days=st.integers(0, 40),
    grace_when=st.sampled_from(["payment_open", "always"]),
)


def _open_at(found: Sequence[Grant], instant: datetime) -> set[str]:
    return {
        grant.feature
        for grant in found
        if grant.starts_at <= instant and (grant.ends_at is None or instant < grant.ends_at)
    }


@given(_facts(), _policies)
def test_grants_of_one_feature_and_source_never_overlap(given_: AccessFacts, policy: AccessPolicy) -> None:
    found = grants_of(given_, PLANS, policy)
    for one, other in pairwise(found):
        assert one.ends_at is None or one.starts_at < one.ends_at
        if (one.subscriber, one.feature, one.source_id) == (other.subscriber, other.feature, other.source_id):
            assert one.ends_at is not None
            assert one.ends_at <= other.starts_at
            # Two that touch differ: else they are one.
            assert one.ends_at < other.starts_at or one.allowance != other.allowance


@given(_facts(), _policies)
def test_each_day_is_open_as_an_independent_look_at_that_day_says(
    given_: AccessFacts, policy: AccessPolicy
) -> None:
    found = grants_of(given_, PLANS, policy)
    held = given_.subscriptions[0]
    for number in range(1, 420, 3):
        on = day(number)
        instant = start_of_day(on, given_.zone)
        assert _open_at(found, instant) == _features_on(given_, held, policy, on), on


def _features_on(given_: AccessFacts, held: Subscribed, policy: AccessPolicy, on: date) -> set[str]:
    """What is read on `on`, asked of one day at a time."""

    def within(span: Span) -> bool:
        return span.start <= on and (span.end is None or on < span.end)

    terms_ = held.terms
    if held.awaits_payment and not policy.before_payment:
        return set()
    if any(map(within, given_.withheld)) or (policy.in_pause == "none" and any(map(within, held.pauses))):
        return set()
    found: set[str] = set()
    graced = terms_.status is not State.CANCELED and (policy.grace_when == "always" or given_.payment_open)
    for each in terms_.items:
        ran_out = each.ends_on is None or (terms_.ends_on is not None and each.ends_on >= terms_.ends_on)
        end = terms_.ends_on if ran_out else each.ends_on
        if ran_out and end is not None and graced:
            end += timedelta(days=policy.grace_days)
        if on < each.starts_on or (end is not None and on >= end):
            continue
        found |= set(PLANS[each.plan][0].features)
        if len(PLANS[each.plan]) > 1 and on >= _renewed(terms_.starts_on, each.plan):
            found.add("epaper")
    return found


def _renewed(starts_on: date, plan: str) -> date:
    """The first renewal from 10 March 2026 on, found by walking months from the anchor."""
    months = 12 if plan == "committed" else 1
    number = 0
    while True:
        number += 0 if number == 0 and starts_on >= date(2026, 3, 10) else months
        year, month = divmod(starts_on.month - 1 + number, 12)
        last = (
            date(starts_on.year + year + (month + 1) // 12, (month + 1) % 12 + 1, 1) - timedelta(days=1)
        ).day
        on = date(starts_on.year + year, month + 1, min(starts_on.day, last))
        if on >= date(2026, 3, 10):
            return on


@given(_facts(), _policies)
def test_a_stricter_policy_never_gives_more(given_: AccessFacts, policy: AccessPolicy) -> None:
    strict = policy.model_copy(update={"in_pause": "none", "before_payment": False, "grace_days": 0})
    lenient, less = grants_of(given_, PLANS, policy), grants_of(given_, PLANS, strict)
    for number in range(1, 420, 5):
        instant = start_of_day(day(number), given_.zone).astimezone(UTC)
        assert _open_at(less, instant) <= _open_at(lenient, instant)


@given(_facts(), _policies, st.permutations(range(4)))
def test_the_order_of_items_makes_no_difference(
    given_: AccessFacts, policy: AccessPolicy, order: Sequence[int]
) -> None:
    held = given_.subscriptions[0]
    items = [held.terms.items[place] for place in order if place < len(held.terms.items)]
    shuffled = facts(
        Subscribed(
            terms(
                *items, starts_on=held.terms.starts_on, ends_on=held.terms.ends_on, status=held.terms.status
            ),
            held.pauses,
            held.awaits_payment,
        ),
        withheld=given_.withheld,
        zone=given_.zone,
        payment_open=given_.payment_open,
    )
    assert grants_of(shuffled, PLANS, policy) == grants_of(given_, PLANS, policy)
