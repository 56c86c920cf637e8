"""Flows to a method that takes one thing at a time: each becomes a call of its own, written down in the transaction
that moves the cursor, and goes on as a process of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from activities.sync_flow import OutboundFlow
from activities.sync_sending import ToSend, sort_out
from connectors.sdk.key import Key
from contracts.connector_call import CallRef, CallStatus
from operations.calls.prepare import CallOrder, prepare_call, ref_of
from operations.sync.batch import Plan, Recorded, Result, Status, Work, record_work
from storage.calls import read_call
from storage.database import PgConnection
from storage.sync import settle_due

CallStarter = Callable[[CallRef], Awaitable[object]]
RunInThread = Callable[..., Awaitable[Any]]

# A call that was written down and whose process could not be started is looked for after this long.
STARTED_WITHIN_SECONDS = 60.0


class _Prepared(NamedTuple):
    counted: Recorded
    refs: list[tuple[str, CallRef]]


async def hand_over(
    run: RunInThread,
    session: PgConnection,
    plan: Plan,
    flow: OutboundFlow,
    work: Work,
    start_call: CallStarter,
) -> Recorded:
    """Write the calls of a step down and start their processes. A process that dies in between finds those that were
    not started among what is due."""

    def prepare() -> _Prepared:
        found = sort_out(flow, work, None)
        with session.transaction():
            refs, sent = _never_started(session, work, found.results), []
            for each in found.to_send:
                prepared = prepare_call(session, _order(plan, flow, work, each))
                # The call is what the record is known by from now on.
                sent.append(each.result(Status.WRITTEN, vendor_id=prepared.ref.call_id))
                if prepared.status is CallStatus.INTENT:
                    refs.append((each.record.subject, prepared.ref))
            counted = record_work(session, plan, work, [*found.results, *sent])
            settle_due(session, work.lane, [subject for subject, _ in refs], STARTED_WITHIN_SECONDS)
        return _Prepared(counted, refs)

    done: _Prepared = await run(prepare)
    for _, ref in done.refs:
        await start_call(ref)
    if done.refs:
        await run(settle_due, session, work.lane, [subject for subject, _ in done.refs], None)
    return done.counted


def _never_started(session: PgConnection, work: Work, results: Sequence[Result]) -> list[tuple[str, CallRef]]:
    """Calls that an earlier step wrote down, and died before it started them."""
    found = []
    for result in results:
        before = work.before.get(result.record.subject)
        if before is not None and before.due_at is not None and before.vendor_id is not None:
            call = read_call(session, before.vendor_id)
            if call.status == CallStatus.INTENT:
                found.append((result.record.subject, ref_of(call)))
    return found


def _order(plan: Plan, flow: OutboundFlow, work: Work, sent: ToSend) -> CallOrder:
    """Once a subject, or once a state of it: an older call that waits is made superfluous by a newer one."""
    parts = [plan.flow.name, sent.record.subject]
    if not flow.document.once:
        parts += [str(sent.record.state.get("version") or 0), sent.fingerprint.hex()[:16]]
        if work.seen.asked is not None:
            parts.append(str(int(work.seen.asked.timestamp())))
    return CallOrder(
        connection=plan.connection,
        method=flow.method.name,
        key=str(Key.of("sync", *parts)),
        request=flow.method.request(sent.value),
        mode=plan.mode,
        account_id=sent.record.account_id,
        trace_key=None if flow.document.once else plan.trace_key(sent.record.subject),
    )
