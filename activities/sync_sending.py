"""Bringing records to another system: mapped, compared with what was written last, sent in its own batches.

A record that the other system refuses stands alone in the end, whether it answers per record or fails the whole batch:
then the batch is halved until it is found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError

from activities.sync_flow import OutboundFlow
from connectors.sdk.connector import Connector
from connectors.sdk.errors import Broken, ConnectorError, Rejected, Unknown
from connectors.sdk.key import Key
from connectors.sdk.mapping import Drift, Mapped
from connectors.sdk.methods import problems_of
from connectors.sdk.redaction import personal_values, redact
from connectors.sdk.values import RecordOutcome, RecordStatus
from operations.sync.batch import Result, Status, Work
from operations.sync.states import Loaded
from storage.sync import SyncedRow

# So many answers in a row that cannot be read, and none that can: it is not the records.
BROKEN_IN_A_ROW = 3
# So often in a row nobody knows whether a batch was applied: it may be one of its records.
UNKNOWN_IN_A_ROW = 3
REFUSED_AT_FIRST = 10
LONGEST_MESSAGE = 1000


class FlowTrouble(Exception):
    """Nothing of the flow can be sent: it is the map or the other system, no single record. kind: as parked work has
    it. The message says what and why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ToSend(NamedTuple):
    """A record ready to be sent. value: what the method takes, one of many where it is `batched`."""

    record: Loaded
    value: BaseModel
    fingerprint: bytes
    batched: bool = True

    def payload(self) -> Any:
        """As it is parked, to be edited: what the method would be asked with."""
        shown = self.value.model_dump(mode="json")
        return [shown] if self.batched else shown

    def result(self, status: Status, **more: Any) -> Result:
        """What came of it."""
        return Result(self.record, status, self.fingerprint, **more)


class Sorted(NamedTuple):
    """The records of a step: those to be sent, and the results of the others."""

    to_send: list[ToSend]
    results: list[Result]


def sort_out(flow: OutboundFlow, work: Work, known: Collection[str] | None) -> Sorted:
    """Map each record and set aside what is as it was written last, and what does not fit. Raises FlowTrouble."""
    if known is not None and (gone := flow.mapping.gone(known)):
        raise FlowTrouble("drift", f"the other system does not have {', '.join(gone)}")
    found = Sorted([], [])
    keys: set[str] = set()
    for record in work.records:
        before = work.before.get(record.subject)
        if flow.document.once and before is not None and before.fingerprint is not None:
            found.results.append(Result(record, Status.UNCHANGED, before.fingerprint))
            continue
        made = _made(flow, record, before, known)
        if isinstance(made, Result):
            found.results.append(made)
            continue
        if before is not None and before.fingerprint == made.fingerprint:
            found.results.append(made.result(Status.UNCHANGED))
        elif (key := str(getattr(made.value, "key", record.subject))) in keys:
            found.results.append(
                _drifted(
                    record, f"another record of the batch has the same key; see the map of {key!r}"[:100]
                )
            )
        else:
            keys.add(key)
            found.to_send.append(made)
    return found


def _made(
    flow: OutboundFlow, record: Loaded, before: SyncedRow | None, known: Collection[str] | None
) -> ToSend | Result:
    if before is not None and before.payload is not None:
        try:
            value = flow.record.model_validate(
                before.payload[0] if isinstance(before.payload, list) else before.payload
            )
        except ValidationError as error:
            return Result(
                record,
                Status.PARKED,
                message="what was edited does not fit the method",
                fields=problems_of(error),
                payload=before.payload,
            )
    else:
        made = flow.mapping.make(record.state, known)
        if isinstance(made, Drift):
            if made.stops:
                raise FlowTrouble("drift", str(made))
            mapped = flow.mapping.apply(record.state, None)
            payload = dict(mapped) if isinstance(mapped, Mapped) else None
            if payload is not None and flow.batched:
                return _drifted(record, str(made), dict(made.fields), [payload])
            return _drifted(record, str(made), dict(made.fields), payload)
        value = made
    text = json.dumps(
        value.model_dump(mode="json", exclude={"version"}), sort_keys=True, separators=(",", ":")
    )
    return ToSend(record, value, hashlib.sha256(text.encode()).digest()[:16], flow.batched)


def _drifted(
    record: Loaded, message: str, fields: dict[str, str] | None = None, payload: Any = None
) -> Result:
    return Result(
        record,
        Status.PARKED,
        error="drift",
        message=message,
        fields=fields or {},
        payload=TypeAdapter(Any).dump_python(payload, mode="json"),
    )


