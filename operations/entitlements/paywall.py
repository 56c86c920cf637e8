"""What paywalls ask: may this reader use this feature, and does this article count."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.entitlement_check import Reason, Standing, standing
from domain.entitlements import Grant
from domain.media.metering import (
    Decision,
    MeteringPolicy,
    Readings,
    Verdict,
    allowance_of,
    counting,
    free_on,
    merge_readings,
    next_free_on,
    read_article,
    window_start,
)
from domain.periods import local_date
from operations.entitlements.turns import Turns
from storage.allowances import (
    FIND_CLOCK,
    FIND_COUNTED,
    FIND_USED_FEATURES,
    FIND_ZONE,
    FORGET_USES,
    TAKE_PLACE,
    VISITOR,
    counted_of,
    free_place,
)
from storage.entitlements import FIND_GRANTS, grant_of
from storage.sight import EVERYTHING, Sight

KEPT_SECONDS = 5.0  # how long a feature's metering is believed after the catalog changed
# Who adds rows clears away: after so many places taken, up to twice as many old rows go.
CLEARED_AFTER = 500
KEPT_DAYS = 2  # after a use has counted no more; safe in every time zone
_FIND_METERING = "select metering from feature where code = %s"


_FIND_MODE = "select mode from account where id = %s"


class UnknownFeature(ValueError):
    """The catalog has no feature of that code."""


class UnknownReader(LookupError):
    """There is no such subscriber, as far as the caller may see."""


class Runs(Protocol):
    """What runs single statements."""

    async def execute(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        ...


class Reader(NamedTuple):
    """Who wants to read: a subscriber, or a visitor who is not logged in. `mode`: None for that of what is seen, else
    live; `sight`: what the one who asks may see."""

    key: str
    mode: str | None = None
    visitor: bool = False
    sight: Sight = EVERYTHING

    @property
    def stored(self) -> str:
        """The key under which uses are kept."""
        return VISITOR + self.key if self.visitor else self.key


@dataclass(frozen=True, slots=True)
class Left:
    """An allowance: `count` articles, of which `used` count now and `left` remain; `next_free_on` is the first local
    day on which more will. `warn`: few remain, by the feature's metering."""

    count: int
    used: int
    left: int
    next_free_on: date | None
    warn: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """May the reader. `grant` is the one that decides, `left` its allowance or the free metering's. `counted` says
    whether this very use took one of it."""

    allowed: bool
    reason: Reason
    grant: Grant | None = None
    left: Left | None = None
    counted: bool = False


@dataclass(frozen=True, slots=True)
class _Meter:
    policy: MeteringPolicy
    registered: bool
    zone: ZoneInfo

    @property
    def allowance(self) -> int:
        return allowance_of(self.policy, self.registered)

    def left(self, readings: Readings, on: date) -> Left:
        used = counting(self.policy, readings, on)
        left = max(0, self.allowance - len(used))
        return Left(
            self.allowance,
            len(used),
            left,
            next_free_on(self.policy.window, used, self.allowance),
            left <= self.policy.warn_when_left,
        )


