"""The fault matrix: every write against every fault of its transport, on the wire, judged by the server's own count.

For a write that declares `native` or `by_find` there is at most one effect, and exactly one where the hub came to an
answer; for one that declares `never` it is sent at most once automatically after an unknown outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from connectors.sdk.capabilities.capability import capabilities_of, methods_of, writes_of
from connectors.sdk.connector import Connector
from connectors.sdk.errors import ConnectorError, RateLimited
from connectors.sdk.http import Http
from connectors.sdk.idempotency import Native, Never, idempotency_of
from connectors.sdk.testing import samples
from connectors.sdk.testing.case import Bench, Case, Skipped
from connectors.sdk.testing.hub import Carried, carry
from connectors.sdk.testing.samples import Sample
from connectors.sdk.values import RecordOutcome, RecordStatus

#: How long a call may take on the bench before it counts as stalled, seconds.
PATIENCE = 0.6
LATE = timedelta(days=40)


@dataclass(frozen=True, slots=True)
class Fault:
    """A column of the matrix. write, read: the kinds of error that are right for each; empty: it must go well.

    answers: an answer without an error is right as well, where the connector can recover by itself.
    """

    name: str
    write: frozenset[str]
    read: frozenset[str]
    answers: bool = False


def _fault(name: str, write: str, read: str, *, answers: bool = False) -> Fault:
    return Fault(name, frozenset(write.split()), frozenset(read.split()), answers)


HTTP_FAULTS: tuple[Fault, ...] = (
    _fault("refused", "transient", "transient"),
    _fault("drop_before", "unknown", "transient"),
    _fault("drop_after", "unknown", "transient"),
    _fault("rate_limited_seconds", "rate_limited", "rate_limited"),
    _fault("rate_limited_date", "rate_limited", "rate_limited"),
    _fault("rate_limited_plain", "rate_limited", "rate_limited"),
    _fault("unavailable", "transient", "transient"),
    _fault("server_error", "unknown", "transient"),
    _fault("server_error_after", "unknown", "transient"),
    _fault("bad_gateway", "unknown", "transient"),
    _fault("unauthorized_once", "unauthorized", "unauthorized", answers=True),
    _fault("unauthorized_forever", "unauthorized", "unauthorized"),
    _fault("error_in_200", "unknown rejected broken", "broken rejected transient"),
    _fault("html", "unknown", "broken"),
    _fault("truncated_json", "unknown", "broken"),
    _fault("stall_before", "unknown", "transient"),
    _fault("stall_after", "unknown", "transient"),
    _fault("conflict", "unknown rejected", "transient rejected"),
)

SMTP_FAULTS: tuple[Fault, ...] = (
    _fault("refused", "transient", ""),
    _fault("unavailable", "transient", ""),
    _fault("drop_before", "transient unknown", ""),
    _fault("drop_after", "unknown", ""),
    _fault("greylist", "transient", ""),
    _fault("mailbox_full", "transient", ""),
    _fault("rejected", "rejected", ""),
    _fault("too_big", "rejected", ""),
    _fault("auth_failed", "unauthorized", ""),
    _fault("stall_before", "transient unknown", ""),
    _fault("stall_after", "unknown", ""),
)

#: The forms that a connector may declare for Retry-After, for those of the 429s that have one.
_FORMS = {
    "rate_limited_seconds": ("seconds", "seconds_or_date"),
    "rate_limited_date": ("date", "seconds_or_date"),
}

TRANSPORTS: dict[str, tuple[Fault, ...]] = {"http": HTTP_FAULTS, "smtp": SMTP_FAULTS}


def cases(connector: type[Connector[Any]]) -> list[Case]:
    """Every cell that the connector's transport has: each write and each read with each fault, and the late retry."""
    found: list[Case] = []
    for capability in capabilities_of(connector):
        name = capability.capability
        writes = writes_of(capability)
        columns = TRANSPORTS[connector.transport]
        for method in methods_of(capability):
            if method in connector.cannot_answer:
                continue  # it asks nobody, so nothing can go wrong on the way
            cell = _write if method in writes else _read
            found += [
                Case("faults", f"{name}.{method} × {fault.name}", partial(cell, name, method, fault))
                for fault in columns
                if method in writes or fault.read
            ]
        for method in writes:
            found.append(
                Case("faults", f"{name}.{method} × retry after expiry", partial(_late, name, method))
            )
            if connector.transport == "http":
                found.append(
                    Case("faults", f"{name}.{method} × its later requests", partial(_later, name, method))
                )
    return found


