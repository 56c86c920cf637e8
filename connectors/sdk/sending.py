"""One request from the budget to the verdict: everything of ours that goes out by HTTP goes through here.

The bound client and the bridges of the vendors' own libraries differ only in how a request is written and an answer
is read. The order: credentials, budget, guard and way out, budget fed by the answer, one renewal after a 401,
verdict by the one table, log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx

from connectors.sdk import request_log
from connectors.sdk.auth import Credentials, Shown
from connectors.sdk.config import MissingSecret
from connectors.sdk.context import Context, Rehearsed
from connectors.sdk.error_table import Told, judges, read_error
from connectors.sdk.errors import ConnectorError, Unauthorized
from connectors.sdk.failures import Place, body_of
from connectors.sdk.idempotency import is_writing, note_request
from connectors.sdk.outcomes import READING, Exchange, Phase, blame_of, classify
from connectors.sdk.redaction import excerpt, personal_values, redact
from connectors.sdk.transport import Delivered, Timeouts, Way

if TYPE_CHECKING:
    from connectors.sdk.connector import Connector
    from connectors.sdk.http import Http

LONGEST_WAIT = timedelta(seconds=5)
_MOVED = frozenset({301, 302, 303, 307, 308})
_NOTHING_TOLD = Told(None, None, None, {})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to be sent. url: absolute, with its query. shown: its path as logs and errors name it.

    passing: statuses that are answered, not judged. json_only: a 2xx with a body must be JSON. total: seconds left.
    """

    method: str
    url: str = field(repr=False)
    shown: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)
    passing: frozenset[int] = frozenset()
    json_only: bool = False
    total: float | None = None

    @property
    def content_type(self) -> str:
        """Of what is sent."""
        return next((value for name, value in self.headers.items() if name.lower() == "content-type"), "")

    def place(self, connection: str) -> Place:
        """Where this is, for errors."""
        personal = personal_values(self.content, self.content_type)
        return Place(connection, f"{self.method} {self.shown}", personal)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer that is no error, with the request that it answers."""

    status: int
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)
    to: Outgoing = field(repr=False)


@dataclass(slots=True)
class _Call:
    """What one call has come to so far."""

    at: datetime
    start: float
    tries: int = 0
    shown: Shown = field(default_factory=Shown)
    delivered: Delivered = field(default_factory=lambda: Delivered(Phase.NOT_SENT))


class Sender:
    """Sends for one connector instance. base: the URL, without a slash at its end, that credentials belong to."""

    def __init__(
        self, connector: Connector[Any], http: Http, base: str, credentials: Credentials | None
    ) -> None:
        self.base = base
        self._http = http
        self._connector = connector
        self._credentials = credentials
        self._way = Way(
            allow_loopback=connector.context.allow_loopback,
            timeouts=_in(connector.context.timeout, http.timeouts),
            max_bytes=http.max_bytes,
        )

    @property
    def _context(self) -> Context:
        # Looked up at each request: a rehearsal may begin when the client is there already.
        return self._connector.context

    def __repr__(self) -> str:
        return f"Sender({self._context.connection!r})"

    async def aclose(self) -> None:
        """Close all connections."""
        await self._way.aclose()

    async def send(self, out: Outgoing) -> Answer:
        """Send, and answer what came back when it is no error. Raises the ConnectorError that it is."""
        if self._context.rehearsing:
            raise _rehearsed(out)
        call = _Call(self._context.clock.now(), time.monotonic())
        try:
            problem = await self._converse(out, call)
        except asyncio.CancelledError:
            note_request(reading=out.method in READING, applied=call.tries > 0)
            await asyncio.shield(self._log(out, call, "canceled"))
            raise
        if problem is None:
            problem = self._verdict(out, call.delivered)
            if isinstance(problem, Unauthorized) and self._credentials is not None and call.tries > 1:
                problem = await self._given_up(call, problem)
        note_request(
            reading=out.method in READING,
            applied=problem.kind == "unknown" if problem else 200 <= (call.delivered.status or 0) < 300,
        )
        await self._log(out, call, problem.kind if problem is not None else str(call.delivered.status))
        if problem is not None:
            raise problem
        got = call.delivered
        return Answer(got.status or 0, got.headers, got.content, out)

    def unreadable(self, answer: Answer, why: str) -> ConnectorError:
        """The error of an answer that is not what was asked for; Broken also for a status that would be a refusal."""
        exchange = Exchange(Phase.ANSWERED, answer.to.method, is_writing(), answer.status, readable=False)
        kind = classify(exchange) or "broken"
        return answer.to.place(self._context.connection).failure(
            "broken" if answer.status in answer.to.passing and kind != "unknown" else kind,
            f"answered {answer.status}, which cannot be read: {why}",
            status=answer.status,
            headers=answer.headers,
        )

    async def _converse(self, out: Outgoing, call: _Call) -> ConnectorError | None:
        """Send, once more after a renewed credential. Answers what kept it from being sent."""
        try:
            while True:
                if self._credentials is not None:
                    call.shown = await self._credentials.show()
                waited_for = await self._take(out)
                if waited_for is not None:
                    return waited_for
                call.tries += 1
                call.delivered = await self._deliver(out, call.shown)
                await self._feed_budget(call.delivered)
                refused = call.delivered.status == 401 and 401 not in out.passing
                if not refused or call.tries > 1 or self._credentials is None:
                    return None
                if not await self._credentials.renew(call.shown):
                    return None
        except ConnectorError as stopped:
            return stopped
        except MissingSecret as missing:
            what = f"was not sent: {missing}"
        return out.place(self._context.connection).failure("unauthorized", what)

    async def _given_up(self, call: _Call, refused: Unauthorized) -> ConnectorError:
        """Mark the connection; where that cannot be written down now, the next try finds the refusal again."""
        try:
            if self._credentials is not None:
                await self._credentials.give_up(call.shown)
        except ConnectorError as away:
            return away
        return refused

    async def _take(self, out: Outgoing) -> ConnectorError | None:
        """Take a call from the budget and wait for it; answers the error where that would be too long."""
        rate = self._context.rate or self._http.rate
        wait = await self._context.budget.take(self._context.connection, rate, LONGEST_WAIT)
        if wait > LONGEST_WAIT:
            place = out.place(self._context.connection)
            seconds = wait.total_seconds()
            return place.failure(
                "rate_limited",
                f"was not sent: the budget of calls is used up for {seconds:.0f} s",
                after=wait,
            )
        if wait > timedelta():
            await self._context.clock.sleep(wait.total_seconds())
        return None

    async def _deliver(self, out: Outgoing, shown: Shown) -> Delivered:
        url, left = out.url, self._http.redirects
        if shown.params:
            url = str(httpx.URL(url).copy_merge_params(shown.params))
        while True:
            headers = httpx.Headers(self._http.headers)
            headers.update(out.headers)
            headers.update(shown.headers)
            delivered = await self._way.deliver(out.method, url, headers, out.content, out.total)
            target = urljoin(url, delivered.headers.get("location", ""))
            if delivered.status not in _MOVED or out.method not in READING or left < 1:
                return delivered
            if origin_of(target) != origin_of(url):
                return delivered
            url, left = target, left - 1

    async def _feed_budget(self, delivered: Delivered) -> None:
        if delivered.status is None:
            return
        now = self._context.clock.now()
        waits = [self._http.quota.read(delivered.headers, now)] if self._http.quota else []
        if delivered.status in {429, 503}:
            waits.append(self._http.retry_after.read(delivered.headers, now))
        longest = max((wait for wait in waits if wait is not None), default=None)
        if longest is not None and longest > timedelta():
            await self._context.budget.hold(self._context.connection, now + longest)

    def _verdict(self, out: Outgoing, got: Delivered) -> ConnectorError | None:
        """The error that an exchange is, by the connector's table and then by everybody's."""
        if got.status is not None and got.status in out.passing and got.whole:
            return None
        judged = got.status is not None and judges(self._http.errors, got.status)
        body = body_of(got.content) if got.whole and got.content and (judged or out.json_only) else None
        told = read_error(self._http.errors, got.status, body) if judged and got.status else _NOTHING_TOLD
        readable = got.whole and not (out.json_only and got.content and body is None)
        declared = told.rule.error.kind if told.rule is not None else None
        # Of an answer that was cut short only a refusal counts: the next one may come whole.
        phase = Phase.SENT if got.cut and 200 <= (got.status or 0) < 300 else got.phase
        kind = classify(Exchange(phase, out.method, is_writing(), got.status, readable, declared))
        if got.refused:
            kind = "rejected"
        if kind is None:
            return None
        after = self._http.retry_after.read(got.headers, self._context.clock.now())
        return out.place(self._context.connection).failure(
            kind,
            _what(got, readable),
            status=got.status,
            headers=got.headers,
            told=told,
            after=after if after is not None or told.rule is None else told.rule.after,
            blame="configuration" if got.refused else (told.rule and told.rule.blame) or blame_of(got.status),
        )

    async def _log(self, out: Outgoing, call: _Call, outcome: str) -> None:
        parts = httpx.URL(out.url)
        names = "&".join(f"{name}=…" for name in parts.params)
        await request_log.write(
            self._context,
            request_log.Logged(
                at=call.at,
                method=out.method,
                url=origin_of(out.url) + out.shown + (f"?{names}" if names else ""),
                outcome=outcome,
                milliseconds=round((time.monotonic() - call.start) * 1000),
                tries=call.tries,
                sent=(out.content, out.content_type),
                got=(call.delivered.content, call.delivered.headers.get("content-type", "")),
                personal=personal_values(out.content, out.content_type),
            ),
        )


def _in(seconds: float | None, declared: Timeouts) -> Timeouts:
    """The declared timeouts, none longer than the connection's own."""
    if seconds is None:
        return declared
    return Timeouts(min(declared.connect, seconds), min(declared.read, seconds), min(declared.total, seconds))


