"""Sending webhooks to subscribers' endpoints: sign, post, write down. At least once; the id stays the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ParamSpec, TypeVar

from httpx import Headers
from sqlalchemy import Engine
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError

from activities.heartbeat import beating
from activities.webhook_answers import error_kind, excerpt
from connectors.sdk.redaction import learn
from connectors.sdk.retry_after import RetryAfter
from connectors.sdk.transport import Timeouts, Way
from connectors.sdk.webhooks.shelf import bundled_recipes
from connectors.sdk.webhooks.sign import headers_to_send, sign
from connectors.sdk.webhooks.values import WebhookRequest
from contracts.names import TASK_QUEUE, WEBHOOK_QUEUE, webhook_delivery_id
from contracts.webhooks_out import (
    LOOK_AGAIN,
    WEBHOOK_DELIVERY_WORKFLOW,
    DeliverInput,
    DeliverOutput,
    DeliveryRequest,
)
from operations.webhooks_out.sending import Attempt, Letter, Turn, record_turn, take_turn
from storage.encryption import Encryption, SecretKeyError

LETTERS_A_TURN = 100
AT_ONCE = 8
# No letter is begun after this; the last one may then take its whole timeout.
TURN_SECONDS = 10.0
TIMEOUTS = Timeouts(connect=5.0, read=15.0, total=15.0)
LONGEST_ANSWER = 16 * 1024
DATABASE_THREADS = 4
RPC_TIMEOUT = timedelta(seconds=10)
DETAILS = (
    "Open while messages wait for one subscriber's endpoint. They are rows in Postgres: ending or deleting this loses "
    "nothing, and it is opened again. `masthead webhooks deliveries` shows what was answered."
)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Deliveries:
    """The workflows that deliver to endpoints, as others see them. Activities run on `queue`."""

    def __init__(self, client: Client, task_queue: str = TASK_QUEUE, queue: str = WEBHOOK_QUEUE) -> None:
        self._client = client
        self._task_queue = task_queue
        self._queue = queue

    async def call(self, endpoint_id: str) -> None:
        """Let the endpoint's workflow look at what waits; open it when it is not."""
        await self._client.start_workflow(
            WEBHOOK_DELIVERY_WORKFLOW,
            DeliveryRequest(endpoint_id=endpoint_id, queue=self._queue),
            id=webhook_delivery_id(endpoint_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=LOOK_AGAIN,
            static_summary="webhooks to one subscriber's endpoint",
            static_details=DETAILS,
            rpc_timeout=RPC_TIMEOUT,
        )


class WebhookActivities:
    """Sending, for the database of `engine`. With `allow_loopback` endpoints may be on this machine."""

    def __init__(self, engine: Engine, encryption: Encryption, *, allow_loopback: bool) -> None:
        self._engine = engine
        self._encryption = encryption
        self._allow_loopback = allow_loopback
        # Many endpoints are sent to at once, and none may take the connections of the work on the books.
        self._threads = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="webhooks")

    @activity.defn(name="deliver_webhooks")
    async def deliver(self, order: DeliverInput) -> DeliverOutput:
        """Send what is due, chunk after chunk, for some ten seconds, and write each chunk down."""
        round_ = _Round(order.now)
        async with beating(), aclosing(self._way()) as way:
            while True:
                turn = await self._take(order.endpoint_id, round_.now())
                if not turn.letters or round_.is_over():
                    return round_.output(turn)
                attempts: list[Attempt] = []
                try:
                    await round_.send(way, turn, attempts)
                finally:
                    # Also when this is canceled half-way: what was sent is not sent again.
                    recorded = self._run(record_turn, self._engine, order.endpoint_id, tuple(attempts))
                    await asyncio.shield(recorded)

    def _way(self) -> Way:
        return Way(allow_loopback=self._allow_loopback, timeouts=TIMEOUTS, max_bytes=LONGEST_ANSWER)

    async def _take(self, endpoint_id: str, now: datetime) -> Turn:
        try:
            turn = await self._run(
                take_turn, self._engine, self._encryption, endpoint_id, now, datetime.now(UTC), LETTERS_A_TURN
            )
        except SecretKeyError as error:
            raise ApplicationError(str(error), type="SecretKey") from error
        learn(*turn.secrets)
        return turn

    def _run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> asyncio.Future[_T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))

    def close(self) -> None:
        """End the threads; what they do is done first."""
        self._threads.shutdown()

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.deliver]


class _Round:
    """The letters of one activity. Its clock goes on from the workflow's time, or from now where it waited for a
    worker: else an outage of ours would count as the endpoint's."""

    def __init__(self, scheduled: datetime) -> None:
        self._began = max(scheduled, datetime.now(UTC))
        self._started = time.monotonic()
        self._delivered = 0
        self._failed = 0

    def now(self) -> datetime:
        return self._began + timedelta(seconds=time.monotonic() - self._started)

    def is_over(self) -> bool:
        return time.monotonic() - self._started >= TURN_SECONDS

    def output(self, turn: Turn) -> DeliverOutput:
        return DeliverOutput(
            status=turn.status, delivered=self._delivered, failed=self._failed, next_at=turn.next_at
        )

    async def send(self, way: Way, turn: Turn, attempts: list[Attempt]) -> None:
        """Send the turn's letters, `AT_ONCE` at a time, into `attempts`. After a failure no other letter is begun: the
        endpoint is asked again in the next turn, when it is known how it fares."""
        waiting = iter(turn.letters)
        failed = False

        async def carry() -> None:
            nonlocal failed
            for letter in waiting:
                attempt = await self._post(way, turn, letter)
                attempts.append(attempt)
                failed = failed or attempt.error_kind is not None
                if failed or self.is_over():
                    return

        async with asyncio.TaskGroup() as carriers:
            for _ in range(min(AT_ONCE, len(turn.letters))):
                carriers.create_task(carry())
        self._failed += sum(attempt.error_kind is not None for attempt in attempts)
        self._delivered += sum(attempt.error_kind is None for attempt in attempts)

    async def _post(self, way: Way, turn: Turn, letter: Letter) -> Attempt:
        at, began = self.now(), time.monotonic()
        try:
            signed = _signed(turn, letter, datetime.now(UTC))
            done = await way.deliver("POST", turn.url, Headers(headers_to_send(signed)), signed.body)
            kind, shown = error_kind(done), excerpt(done)
            status, wait = done.status, RetryAfter().read(done.headers, datetime.now(UTC))
        except Exception as error:
            # A mishap that is raised would be recorded nowhere, and what was sent would be sent again without end. Only
            # the type: the text may quote the answer or the url.
            kind, shown, status, wait = "unexpected", type(error).__name__, None, None
        milliseconds = round((time.monotonic() - began) * 1000)
        return Attempt(letter, at, status, milliseconds, kind, shown, wait)


def _signed(turn: Turn, letter: Letter, now: datetime) -> WebhookRequest:
    recipe = bundled_recipes()["standard-webhooks"]
    headers = {"webhook-id": letter.name, "user-agent": "Masthead-Webhooks/1"}
    request = WebhookRequest("POST", turn.url, headers, letter.body)
    for secret in turn.secrets:
        request = sign(recipe, request, secret, now)
    return request