async def _sample(bench: Bench, capability: str, method: str, n: str) -> Sample:
    maker = bench.samples.get(f"{capability}.{method}") or samples.WRITES[capability][method]
    made: Sample = await maker(bench.connector, n)
    return made


@dataclass(frozen=True, slots=True)
class _Usual:
    """A write when nothing goes wrong: its effects, its requests, and how many of those read before the first that
    writes."""

    effects: int
    requests: int
    reads: int


async def _undisturbed(bench: Bench, capability: str, method: str) -> _Usual:
    sample = await _sample(bench, capability, method, "baseline")
    before, requests = bench.stand_in.count(), len(bench.log.entries)
    await getattr(bench.connector, method)(sample.request, sample.key)
    effects = bench.stand_in.count() - before
    right = effects_of_one(bench, f"{capability}.{method}")
    assert effects == right, f"{method} went well, and the stand-in counted {effects} effects, not {right}"
    made = [entry.method for entry in bench.log.entries[requests:]]
    reads = next((n for n, verb in enumerate(made) if verb not in ("GET", "HEAD")), len(made))
    return _Usual(effects, len(made), reads)


def effects_of_one(bench: Bench, method: str) -> int:
    """How many effects one write has: one, unless the stand-in says that it counts its parts."""
    parts: Mapping[str, int] = getattr(bench.stand_in, "effects_of_one_write", {})
    return parts.get(method, 1)


async def _write(capability: str, method: str, fault: Fault, bench: Bench) -> None:
    usual = await _undisturbed(bench, capability, method)
    sample = await _sample(bench, capability, method, "faulted")
    before = bench.stand_in.count()
    if fault.name == "refused":
        away = bench.made(closed=True)
        error = await _error_of(getattr(away, method)(sample.request, sample.key))
        _is_right(error, fault.write, method)
        assert bench.stand_in.count() == before, "a refused connection had an effect"
        return
    inject(bench, fault, skip=usual.reads)
    connector = bench.made(timeout=PATIENCE) if fault.name.startswith("stall") else bench.connector
    try:
        carried = await carry(connector, method, sample.request, sample.key, bench.clock)
    finally:
        bench.stand_in.release()
    _kind_is_right(type(bench.connector), fault, carried)
    _effects_are_right(bench, method, carried, bench.stand_in.count() - before, usual.effects)


async def _later(capability: str, method: str, bench: Bench) -> None:
    """A write of several requests: one after the first fails, and what the first did stays done."""
    usual = await _undisturbed(bench, capability, method)
    if usual.requests - usual.reads < 2:
        raise Skipped("it makes no request after the one that writes")
    for number in range(usual.reads + 1, usual.requests):
        for fault in (each for each in HTTP_FAULTS if each.name in ("unavailable", "drop_after", "conflict")):
            sample = await _sample(bench, capability, method, f"later-{number}-{fault.name}")
            before = bench.stand_in.count()
            inject(bench, fault, skip=number)
            carried = await carry(bench.connector, method, sample.request, sample.key, bench.clock)
            try:
                _effects_are_right(bench, method, carried, bench.stand_in.count() - before, usual.effects)
            except AssertionError as wrong:
                raise AssertionError(f"{fault.name} at its request {number + 1}: {wrong}") from None


def inject(bench: Bench, fault: Fault, *, skip: int = 0) -> None:
    """Commit the fault on the write's own request, past the reads that it makes first."""
    options: dict[str, Any] = {"skip": skip} if skip else {}
    bench.stand_in.inject(fault.name, None if fault.name == "unauthorized_forever" else 1, **options)


def _kind_is_right(connector: type[Connector[Any]], fault: Fault, carried: Carried) -> None:
    if not carried.errors:
        noticed = "rejected" in fault.write and _refused_by_record(carried.answer)
        assert fault.answers or noticed, f"{fault.name} went unnoticed"
        return
    _is_right(carried.errors[0], fault.write, fault.name)
    first = carried.errors[0]
    if isinstance(first, RateLimited) and fault.name in _FORMS:
        if first.after is None:
            assert not _declares(connector, _FORMS[fault.name]), "the Retry-After of the 429 was not read"
            return
        # An HTTP date has no parts of a second, so that less than two may be left.
        least = timedelta(seconds=1) if fault.name == "rate_limited_seconds" else timedelta()
        assert least <= first.after <= timedelta(seconds=4), f"Retry-After of 2 s was read as {first.after}"


