"""The schedule of attempts as a pure function."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from operations.webhooks_out.schedule import (
    DELAYS,
    DOWN_AFTER_FAILURES,
    GIVEN_UP_AFTER,
    LONGEST_PAUSE,
    is_given_up,
    next_attempt,
    pause_after,
)

AT = datetime(2026, 12, 1, 12, tzinfo=UTC)


def test_the_delays_sum_up_to_those_of_the_specification() -> None:
    assert sum(DELAYS, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)


def test_the_same_step_is_drawn_the_same_and_others_differently() -> None:
    drawn = {next_attempt(f"m{n}", 2, AT, None) for n in range(50)}
    assert len(drawn) == 50
    assert drawn == {next_attempt(f"m{n}", 2, AT, None) for n in range(50)}
    assert all(at and DELAYS[2] <= at - AT <= DELAYS[2] * 1.1 for at in drawn)


def test_the_last_attempt_is_the_tenth() -> None:
    assert next_attempt("m", 9, AT, None) is not None
    assert next_attempt("m", 10, AT, timedelta(seconds=1)) is None


def test_a_wish_to_wait_lengthens_and_never_shortens() -> None:
    assert next_attempt("m", 1, AT, timedelta(hours=1)) == AT + timedelta(hours=1)
    assert next_attempt("m", 4, AT, timedelta(seconds=1)) == next_attempt("m", 4, AT, None)
    assert next_attempt("m", 1, AT, timedelta(days=90)) == AT + timedelta(days=1)


def test_pauses_grow_from_a_second_and_stop_growing() -> None:
    pauses = [pause_after(failures) for failures in range(DOWN_AFTER_FAILURES, 40)]
    assert pause_after(DOWN_AFTER_FAILURES - 1) is None
    assert pauses[0] == timedelta(seconds=1)
    assert pauses == sorted(pauses, key=lambda pause: pause or timedelta())
    assert pauses[-1] == LONGEST_PAUSE


def test_an_endpoint_is_given_up_after_days() -> None:
    assert not is_given_up(None, AT)
    assert not is_given_up(AT, AT + GIVEN_UP_AFTER - timedelta(seconds=1))
    assert is_given_up(AT, AT + GIVEN_UP_AFTER)
