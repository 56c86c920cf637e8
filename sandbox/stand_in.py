"""A vendor's stateful stand-in: state, effects, faults and recorded calls behind routes of its wire protocol."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from sandbox.background import Background
from sandbox.calls import Answer, Call, Malformed, Recorded, Refused, json_answer
from sandbox.clock import Clock
from sandbox.effects import Effect, Effects
from sandbox.faults import Fault, Faults
from sandbox.routes import Handler, Routes
from sandbox.webhooks import Webhook, send

if TYPE_CHECKING:
    from sandbox.server import LocalServer

logger = logging.getLogger("sandbox")
_MASKED = frozenset({"authorization", "proxy-authorization", "cookie", "x-key", "x-api-key", "api-key"})
_KEPT_REQUESTS = 20_000


class StandIn:
    """One vendor. A subclass names its `system`, marks handlers with `@route` and keeps its state in the instance.

    In a test: `with MyStandIn() as s: call(s.url)`. State is set up in `reset()`, which `__init__` calls.
    """

    #: The name in URLs and on the command line ("stripe").
    system: ClassVar[str] = ""
    #: The vendor's name as the page shows it.
    title: ClassVar[str] = ""
    #: Names of headers (lower case) whose values are masked in recorded calls, above the usual ones.
    secret_headers: ClassVar[frozenset[str]] = frozenset()
    #: What `inject` makes: a subclass of Fault where the vendor has faults of its own.
    fault_type: ClassVar[type[Fault]] = Fault
    #: Starts of paths that are pages for people, no calls of the vendor's API: neither recorded nor faulted.
    own_pages: ClassVar[tuple[str, ...]] = ()
    #: Writes that count as several effects, as the parts of a document do: "capability.method" → how many.
    effects_of_one_write: ClassVar[Mapping[str, int]] = {}
    _routes: ClassVar[Routes]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._routes = Routes(cls)

    def __init__(self) -> None:
        self.clock = Clock()
        self.faults = Faults()
        self.effects = Effects()
        self.background = Background()
        self.crashes: list[BaseException] = []
        self._requests: deque[Recorded] = deque(maxlen=_KEPT_REQUESTS)
        self._times: deque[float] = deque(maxlen=_KEPT_REQUESTS)
        self._server: LocalServer | None = None
        self.base_url = ""
        self.reset()

    # ---- what a vendor may override

    def reset(self) -> None:
        """Back to the empty state. A subclass calls super().reset() and sets up its own state."""
        self.clock.reset()
        self.faults.clear()
        self.effects.reset()
        self._requests.clear()
        self._times.clear()
        self.crashes.clear()

    def authorize(self, call: Call) -> Answer | None:
        """The vendor's 401 for a call without good credentials; None lets it in."""
        return None

    async def around(self, call: Call, apply: Callable[[], Awaitable[Answer]]) -> Answer:
        """Stands around every handler: a vendor with idempotency keys answers from them here."""
        await call.processing()
        return await apply()

    def error_body(self, status: int, kind: str) -> Any:
        """The vendor's error body, as JSON, for an error that no handler made.

        Kinds: rate_limited, unavailable, server_error, unauthorized, error_in_200, conflict, rejected,
        not_found, method_not_allowed, malformed.
        """
        return {"error": {"code": kind, "message": f"{kind} (HTTP {status})"}}

    def error_headers(self, status: int, kind: str) -> Mapping[str, str]:
        """Headers that the vendor sends with such an error."""
        return {}

    def headers(self, call: Call) -> Mapping[str, str]:
        """Headers that the vendor sends with every answer, such as a request id."""
        return {}

    def own_refusal(self, fault: Fault) -> Answer | None:
        """The answer to a fault that only this vendor has and that applies nothing; None for one that applies."""
        return None

    def own_fault(self, fault: Fault, answer: Answer) -> tuple[Answer | None, bool]:
        """A fault that only this vendor has, met after the call was applied.

        What goes out (None: the connection is aborted), and whether the vendor's own headers go with it.
        """
        return answer, True

    def webhook_body(self, kind: str, object: Mapping[str, Any], now: datetime) -> bytes:
        """The bytes of the vendor's webhook that tells of `object`."""
        raise NotImplementedError(f"{self.system} has no webhooks")

    def sign(self, body: bytes, secret: str, now: datetime, url: str) -> Mapping[str, str]:
        """Headers that carry the vendor's signature of a webhook made at `now`."""
        return {}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """What the stand-in holds, for its page: title → rows (column → value)."""
        return {}

    def control(self, what: str, fields: dict[str, Any]) -> Any:
        """The vendor's own controls: `POST /_control/<system>/<what>` with fields. LookupError when there is none."""
        raise LookupError(f"{self.system} has no control {what!r}")

    async def opened(self) -> None:
        """Called on the server's loop once it listens: a stand-in of another transport opens its own socket here."""

    async def closed(self) -> None:
        """Called on the server's loop before it ends: undo `opened`."""

    # ---- what tests and the control use

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        if not self.base_url:
            raise RuntimeError(f"the {self.system} stand-in is not started; use it in a with statement")
        return self.base_url

    def inject(
        self,
        fault: str,
        times: int | None = 1,
        *,
        method: str | None = None,
        path: str | None = None,
        skip: int = 0,
        after: int = 2,
        seconds: float | None = None,
    ) -> Fault:
        """Commit `fault` on the next `times` matching calls (see `Fault`); ValueError for an unknown one."""
        return self.faults.inject(self.fault_type(fault, times, method, path, skip, after, seconds))

    def count(self, kind: str | None = None, key: str | None = None) -> int:
        """How many effects of this kind and business key there were."""
        return self.effects.count(kind, key)

    def effect(self, kind: str, key: str, *, also: tuple[str, ...] = (), **detail: Any) -> None:
        """Write down that something happened, at the moment of applying. `also`: further keys that it is found by."""
        self.effects.add(Effect(kind, key, self.clock.now(), detail, also))

    @property
    def requests(self) -> list[Recorded]:
        """The recorded calls, oldest first."""
        return list(self._requests)

    @property
    def request_times(self) -> list[float]:
        """Arrival of each recorded call, monotonic seconds."""
        return list(self._times)

    def advance(self, step: timedelta) -> None:
        """Move the stand-in's clock forward."""
        self.clock.advance(step)

    def release(self) -> None:
        """Let stalled calls go on."""
        self.faults.release()

    def settle(self) -> None:
        """Wait until the webhooks that are on their way have been answered."""
        self._running().run(self.background.settled())

    async def fire_webhook(self, webhook: Webhook) -> list[int]:
        """Send a signed webhook from the running loop; the receiver's statuses, one per copy."""
        made = self.clock.now() - timedelta(seconds=webhook.late)
        body = self.webhook_body(webhook.kind, webhook.object, made)
        headers = {"content-type": "application/json", **self.sign(body, webhook.secret, made, webhook.url)}
        return await send(webhook.url, body, headers, 1 + webhook.duplicate)

    def fire(
        self,
        kind: str,
        object: Mapping[str, Any],
        *,
        url: str,
        secret: str,
        duplicate: int = 0,
        late: float = 0,
    ) -> list[int]:
        """Send a signed webhook and wait for the receiver's statuses. Not from the receiver's own loop: that blocks."""
        return self._running().run(self.fire_webhook(Webhook(kind, object, url, secret, duplicate, late)))

    def _running(self) -> LocalServer:
        if self._server is None:
            raise RuntimeError(f"the {self.system} stand-in is not started; use it in a with statement")
        return self._server

    def start(self, port: int = 0) -> Self:
        """Listen on 127.0.0.1 in a thread of its own; a free port when 0."""
        from sandbox.server import LocalServer

        if self._server is not None:
            raise RuntimeError(f"the {self.system} stand-in listens already at {self.base_url}")
        self._server = LocalServer({self.system: self}, mounted=False, port=port)
        self._server.start()
        return self

    def stop(self) -> None:
        """End the thread; what is stalled is let go. State stays, so `start(port)` is the vendor back again."""
        if self._server is not None:
            self.faults.release()
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self.crashes and error is None:
            raise RuntimeError(f"a handler of the {self.system} stand-in crashed") from self.crashes[0]

    # ---- how a call is answered

    def record(self, call: Call) -> Recorded:
        """Keep what came in, with secrets masked."""
        hidden = _MASKED | self.secret_headers
        headers = {name: "***" if name in hidden else value for name, value in call.headers.items()}
        kept = Recorded(call.method, call.path, list(call.query), headers, call.body, call.now)
        self._requests.append(kept)
        self._times.append(time.monotonic())
        return kept

    async def handle(self, call: Call) -> Answer:
        """The vendor's answer to a call, faults apart. Never raises: a crash is a 500 that ends the with statement."""
        try:
            refusal = self.authorize(call)
            if refusal is not None:
                return refusal
            found = self._routes.find(call.method, call.path)
            if found is None:
                known = self._routes.methods(call.path)
                return self.error(405, "method_not_allowed") if known else self.error(404, "not_found")
            name, call.params = found
            return await self.around(call, partial(self._made, getattr(self, name), call))
        except Refused as refused:
            return refused.answer
        except Malformed as malformed:
            logger.info("%s: %s", self.system, malformed)
            return self.error(400, "malformed")
        except Exception as crash:
            logger.exception("the %s stand-in crashed at %s %s", self.system, call.method, call.path)
            self.crashes.append(crash)
            return self.error(500, "server_error")

    async def _made(self, handler: Handler, call: Call) -> Answer:
        made = handler(call)
        return made if isinstance(made, Answer) else await made

    def error(self, status: int, kind: str, headers: Mapping[str, str] | None = None) -> Answer:
        """An error answer in the vendor's form."""
        body = self.error_body(status, kind)
        return json_answer(body, status, {**self.error_headers(status, kind), **(headers or {})})
