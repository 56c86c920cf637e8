"""One turn of keeping a connection's system in step: lane after lane, until it is time to report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Engine

from activities.sync_flow import ConnectionFlows, FlowsOf, InboundFlow, OutboundFlow
from activities.sync_inbound import read_page
from activities.sync_sending import FlowTrouble, Sender, sort_out
from activities.sync_single import CallStarter, hand_over
from connectors.sdk.connector import Connector
from connectors.sdk.context import traced
from connectors.sdk.errors import Broken, ConnectorError, Rejected, Unknown
from connectors.sdk.mapping import TellsFields
from contracts.names import sync_id
from contracts.sync import LaneReport, TurnInput, TurnOutput
from operations.sync.batch import Work, behind, next_work, record_work, take_decisions
from operations.sync.lanes import open_lanes_of, park_lane, resolve_lane
from storage.connections import note_refused
from storage.database import PgConnection
from storage.leadership import open_session
from storage.sync import (
    BACKFILL,
    INBOUND,
    LIVE,
    Lane,
    hold,
    note_doubts,
    note_rest,
    note_trouble,
    read_lane,
    rest_left,
)
from storage.write_holds import open_hold

IDLE_SECONDS = 0.5
LONGEST_IDLE_SECONDS = 5.0
LANE_PAUSE_SECONDS = 60.0
# Rests longer than this outlive the turn; to ask anew with a turn what is asked every minute costs nothing.
SHORT_REST_SECONDS = 60
FIELDS_KNOWN_FOR_SECONDS = 600.0

OpenConnector = Callable[[str], Awaitable[Connector[Any]]]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Turn:
    """A turn, with a database session of its own that only one worker at a time has for the connection."""

    def __init__(
        self,
        engine: Engine,
        order: TurnInput,
        open_connector: OpenConnector,
        flows_of: FlowsOf,
        start_call: CallStarter,
    ) -> None:
        self._engine = engine
        self._order = order
        self._open = open_connector
        self._flows_of = flows_of
        self._start_call = start_call
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._session: PgConnection | None = None
        self._connector: Connector[Any] | None = None
        self._rests: dict[str, float] = {}  # flows that are not tried before then
        self._known: dict[str, tuple[float, Any]] = {}
        self._last: ConnectionFlows | None = None
        self.idle_rounds = 0
        self.output = TurnOutput(lanes=[])

    async def run(
        self, stopping: Callable[[], bool], rest: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> TurnOutput:
        """Carry out what there is to do until the time is over, or `stopping`; `rest` waits in between.

        Raises ConnectorError where the other system takes nothing at all; what was done before that is in `output`, and
        is written down.
        """
        began = time.monotonic()
        pause = IDLE_SECONDS
        try:
            await self._begin(began, stopping)
            while not stopping() and time.monotonic() - began < self._order.turn_seconds:
                flows = self._flows_of(self._order.connection)
                if flows is None:
                    self.output.ended = True
                    break
                self._last = flows
                if await self._round(flows):
                    self.idle_rounds, pause = 0, IDLE_SECONDS
                    if time.monotonic() - began >= self._order.report_seconds:
                        break
                    continue
                self.idle_rounds += 1
                if self._has_news() and time.monotonic() - began >= self._order.report_seconds:
                    break
                if not stopping():
                    await rest(pause)
                pause = min(pause * 1.5, LONGEST_IDLE_SECONDS)
            self.output.lanes = await self._report()
            return self.output
        finally:
            await self._end()

    async def _begin(self, began: float, stopping: Callable[[], bool]) -> None:
        session = self._session = await self._run(open_session, self._engine)
        while not await self._run(hold, session, self._order.connection):
            if stopping() or time.monotonic() - began >= self._order.turn_seconds:
                return
            await asyncio.sleep(IDLE_SECONDS)
        flows = self._flows_of(self._order.connection)
        if flows is not None:
            await self._run(open_lanes_of, session, [flows.plan(flow) for flow in flows.outbound])

    async def _end(self) -> None:
        if self._connector is not None:
            await self._connector.aclose()
        self._thread.submit(lambda: self._session.close() if self._session else None)
        self._thread.shutdown(wait=False)

    def _has_news(self) -> bool:
        return bool(self.output.written or self.output.rejected)

    async def _round(self, flows: ConnectionFlows) -> bool:
        """One step of each flow, the backfill only where nothing else is to be done. Whether there was something."""
        names = [flow.document.name for flow in flows.outbound]
        documents = [flow.document for flow in flows.flows]
        decisions = await self._run(take_decisions, self._db, flows.connection, documents)
        for name in decisions.woken:
            self._rests[name] = 0.0
        busy = decisions.taken > 0
        # While external writes are held the cursors of what is told stand still; what is read goes on.
        held = await self._run(open_hold, self._db) is not None
        outbound = () if held else flows.outbound
        for flow in outbound:
            busy |= await self._step(flows, flow, LIVE)
        for inbound in flows.pulled:
            busy |= await self._pull(flows, inbound, names)
        if not busy:
            for flow in outbound:
                if await self._step(flows, flow, BACKFILL):
                    return True
        return busy

    @property
    def _db(self) -> PgConnection:
        if self._session is None:
            raise RuntimeError("the turn has not begun")
        return self._session

    async def _step(self, flows: ConnectionFlows, flow: OutboundFlow, lane: str) -> bool:
        """One step of a lane. Trouble of this flow alone lets it rest; the others go on."""
        name = flow.document.name
        if self._rests.get(name, 0.0) > time.monotonic():
            return False
        plan = flows.plan(flow)
        work = await self._run(next_work, self._db, plan, lane)
        if work is None or not (work.moves or work.records or work.gone or work.ends):
            return False
        try:
            await self._carry_out(flows, flow, work)
        except (FlowTrouble, Rejected, Broken) as trouble:
            self._rests[name] = time.monotonic() + LANE_PAUSE_SECONDS
            await self._run(park_lane, self._db, plan, lane, trouble.kind, str(trouble))
            return False
        await self._run(resolve_lane, self._db, plan, lane)
        return True

    async def _carry_out(self, flows: ConnectionFlows, flow: OutboundFlow, work: Work) -> None:
        plan = flows.plan(flow)
        if not flow.batched:
            counted = await hand_over(self._run, self._db, plan, flow, work, self._start_call)
            self.output.written += counted.written
            self.output.rejected += counted.parked
            return
        known = await self._known_fields(flow) if work.records else None
        found = sort_out(flow, work, known)
        sender: Sender | None = None
        sent = 0
        try:
            if found.to_send:
                sender = Sender(await self._opened(), flow, work)
                with traced(sync_id(plan.connection), plan.connection):
                    while sent < len(found.to_send):
                        await sender.send(found.to_send[sent : sent + flow.document.batch])
                        sent += flow.document.batch
                        sender.check()
        except FlowTrouble:
            raise  # nothing was written
        except BaseException as error:
            if sender is not None and sender.results:
                part = work._replace(moves=False, gone=[], ends=False)
                await asyncio.shield(self._record(plan, part, sender.results))
            if sender is not None and isinstance(error, Unknown):
                times = 1 if sender.understood else work.seen.doubts + 1
                await self._run(note_doubts, self._db, work.lane, times)
            raise
        if work.seen.doubts and found.to_send:
            await self._run(note_doubts, self._db, work.lane, 0)
        await asyncio.shield(self._record(plan, work, [*found.results, *(sender.results if sender else [])]))

    async def _record(self, plan: Any, work: Work, results: Any) -> None:
        def record() -> Any:
            with self._db.transaction():
                return record_work(self._db, plan, work, results)

        counted = await self._run(record)
        self.output.written += counted.written
        self.output.rejected += counted.parked

    async def _pull(self, flows: ConnectionFlows, flow: InboundFlow, written_by: list[str]) -> bool:
        name, every = flow.document.name, flow.document.every
        plan = flows.plan(flow)
        if name not in self._rests:
            left = await self._run(rest_left, self._db, plan.lane(INBOUND))
            self._rests[name] = time.monotonic() + min(left, every)
        if self._rests[name] > time.monotonic():
            return False
        try:
            with traced(sync_id(plan.connection), plan.connection):
                page = await read_page(self._run, self._db, plan, flow, await self._opened(), written_by)
        except (Rejected, Broken) as trouble:
            self._rests[name] = time.monotonic() + LANE_PAUSE_SECONDS
            await self._run(park_lane, self._db, plan, INBOUND, trouble.kind, str(trouble))
            return False
        await self._run(resolve_lane, self._db, plan, INBOUND)
        self.output.written += page.applied.changed
        self.output.rejected += page.applied.parked
        if not page.more:
            self._rests[name] = time.monotonic() + every
            if every > SHORT_REST_SECONDS:
                await self._run(note_rest, self._db, plan.lane(INBOUND), every)
        return page.more or page.applied.changed > 0

    async def _opened(self) -> Connector[Any]:
        if self._connector is None:
            self._connector = await self._open(self._order.connection)
        return self._connector

    async def _known_fields(self, flow: OutboundFlow) -> Any:
        """The names that the other system has for the flow's records, where it tells them; asked now and then."""
        connector = await self._opened()
        if not isinstance(connector, TellsFields) or flow.kind is None:
            return None
        at, known = self._known.get(flow.kind, (0.0, None))
        if not at or time.monotonic() - at > FIELDS_KNOWN_FOR_SECONDS:
            known = await connector.tell_fields(flow.kind)
            self._known[flow.kind] = (time.monotonic(), known)
        return known

    async def note(self, kind: str, error: Exception) -> None:
        """Write down why nothing more is sent, for those who look."""
        flows = self._flows_of(self._order.connection)
        code = error.code if isinstance(error, ConnectorError) else None
        trouble = f"{kind} ({code})"[:100] if code else kind

        def write() -> None:
            session = open_session(self._engine)
            try:
                for flow in flows.flows if flows else ():
                    lane = INBOUND if isinstance(flow, InboundFlow) else LIVE
                    note_trouble(session, Lane(self._order.connection, flow.document.name, lane), trouble)
                if kind == "unauthorized":
                    note_refused(session, self._order.connection, "the credentials are refused")
            finally:
                session.close()

        await asyncio.to_thread(write)

    async def _report(self) -> list[LaneReport]:
        flows = self._last
        if flows is None:
            return []

        def look() -> list[LaneReport]:
            found = []
            for flow in flows.flows:
                plan = flows.plan(flow)
                for lane in (LIVE, BACKFILL) if isinstance(flow, OutboundFlow) else (INBOUND,):
                    row = read_lane(self._db, plan.lane(lane))
                    if row is None or (lane == BACKFILL and row.until is None):
                        continue
                    found.append(
                        LaneReport(
                            flow=plan.flow.name,
                            lane=lane,
                            written=row.written,
                            unchanged=row.unchanged,
                            parked=row.parked,
                            behind=behind(self._db, plan, lane) if lane != INBOUND else 0,
                            # Kind and code: the words of others stay in the row, out of histories.
                            trouble=row.trouble and row.trouble.partition(": ")[0],
                        )
                    )
            return found

        return await self._run(look)

    async def _run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await asyncio.wrap_future(self._thread.submit(function, *args, **kwargs))