def _declares(connector: type[Connector[Any]], forms: tuple[str, ...]) -> bool:
    """Whether the connector's system has one of these forms by its own declaration, or none is declared."""
    declared = getattr(connector, "http", None)
    return not isinstance(declared, Http) or declared.retry_after.form in forms


def _is_right(error: ConnectorError, kinds: frozenset[str], what: str) -> None:
    assert error.kind in kinds, (
        f"{what}: {error.kind} ({error.message}), where {' or '.join(sorted(kinds))} is right"
    )


def _refused_by_record(answer: Any) -> bool:
    """Whether a batch's answer tells of each of its records that it was not written."""
    outcomes = answer if isinstance(answer, list) else []
    return bool(outcomes) and all(
        isinstance(one, RecordOutcome) and one.status is not RecordStatus.WRITTEN for one in outcomes
    )


def _effects_are_right(bench: Bench, method: str, carried: Carried, effects: int, expected: int) -> None:
    idempotency = idempotency_of(getattr(bench.connector, method))
    assert effects <= expected, f"{effects} effects, where one write has {expected}"
    last = carried.errors[-1].kind if carried.errors else ""
    if isinstance(idempotency, Never):
        unknown = sum(error.kind == "unknown" for error in carried.errors)
        assert unknown <= 1, f"sent {carried.sends} times, though it declares never"
    if _refused_by_record(carried.answer):
        assert effects == 0, f"told as refused, and the stand-in counted {effects} effects"
    elif carried.answer is not None:
        assert effects == expected, (
            f"answered as done, and the stand-in counted {effects} of {expected} effects"
        )
    elif last in ("rejected", "unauthorized"):
        assert effects == 0, f"{last}, as if nothing were done, and the stand-in counted {effects} effects"
    elif last == "transient" or (last in ("unknown", "rate_limited") and not isinstance(idempotency, Never)):
        raise AssertionError(f"came to no end though the fault was over: {carried.parked}")


async def _late(capability: str, method: str, bench: Bench) -> None:
    """The answer is lost and the hub is away until the other system has forgotten the key, where it ever does."""
    idempotency = idempotency_of(getattr(bench.connector, method))
    if isinstance(idempotency, Never):
        raise Skipped("it declares never: the hub does not send it twice")
    usual = await _undisturbed(bench, capability, method)
    sample = await _sample(bench, capability, method, "late")
    before = bench.stand_in.count()
    fault = next(f for f in TRANSPORTS[bench.connector.transport] if f.name == "drop_after")
    inject(bench, fault, skip=usual.reads)
    carried = await carry(bench.connector, method, sample.request, sample.key, bench.clock, away=LATE)
    effects = bench.stand_in.count() - before
    assert effects <= usual.effects, f"done twice, {LATE.days} days apart, though it declares {idempotency}"
    if isinstance(idempotency, Native) and idempotency.ttl is not None:
        assert carried.parked is not None, "sent again after the key may have been forgotten"
    else:
        assert carried.answer is not None, f"what was applied is not recognised later: {carried.parked}"


async def _read(capability: str, method: str, fault: Fault, bench: Bench) -> None:
    own = bench.samples.get(f"{capability}.{method}")
    connector = bench.connector
    arguments = await samples.read_arguments(own, capability, method, connector)
    before = bench.stand_in.count()
    if fault.name == "refused":
        connector = bench.made(closed=True)
    else:
        if fault.name.startswith("stall"):
            connector = bench.made(timeout=PATIENCE)
        inject(bench, fault)
    try:
        if fault.answers:
            try:
                await getattr(connector, method)(*arguments)
            except ConnectorError as error:
                _is_right(error, fault.read, fault.name)
        else:
            _is_right(await _error_of(getattr(connector, method)(*arguments)), fault.read, fault.name)
    finally:
        bench.stand_in.release()
    assert bench.stand_in.count() == before, "a read had an effect"


async def _error_of(call: Any) -> ConnectorError:
    try:
        answer = await call
    except ConnectorError as error:
        return error
    raise AssertionError(f"it answered {type(answer).__name__}, as if nothing were wrong")
