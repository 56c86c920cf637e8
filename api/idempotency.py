"""Requests that may be sent again. A route that moves money, or creates what does, takes `once: Once`:

    @router.post("", status_code=201, response_model=OrderOut)
    async def buy(caller: Writer, once: Once, order: NewOrder) -> Response:
        return await once.answer(lambda connection: Reply(buy_it(connection, caller.sight, order), 201))

`once.answer` runs the work in one transaction that also stores the answer. The same key with the same request is given
that answer again, byte by byte, with `Idempotent-Replayed: true`; with another request it is refused (422
idempotency_key_reused); while the first is being answered, 409 request_in_progress. A request without the header
is refused (400). What the work raises undoes all of it, and nothing is stored: after a refusal the key is free again.

Where the work takes several transactions (it waits for another system), call `once.claim` first. It answers what was
stored, or None and leaves a mark that others see; let the last transaction, also one of an activity, call
`storage.idempotency.finish(connection, once.asked, ...)`. Two claims of one key can follow each other after `lasting`,
so that such work needs an identity of its own: derive the workflow's id from `once.asked`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, NamedTuple, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from api.database import in_transaction
from api.problems import Problem
from storage.database import PgConnection
from storage.idempotency import Asked, KeyReused, StillRunning, Stored, begin_with, begun, claim, finish
from storage.round_trip import RoundTrip, round_trip

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_IN_ORDER = json.JSONEncoder(sort_keys=True)
_REMEDY = "Make a new random key (a UUID, say) for each thing you want done, and send it again only with that request."


Found = TypeVar("Found")


class Reply(NamedTuple):
    """What a use case answers. `account_id`: whose data it holds."""

    body: BaseModel
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    account_id: str | None = None


class OneRequest(NamedTuple):
    """A request with its Idempotency-Key."""

    request: Request
    asked: Asked

    async def answer(self, work: Callable[[PgConnection], Reply]) -> Response:
        """Do `work` and store what it answers in the same transaction, or give the answer that was stored."""
        return await self.answer_together(lambda trip: None, lambda last, found: work(last.connection))

    async def answer_together(
        self, ask: Callable[[RoundTrip], Found], work: Callable[[RoundTrip, Found], Reply]
    ) -> Response:
        """As `answer`, in few round trips: what `ask` asks for goes with the first of them, and its answers to `work`;
        what `work` leaves in its round trip goes with the last one."""

        def run(connection: PgConnection) -> tuple[Stored, bool]:
            with round_trip(connection) as first:
                beginning = begin_with(first, self.asked)
                found = ask(first)
            stored = begun(self.asked, beginning)
            if stored is not None:
                return stored, True
            with round_trip(connection) as last:
                reply = work(last, found)
                answer = stored_form(reply)
                finish(last, self.asked, answer, account_id=reply.account_id)
                last.commit()
            return answer, False

        try:
            stored, again = await in_transaction(self.request, run)
        except (KeyReused, StillRunning) as error:
            raise _refusal(error) from None
        return given(stored, again=again)

    async def claim(self, lasting: timedelta) -> Response | None:
        """The stored answer; or None, and the key is taken until the work is finished or released, or `lasting` is
        over."""
        try:
            stored = await in_transaction(
                self.request, lambda connection: claim(connection, self.asked, lasting)
            )
        except (KeyReused, StillRunning) as error:
            raise _refusal(error) from None
        return None if stored is None else given(stored, again=True)


def stored_form(reply: Reply) -> Stored:
    """`reply` as it is stored and sent."""
    return Stored(reply.status, dict(reply.headers), reply.body.model_dump_json().encode())


def given(stored: Stored, *, again: bool) -> Response:
    """A stored answer as a response."""
    headers = dict(stored.headers) | ({"Idempotent-Replayed": "true"} if again else {})
    return Response(stored.body, stored.status, headers, "application/json")


async def one_request(
    request: Request,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="a key of your own for this request, new for each: a UUID, say",
        ),
    ] = None,
) -> OneRequest:
    """The dependency behind `Once`: 400 without a key."""
    if key is None:
        raise Problem(400, "no_idempotency_key", "This needs the header Idempotency-Key.", remedy=_REMEDY)
    if not _KEY.fullmatch(key):
        raise Problem(
            400,
            "bad_idempotency_key",
            "An Idempotency-Key has 1 to 255 visible ASCII characters.",
            remedy=_REMEDY,
        )
    fingerprint = _fingerprint(request, await request.body())
    return OneRequest(request, Asked(request.state.caller.key_id, key, fingerprint))


Once = Annotated[OneRequest, Depends(one_request)]


def _fingerprint(request: Request, body: bytes) -> bytes:
    """A digest of what is asked for: the same for the same JSON, however it is written."""
    try:
        content = _IN_ORDER.encode(json.loads(body)).encode() if body else b""
    except (ValueError, RecursionError):
        content = body
    scope = request.scope
    address = f"{request.method} {scope['path']}?{scope['query_string'].decode('latin-1')}\n"
    return hashlib.sha256(address.encode() + content).digest()


def _refusal(error: KeyReused | StillRunning) -> Problem:
    if isinstance(error, KeyReused):
        return Problem(
            422,
            "idempotency_key_reused",
            "This Idempotency-Key came with another request before.",
            remedy=_REMEDY,
        )
    return Problem(
        409,
        "request_in_progress",
        "The first request with this Idempotency-Key has not been answered yet.",
        remedy="Wait a little, and send the same request with the same key again: you get its answer.",
        headers={"Retry-After": "1"},
    )
