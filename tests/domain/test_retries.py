"""When a failed payment is tried again, under which key, or what it waits for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dunning_default import DEFAULT_POLICY
from domain.dunning_policy import RetryPolicy
from domain.retries import BadAttempts, Next, NextTry, attempt_key, next_retry, reminders, retry_at
from tests.domain.dunned import DUE, declined, on

RETRY = DEFAULT_POLICY.retry
SOFT, HARD, ACTION = (
    declined("insufficient_funds"),
    declined("lost_card"),
    declined("authentication_required"),
)
PAYMENT = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


def retry(days: list[int], **more: object) -> RetryPolicy:
    return RetryPolicy.model_validate({"soft": {"days": days, **more}})


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ([0], NextTry(Next.RETRY, on(1))),
        ([0, 1], NextTry(Next.RETRY, on(3))),
        ([0, 1, 3], NextTry(Next.RETRY, on(5))),
        ([0, 1, 3, 5], NextTry(Next.RETRY, on(7))),
        ([0, 1, 3, 5, 7], NextTry(Next.GIVE_UP, on(7))),
        ([0, 1, 3, 5, 7, 9], NextTry(Next.GIVE_UP, on(9))),
        # Late after an outage: the gaps (2 days) are kept, the tries are not crowded together.
        ([0, 1, 10], NextTry(Next.RETRY, on(12))),
        ([0, 4], NextTry(Next.RETRY, on(6))),
        # An early try, say the customer's own, draws nothing nearer.
        ([0, 0], NextTry(Next.RETRY, on(3))),
        ([0, 1, 2], NextTry(Next.RETRY, on(5))),
        ([2], NextTry(Next.RETRY, on(3))),
    ],
)
def test_soft_declines_follow_the_days(failed: list[int], expected: NextTry) -> None:
    assert next_retry(RETRY, SOFT, [on(n) for n in failed], DUE) == expected


def test_no_days_mean_no_retry() -> None:
    assert next_retry(retry([]), SOFT, [DUE], DUE) == NextTry(Next.GIVE_UP, DUE)


@pytest.mark.parametrize(("most", "retries"), [(1, 0), (2, 1), (5, 4), (None, 4)])
def test_max_tries_counts_the_first(most: int | None, retries: int) -> None:
    assert _retries(retry([1, 3, 5, 7], max_tries=most), "insufficient_funds") == [1, 3, 5, 7][:retries]


def test_an_unknown_code_is_tried_a_bounded_number_of_times() -> None:
    assert _retries(RETRY, "flux_capacitor") == [1, 3]
    assert _retries(retry([1, 3, 5], unknown_code_tries=1), "flux_capacitor") == []
    assert _retries(retry([1, 3, 5], unknown_code_tries=16), "flux_capacitor") == [1, 3, 5]
    assert _retries(retry([1, 3, 5], unknown_code_tries=3, max_tries=2), "flux_capacitor") == [1]
    assert _retries(retry([1, 3, 5], unknown_code_tries=1), "insufficient_funds") == [1, 3, 5]


def test_an_ach_debit_is_sent_three_times_at_most() -> None:
    # Nacha reinitiation: twice more
    assert _retries(RETRY, "R01") == [1, 3]
    assert _retries(retry([2]), "R09") == [2]


@pytest.mark.parametrize(
    ("decline", "what"), [(HARD, Next.WAIT_FOR_METHOD), (ACTION, Next.WAIT_FOR_CUSTOMER)]
)
def test_hard_and_action_wait_without_end(decline: object, what: Next) -> None:
    coming = next_retry(RETRY, decline, [DUE], DUE)  # type: ignore[arg-type]
    assert coming == NextTry(what, None)
    assert coming.retry_on is None


def test_waiting_ends_where_the_policy_says_counted_from_the_last_failure() -> None:
    bounded = RetryPolicy.model_validate(
        {"soft": {"days": [1, 3]}, "hard": {"give_up_after": 20}, "action": {"give_up_after": 5}}
    )
    assert next_retry(bounded, HARD, [DUE, on(1)], DUE) == NextTry(Next.WAIT_FOR_METHOD, on(21))
    assert next_retry(bounded, ACTION, [DUE], DUE) == NextTry(Next.WAIT_FOR_CUSTOMER, on(5))


@pytest.mark.parametrize("decline", [SOFT, HARD, ACTION])
def test_another_method_or_the_customer_s_act_is_tried_at_once_and_begins_the_days_anew(
    decline: object,
) -> None:
    assert next_retry(RETRY, decline, [], on(9)) == NextTry(Next.RETRY, on(9))  # type: ignore[arg-type]
    assert next_retry(RETRY, SOFT, [on(9)], on(9)) == NextTry(Next.RETRY, on(10))


def test_only_a_retry_has_a_retry_day() -> None:
    assert next_retry(RETRY, SOFT, [DUE], DUE).retry_on == on(1)
    assert next_retry(retry([]), SOFT, [DUE], DUE).retry_on is None


@pytest.mark.parametrize("failed", [[], [0], [0, 1, 3, 5, 7]])
def test_an_unknown_outcome_is_neither_tried_nor_given_up(failed: list[int]) -> None:
    """A gateway timeout is unknown: ask the gateway, then decide."""
    coming = next_retry(RETRY, None, [on(n) for n in failed], DUE)
    assert coming == NextTry(Next.WAIT_FOR_GATEWAY, None)
    assert coming.retry_on is None


@pytest.mark.parametrize("failed", [[-1], [0, 3, 2], [-1, 3]])
def test_attempts_out_of_order_are_refused(failed: list[int]) -> None:
    with pytest.raises(BadAttempts, match="none before 2025-01-01"):
        next_retry(RETRY, SOFT, [on(n) for n in failed], DUE)


def test_reminders() -> None:
    assert reminders(RETRY, SOFT, DUE) == ()
    assert reminders(RETRY, HARD, DUE) == (on(1), on(3), on(7), on(14))
    assert reminders(RETRY, ACTION, on(2)) == (on(3), on(5), on(9))


@pytest.mark.parametrize(
    ("hour", "day", "expected"),
    [
        (None, date(2025, 7, 1), datetime(2025, 7, 1, 4, tzinfo=UTC)),  # New York is 4 hours behind in summer
        (0, date(2025, 7, 1), datetime(2025, 7, 1, 4, tzinfo=UTC)),
        (9, date(2025, 7, 1), datetime(2025, 7, 1, 13, tzinfo=UTC)),
        (9, date(2025, 1, 10), datetime(2025, 1, 10, 14, tzinfo=UTC)),
        (23, date(2025, 1, 10), datetime(2025, 1, 11, 4, tzinfo=UTC)),
        (2, date(2025, 3, 9), datetime(2025, 3, 9, 7, tzinfo=UTC)),  # 02:00 does not exist: 03:00
    ],
)
def test_the_hour_of_a_retry(hour: int | None, day: date, expected: datetime) -> None:
    policy = RetryPolicy.model_validate({"soft": {"days": [1]}, "preferred_hour": hour})
    assert retry_at(policy, day, ZoneInfo("America/New_York")) == expected
    assert retry_at(policy, day, ZoneInfo("America/New_York")).utcoffset() == timedelta(0)


def test_a_key_belongs_to_one_attempt() -> None:
    # law I6: the same key for every try of one attempt, another for each attempt
    assert attempt_key(PAYMENT, 1) == f"{PAYMENT}-1"
    keys = [attempt_key(payment, number) for payment in (PAYMENT, "p", "p-1") for number in range(1, 13)]
    assert len(set(keys)) == len(keys)
    assert attempt_key("x" * 62, 9) == "x" * 62 + "-9"


@pytest.mark.parametrize("number", [0, -1])
def test_attempts_are_numbered_from_one(number: int) -> None:
    with pytest.raises(BadAttempts, match=f"numbered from 1; {number} is none"):
        attempt_key(PAYMENT, number)


def test_a_key_that_a_gateway_would_cut_is_refused() -> None:
    with pytest.raises(BadAttempts, match="1 to 62 characters"):
        attempt_key("x" * 63, 9)
    with pytest.raises(BadAttempts, match="1 to 61 characters"):
        attempt_key("x" * 62, 10)
    with pytest.raises(BadAttempts, match="1 to 62 characters"):
        attempt_key("", 1)


def _retries(policy: RetryPolicy, code: str) -> list[int]:
    """The days of the retries of a run, each declined with `code`, counted from the first failure."""
    failed = [DUE]
    while (day := next_retry(policy, declined(code), failed, DUE).retry_on) is not None:
        failed.append(day)
    return [(day - DUE).days for day in failed[1:]]


@given(
    st.lists(st.integers(1, 60), unique=True, max_size=15).map(sorted),
    st.lists(st.integers(0, 5), min_size=20, max_size=20),
    st.sampled_from(["insufficient_funds", "R01", "never_heard_of"]),
)
def test_retries_rise_strictly_and_end(days: list[int], delays: list[int], code: str) -> None:
    policy = retry(days)
    failed = [DUE]
    while (day := next_retry(policy, declined(code), failed, DUE).retry_on) is not None:
        assert day > failed[-1]
        assert day >= DUE + timedelta(days=days[len(failed) - 1])
        failed.append(day + timedelta(days=delays[len(failed)]))
        assert len(failed) <= len(days) + 1
    assert len(failed) == min(len(days) + 1, {"insufficient_funds": 16}.get(code, 3))