def _within(timeouts: Timeouts, seconds: float | None) -> Timeouts:
    return timeouts if seconds is None else replace(timeouts, total=min(timeouts.total, seconds))


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = httpx.URL(url)
    return f"{parts.scheme}://{parts.netloc.decode('ascii')}"


def _what(got: Delivered, readable: bool) -> str:
    if got.refused:
        return f"was not sent: {got.problem}"
    if got.status is None:
        return f"was not answered: the other system {got.problem}"
    if got.status in _MOVED:
        to = httpx.URL(got.headers.get("location", "")).host
        return f"answered {got.status}: it leads to {to or 'another address'}; check the base URL"
    if got.problem:
        return f"answered {got.status}, but {got.problem}"
    if 200 <= got.status < 300 and not readable:
        kind = got.headers.get("content-type", "no type").partition(";")[0]
        return f"answered {got.status}, which is no JSON but {len(got.content):,} bytes of {kind}"
    return f"answered {got.status}"


def _rehearsed(out: Outgoing) -> Rehearsed:
    """The request as it would be sent, without its credentials. Personal data in it is masked."""
    personal = personal_values(out.content, out.content_type)
    body = excerpt(out.content, out.content_type, personal)
    return Rehearsed(out.method, redact(origin_of(out.url) + out.shown, personal), body)
