"""What a dunning policy must keep to beyond its single fields: states in order, days that rise, nothing after a
write-off. Every check reports all that it finds, each with the path to the place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.dunning_policy import Conditions, StatePolicy

Found = tuple[tuple[str | int, ...], str]

_MEASURES = ("restrict", "suspend", "cancel", "write_off")


def rising_days(days: Sequence[int]) -> Iterator[Found]:
    """Days that do not come after the day before them."""
    for no, (earlier, later) in enumerate(pairwise(days), start=1):
        if later <= earlier:
            yield (no,), f"day {later} must come after day {earlier}; the days must rise"


def tries_problems(days: int, max_tries: int | None) -> Iterator[Found]:
    """A number of tries for which there are too few `days`."""
    if max_tries is not None and max_tries > days + 1:
        yield (
            ("soft", "max_tries"),
            f"{max_tries} tries cannot be reached: the first one and {days} retry days make {days + 1}; "
            "add days, or lower max_tries",
        )


def state_problems(states: Sequence[StatePolicy]) -> Iterator[Found]:
    """States that stand twice, out of order, or where they make no sense."""
    first_at: dict[str, int] = {}
    for no, state in enumerate(states):
        first = first_at.setdefault(state.name, no)
        if first != no:
            yield (no, "name"), f"state {state.name!r} stands here twice (first at states[{first}])"
    yield from _first_state(states[0])
    for no, state in enumerate(states[1:], start=1):
        if state.when is None:
            yield (no, "when"), f"state {state.name!r} needs conditions; only the first state has none"
    yield from _never_seen(states)
    yield from _blocks(states)
    yield from _measures(states)


def write_off_problems(states: Sequence[StatePolicy], retry_days: Sequence[int]) -> Iterator[Found]:
    """Retries on days on which the invoice is written off already."""
    for state in states:
        age = _age_alone(state)
        if age is None or not any(action.do == "write_off" for action in state.on_entry):
            continue
        for no, day in enumerate(retry_days):
            if day >= age:
                yield (
                    ("retry", "soft", "days", no),
                    f"the retry on day {day} is never made: state {state.name!r} writes off after {age} days",
                )


def _first_state(state: StatePolicy) -> Iterator[Found]:
    if state.when is not None:
        yield (
            (0, "when"),
            f"state {state.name!r} is the first, which holds when no other does: take its conditions out",
        )
    if state.blocks:
        yield (
            (0, "blocks"),
            f"state {state.name!r} is the first, of those who owe nothing: it cannot block anything",
        )
    for no, action in enumerate(state.on_entry):
        if action.do in _MEASURES:
            yield (
                (0, "on_entry", no),
                f"state {state.name!r} is the first, of those who owe nothing: it can send mails, not {action.do}",
            )


def _never_seen(states: Sequence[StatePolicy]) -> Iterator[Found]:
    hidden: set[int] = set()
    for (no, state), (_, worse) in combinations(enumerate(states), 2):
        if state.when is None or worse.when is None or no in hidden:
            continue
        if all(worse.when.hold(*point) for point in _least(state.when)):
            hidden.add(no)
            yield (
                (no, "when"),
                f"state {state.name!r} is never seen: whenever it holds, the later state {worse.name!r} holds too; "
                "put the states in order from best to worst",
            )


def _least(when: Conditions) -> Iterator[tuple[int, int, Mapping[str, int]]]:
    """The mildest situations (age, count, amounts) in which `when` holds; in all worse ones it does too."""
    owed: list[dict[str, int]] = [{code: least} for code, least in (when.unpaid_amount or {}).items()]
    if when.match == "all":
        for amounts in owed or [{}]:
            yield when.age_days or 1, when.unpaid_invoices or 1, amounts
        return
    if when.age_days is not None:
        yield when.age_days, 1, {}
    if when.unpaid_invoices is not None:
        yield 1, when.unpaid_invoices, {}
    for amounts in owed:
        yield 1, 1, amounts


def _blocks(states: Sequence[StatePolicy]) -> Iterator[Found]:
    for no, (better, worse) in enumerate(pairwise(states), start=1):
        lost = [what for what in better.blocks if what not in worse.blocks]
        if lost:
            yield (
                (no, "blocks"),
                f"state {worse.name!r} must block {', '.join(lost)} too, as the better state {better.name!r} does",
            )


def _measures(states: Sequence[StatePolicy]) -> Iterator[Found]:
    last: tuple[int, str] = (-1, "")
    for no, state in enumerate(states):
        for action_no, action in enumerate(state.on_entry):
            if action.do not in _MEASURES:
                continue
            rank = _MEASURES.index(action.do)
            if rank <= last[0]:
                yield (
                    (no, "on_entry", action_no),
                    f"{action.do} in state {state.name!r} comes after {_MEASURES[last[0]]} in state {last[1]!r}; "
                    f"each stands once, in the order {', '.join(_MEASURES)}",
                )
            else:
                last = rank, state.name
            if action.do == "write_off" and no != len(states) - 1:
                yield (
                    (no, "on_entry", action_no),
                    f"write_off must stand in the last state: after it nothing is unpaid, "
                    f"and {states[-1].name!r} is never reached",
                )


def _age_alone(state: StatePolicy) -> int | None:
    """The age that is enough for `state`, or None when age is not."""
    when = state.when
    if when is None or when.age_days is None:
        return None
    return when.age_days if when.hold(when.age_days, 1, {}) else None
