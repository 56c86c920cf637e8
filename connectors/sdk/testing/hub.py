"""How the hub carries a write to its end, played at once: what it retries, what it asks, and where it stops."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from connectors.sdk.connector import Connector
from connectors.sdk.errors import ConnectorError, RateLimited, Transient, Unknown
from connectors.sdk.idempotency import ByFind, idempotency_of
from connectors.sdk.key import Key
from connectors.sdk.resolution import Find, Park, Resend, after_not_found, after_unknown, pause
from connectors.sdk.testing.surroundings import KitClock

TRIES = 8


@dataclass(slots=True)
class Carried:
    """How a write ended. answer: the connector's value, None when it was parked. errors: what it met on the way.

    sends: how often it was sent. waits: how long was waited before each further step. parked: why it stopped.
    """

    answer: Any = None
    parked: str | None = None
    sends: int = 0
    errors: list[ConnectorError] = field(default_factory=list)
    waits: list[timedelta] = field(default_factory=list)

    @property
    def first(self) -> str | None:
        """The kind of the first error."""
        return self.errors[0].kind if self.errors else None


async def carry(
    connector: Connector[Any],
    method: str,
    request: Any,
    key: Key,
    clock: KitClock,
    *,
    away: timedelta = timedelta(),
) -> Carried:
    """Carry the write until it has an answer or must be parked, as the hub does.

    away: how long the hub itself is gone after the first error.
    """
    write = getattr(connector, method)
    idempotency = idempotency_of(write)
    if idempotency is None:
        raise AssertionError(f"{method} declares no idempotency")
    carried = Carried()
    first = last = clock.now()
    while carried.sends < TRIES:
        carried.sends += 1
        last = clock.now()
        try:
            carried.answer = await write(request, key)
            return carried
        except Transient as error:
            carried.errors.append(error)
            after = error.after if isinstance(error, RateLimited) and error.after else pause(carried.sends)
            await _wait(carried, clock, after)
        except Unknown as error:
            carried.errors.append(error)
            if carried.sends == 1:
                clock.advance(away)
            step = after_unknown(
                idempotency, first_sent_at=first, last_sent_at=last, now=clock.now(), tries=carried.sends
            )
            while isinstance(step, Find) and isinstance(idempotency, ByFind):
                await _wait(carried, clock, step.after)
                found = await getattr(connector, idempotency.find)(request, key)
                if found is not None:
                    carried.answer = found
                    return carried
                step = after_not_found(idempotency, last_sent_at=last, now=clock.now(), tries=carried.sends)
            if isinstance(step, Park):
                carried.parked = step.reason
                return carried
            if isinstance(step, Resend):
                await _wait(carried, clock, step.after)
        except ConnectorError as error:
            carried.errors.append(error)
            carried.parked = error.message
            return carried
    carried.parked = f"still no answer after {TRIES} tries"
    return carried


async def _wait(carried: Carried, clock: KitClock, after: timedelta) -> None:
    carried.waits.append(after)
    await clock.sleep(after.total_seconds())