class Sender:
    """Sends batches of one flow of one step through a connector; `results` grow as answers come, so that what was
    written is known also when a later call fails."""

    def __init__(self, connector: Connector[Any], flow: OutboundFlow, work: Work) -> None:
        self._call: Callable[..., Awaitable[list[RecordOutcome]]] = getattr(connector, flow.method.function)
        self._flow = flow
        self._work = work
        self._broken = 0
        self.understood = False
        self.results: list[Result] = []

    async def send(self, batch: Sequence[ToSend]) -> None:
        """Send a batch. Raises ConnectorError where it is not about the records: nothing of the batch counts then."""
        try:
            outcomes = await self._call([each.value for each in batch], self._key(batch))
        except (Rejected, Broken) as error:
            await self._isolate(batch, error)
            return
        except Unknown as error:
            if not self._suspects(batch):
                raise
            await self._isolate(batch, error)
            return
        self.understood, self._broken = True, 0
        by_key = {outcome.key: outcome for outcome in outcomes}
        self.results += [_result(each, by_key.get(str(getattr(each.value, "key", "")))) for each in batch]

    def check(self) -> None:
        """Raise FlowTrouble where a flow that never wrote anything has all of many records refused: then it is not the
        records, and parking a million of them would help nobody."""
        refused = [each for each in self.results if each.status is Status.PARKED]
        if self._work.seen.written or len(refused) < REFUSED_AT_FIRST or len(refused) < len(self.results):
            return
        first = refused[0]
        raise FlowTrouble(
            "rejected",
            f"not one of the first {len(refused)} records is taken; of the first it says: {first.message}",
        )

    def _suspects(self, batch: Sequence[ToSend]) -> bool:
        """Whether a batch of unknown outcome may hold a record that is to blame: it was tried often enough, or a record
        of it was alone in that before."""
        if self._work.seen.doubts + 1 >= UNKNOWN_IN_A_ROW:
            return True
        before = (self._work.before.get(each.record.subject) for each in batch)
        return any(row is not None and row.tries > 0 for row in before)

    async def _isolate(self, batch: Sequence[ToSend], error: Rejected | Broken | Unknown) -> None:
        if isinstance(error, Rejected) and error.blame == "configuration":
            raise error
        if len(batch) > 1:
            middle = len(batch) // 2
            await self.send(batch[:middle])
            await self.send(batch[middle:])
            return
        if isinstance(error, Broken | Unknown):
            self._broken += 1
            if self._broken >= BROKEN_IN_A_ROW and not self.understood:
                self.results = [each for each in self.results if each.error not in ("broken", "unknown")]
                raise error
        self.results.append(_refused(batch[0], error))

    def _key(self, batch: Sequence[ToSend]) -> Key:
        """The same for the same states of the same step, so that a repetition is known as one; another one when the
        states differ or the flow was begun anew."""
        digest = hashlib.sha256(repr((self._work.seen.cursor, self._work.seen.asked)).encode())
        for each in batch:
            digest.update(each.record.subject.encode() + each.fingerprint)
            digest.update(str(each.record.state.get("version")).encode())
        return Key.of("sync", self._flow.document.name, digest.hexdigest()[:32])


def _result(sent: ToSend, outcome: RecordOutcome | None) -> Result:
    if outcome is None:
        return sent.result(
            Status.RETRY, message="the other system said nothing about it", payload=sent.payload()
        )
    if outcome.status is RecordStatus.WRITTEN:
        return sent.result(Status.WRITTEN, vendor_id=outcome.vendor_id)
    payload = sent.payload()
    return sent.result(
        Status.RETRY if outcome.status is RecordStatus.RETRY else Status.PARKED,
        code=outcome.code,
        payload=payload,
        **_words(payload, outcome.message or "refused", outcome.fields),
    )


def _refused(sent: ToSend, error: ConnectorError) -> Result:
    payload = sent.payload()
    fields = error.fields if isinstance(error, Rejected) else {}
    return sent.result(
        Status.RETRY if isinstance(error, Unknown) else Status.PARKED,
        error=error.kind,
        code=error.code,
        payload=payload,
        **_words(payload, error.message, fields),
    )


def _words(payload: Any, message: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """What the other system said, without the personal data that it repeats."""
    personal = personal_values(json.dumps(payload).encode(), "application/json")
    return {
        "message": redact(message, personal)[:LONGEST_MESSAGE],
        "fields": {name: redact(text, personal)[:LONGEST_MESSAGE] for name, text in fields.items()},
    }