class Paywall:
    """Answers from one database. Every answer comes from the rows: nothing of a reader is remembered."""

    def __init__(self, statements: Runs) -> None:
        self._run = statements.execute
        self._metering: dict[str, tuple[float, MeteringPolicy | None]] = {}
        self._taken = 0
        self._turns = Turns()

    async def check(
        self,
        reader: Reader,
        feature: str,
        at: datetime,
        resource: str | None = None,
        *,
        by_clock: bool = False,
    ) -> Answer:
        """Whether `reader` may use `feature` at the instant `at`; of a metered one, whether any more, or `resource` if
        that is named. Counts nothing. by_clock: `at` is now; where the reader's account lives by a test clock, its
        time stands in place of that. Raises UnknownReader and UnknownFeature."""
        reader = await self._in_mode(reader)
        if by_clock:
            at = await self._now(reader, feature, at)
        found = await self._standing(reader, feature, at)
        if found.reason is Reason.GRANTED:
            return Answer(True, found.reason, found.grant)
        meter = await self._meter(reader, feature, found)
        if meter is None:
            return Answer(False, found.reason, found.grant)
        on = local_date(at, meter.zone)
        readings = counted_of(await self._counted(reader, feature, meter, on))
        left = meter.left(readings, on)
        again = resource is not None and resource in counting(meter.policy, readings, on)
        allowed = again or left.left > 0
        return Answer(allowed, _reason(allowed), found.grant if found.open else None, left)

    async def use(self, reader: Reader, feature: str, resource: str, at: datetime) -> Answer:
        """Let `reader` use `resource` by `feature` now, at the instant `at` (or that of the test clock by which the
        account lives), counting it where an allowance is metered: once for as long as it counts, and never more than
        the allowance has. Raises UnknownReader and UnknownFeature."""
        reader = await self._in_mode(reader)
        at = await self._now(reader, feature, at)
        found = await self._standing(reader, feature, at)
        if found.reason is Reason.GRANTED:
            return Answer(True, found.reason, found.grant)
        meter = await self._meter(reader, feature, found)
        if meter is None:
            return Answer(False, found.reason, found.grant)
        on = local_date(at, meter.zone)
        # One after the other: all want the lowest free place, and who does not get it has asked in vain.
        async with self._turns.take((reader.stored, feature, reader.mode)):
            while True:
                rows = await self._counted(reader, feature, meter, on)
                decision = read_article(meter.policy, counted_of(rows), resource, on, meter.registered)
                # Who does not get the place looks again: somebody else did, elsewhere, so this ends.
                if not decision.counted or await self._take(reader, feature, meter, on, resource, rows):
                    break
        return Answer(
            decision.verdict is not Verdict.DENY,
            _reason(decision.verdict is not Verdict.DENY),
            found.grant if found.open else None,
            _left(meter, decision),
            decision.counted,
        )

    async def merge(self, visitor: str, reader: Reader, feature: str | None, at: datetime) -> dict[str, Left]:
        """At login: what the visitor read counts with the subscriber's own from now on, each article once. The answer
        is how that leaves the subscriber, by feature, where something is metered. Merging again changes nothing, and
        the visitor's count stays, or logging out would begin a new one. Raises UnknownReader and UnknownFeature."""
        reader = await self._in_mode(reader)
        other = Reader(visitor, reader.mode, visitor=True)
        features = [feature]
        if feature is None:
            features = [row[0] for row in await self._run(FIND_USED_FEATURES, (other.stored, other.mode))]
            if not features:
                await self._must_see(reader, [])
        merged = {}
        for name in features:
            left = await self._merge(other, reader, name or "", at)
            if left is not None:
                merged[name or ""] = left
        return merged

    async def _merge(self, visitor: Reader, reader: Reader, feature: str, at: datetime) -> Left | None:
        at = await self._now(reader, feature, at)
        found = await self._standing(reader, feature, at)
        meter = None if found.reason is Reason.GRANTED else await self._meter(reader, feature, found)
        if meter is None:
            return None
        on = local_date(at, meter.zone)
        theirs = counted_of(await self._counted(visitor, feature, meter, on))
        while True:
            rows = await self._counted(reader, feature, meter, on)
            own = counting(meter.policy, counted_of(rows), on)
            missing = [
                each
                for each in sorted(merge_readings(meter.policy, counted_of(rows), theirs, on))
                if each.article not in own
            ]
            if not missing:
                return meter.left(counted_of(rows), on)
            article, day = missing[0]
            await self._take(reader, feature, meter, on, article, rows, counted_on=day)

    async def _standing(self, reader: Reader, feature: str, at: datetime) -> Standing:
        if reader.visitor:
            return Standing(Reason.NO_GRANT, None)
        rows = await self._run(FIND_GRANTS, (reader.key, feature, reader.mode))
        if reader.sight != EVERYTHING:
            await self._must_see(reader, rows)
        return standing([grant_of(row) for row in rows], at)

    async def _in_mode(self, reader: Reader) -> Reader:
        if reader.mode is not None:
            return reader
        mode = reader.sight.mode
        if mode is None and reader.sight.account_id is not None:
            rows = await self._run(_FIND_MODE, (reader.sight.account_id,))
            mode = rows[0][0] if rows else None
        return reader._replace(mode=mode or "live")

    async def _must_see(self, reader: Reader, rows: list[tuple[Any, ...]]) -> None:
        """Raises UnknownReader for a subscriber who is of another account or mode than `reader.sight` has. One of whom
        nothing is known is of no other."""
        mode, account = reader.sight
        seen = mode is None or reader.mode == mode
        if account is not None:
            seen = seen and (reader.key == account or any(row[-1] == account for row in rows))
        elif seen and mode is not None and not rows and (key := _as_id(reader.key)) is not None:
            found = await self._run(_FIND_MODE, (key,))
            seen = not found or found[0][0] == mode
        if not seen:
            raise UnknownReader(f"there is no subscriber {reader.key!r}")

    async def _meter(self, reader: Reader, feature: str, found: Standing) -> _Meter | None:
        """By what `reader` is metered: the allowance of the plan, else what the feature gives to everybody."""
        grant = found.grant
        if found.open and grant is not None and grant.allowance is not None:
            policy: MeteringPolicy | None = MeteringPolicy(
                allowance=grant.allowance.count, window=grant.allowance.window
            )
        else:
            policy = await self._free(feature)
        if policy is None:
            return None
        return _Meter(policy, not reader.visitor, await self._zone(reader, feature))

    async def _free(self, feature: str) -> MeteringPolicy | None:
        known = self._metering.get(feature)
        if known is not None and time.monotonic() - known[0] < KEPT_SECONDS:
            return known[1]
        rows = await self._run(_FIND_METERING, (feature,))
        if not rows:
            raise UnknownFeature(f"the catalog has no feature {feature!r}")
        policy = None if rows[0][0] is None else MeteringPolicy.model_validate(rows[0][0])
        self._metering[feature] = (time.monotonic(), policy)
        return policy

    async def _zone(self, reader: Reader, feature: str) -> ZoneInfo:
        """Where the reader's day begins; a visitor's in UTC."""
        if reader.visitor:
            return ZoneInfo("UTC")
        rows = await self._run(FIND_ZONE, (reader.key, feature, reader.mode, _as_id(reader.key)))
        return ZoneInfo(rows[0][0] if rows else "UTC")

    async def _now(self, reader: Reader, feature: str, at: datetime) -> datetime:
        """`at`, or the instant of the test clock by which the reader's account lives."""
        if reader.mode != "test" or reader.visitor:
            return at
        rows = await self._run(FIND_CLOCK, (reader.key, feature, reader.mode, _as_id(reader.key)))
        return rows[0][0] if rows else at

    async def _counted(self, reader: Reader, feature: str, meter: _Meter, on: date) -> list[tuple[Any, ...]]:
        since = window_start(meter.policy.window, on)
        return await self._run(FIND_COUNTED, (reader.stored, feature, reader.mode, since))

    async def _take(
        self,
        reader: Reader,
        feature: str,
        meter: _Meter,
        on: date,
        resource: str,
        rows: list[tuple[Any, ...]],
        *,
        counted_on: date | None = None,
    ) -> bool:
        window = meter.policy.window
        day = counted_on or on
        place = (reader.stored, feature, reader.mode, free_place(rows))
        taken = await self._run(
            TAKE_PLACE, (*place, resource, day, free_on(window, day), window_start(window, on))
        )
        self._taken += 1
        # A test clock's day may be years ahead, when what live readers used counts no more.
        if self._taken >= CLEARED_AFTER and reader.mode == "live":
            self._taken = 0
            await self._run(FORGET_USES, (on - timedelta(days=KEPT_DAYS), 2 * CLEARED_AFTER))
        return bool(taken)


def _left(meter: _Meter, decision: Decision) -> Left:
    return Left(
        meter.allowance,
        len(decision.readings),
        decision.left,
        decision.next_free_on,
        decision.verdict is Verdict.WARN,
    )


def _reason(allowed: bool) -> Reason:
    return Reason.ALLOWANCE if allowed else Reason.ALLOWANCE_USED_UP


def _as_id(key: str) -> str | None:
    try:
        return str(UUID(key))
    except ValueError:
        return None
