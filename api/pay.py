"""The page to which mails about failed payments lead: what is due, and the one thing to do about it.

The token in the link is all that a customer needs, and leads to one account. A GET charges nothing: mail programs and
virus scanners follow links. The gateway never sees the token: from the bank's page a customer comes back by the id of
the charge, to a page that tells nothing of the account unless the browser has been on the page of the link before.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from api.security import open_route
from contracts.connector_call import CallRef
from documents.pay_page import PayPages
from operations.charges.outcome import Came, ChargeStatus
from operations.charges.paying import BACK_PATH, ask_soon, begin_there, bring_back, brought_back, pay_page
from operations.charges.settling import settle
from operations.mails.compose import token_hash
from storage.charges import NoSuchCharge, read_charge
from storage.database import PgConnection, transaction
from storage.payment_links import LinkedAccount, linked_account
from storage.write_holds import WritesHeld
from workflows.call_starts import start_call

router = APIRouter(prefix="/pay", tags=["mails"])

T = TypeVar("T")

# So long a customer who pays waits for the gateway; after that the page says that the payment is on its way.
ANSWER_SECONDS = 20.0
COOKIE = "masthead_pay"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
_RESULT = re.compile(r"[\w.!~*'()/+=%-]{1,4000}")
# No form-action: the form leads on to the bank's page, wherever that is.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}
_PAGE: dict[str, Any] = {"content": {"text/html": {"schema": {"type": "string"}}}}
_NOWHERE: dict[int | str, dict[str, Any]] = {
    404: {"description": "The link is nobody's", **_PAGE},
    410: {"description": "The link has expired", **_PAGE},
}
_ENDED = {
    ChargeStatus.SUCCEEDED: "pay_thanks",
    ChargeStatus.FAILED: "pay_refused",
    ChargeStatus.WITHDRAWN: "pay_refused",
}


@router.get(
    "/back/{charge_id}",
    response_class=HTMLResponse,
    responses={
        303: {"description": "Back to the page of the link, where the browser has been there"},
        404: {"description": "There is no such charge", **_PAGE},
    },
    summary="Where a customer comes back to from the bank",
)
@open_route
async def back(request: Request, charge_id: UUID, redirectResult: str | None = None) -> Response:
    """Needs no key, and tells only whether the charge went through. What the bank gave the customer is handed in once.
    404 for an unknown charge."""
    now = datetime.now(UTC)
    try:
        if redirectResult is not None and _RESULT.fullmatch(redirectResult):
            await _hand_in(request, str(charge_id), redirectResult, now)
        charge = await _do(request, lambda connection: ask_soon(connection, str(charge_id), now))
    except NoSuchCharge:
        return _notice(request, "pay_unknown", 404)
    token = request.cookies.get(COOKIE, "")
    link = await _link(request, token)
    if link is not None and not link.expired and link.account_id == charge.account_id:
        return _to(f"/pay/{token}")
    return _notice(request, _ENDED.get(ChargeStatus(charge.status), "pay_back"))


@router.get(
    "/{token}",
    response_class=HTMLResponse,
    responses=_NOWHERE,
    summary="What is due, and how it is paid",
)
@open_route
async def show(request: Request, token: str) -> Response:
    """Needs no key: the token of the mail's link is one. 404 for one that is nobody's, 410 for one that has expired."""
    link = await _link(request, token)
    if link is None or link.expired:
        return _nowhere(request, link)
    now, tariff = datetime.now(UTC), await asyncio.to_thread(request.app.state.tariffs.current)
    page = await _do(request, lambda connection: pay_page(connection, tariff, link.account_id, now))
    answer = HTMLResponse(_pages(request).page(page), headers=_HEADERS)
    answer.set_cookie(COOKIE, token, max_age=3600, path="/pay", httponly=True, samesite="lax")
    return answer


@router.post(
    "/{token}",
    status_code=303,
    response_class=RedirectResponse,
    responses={**_NOWHERE, 503: {"description": "Nothing can be charged at the moment", **_PAGE}},
    summary="Pay what is due by the card on file",
)
@open_route
async def pay(request: Request, token: str) -> Response:
    """Needs no key, as the page. Leads to the bank where it asks for a confirmation, else back to the page. Pressed
    twice it charges once: while a charge is on its way there is no other. 503 while nothing can be charged."""
    link = await _link(request, token)
    if link is None or link.expired:
        return _nowhere(request, link)
    now, tariff = datetime.now(UTC), await asyncio.to_thread(request.app.state.tariffs.current)

    def work(connection: PgConnection) -> tuple[str, CallRef] | None:
        publisher = pay_page(connection, tariff, link.account_id, now).publisher
        base = publisher.mails.pages_url or str(request.base_url).rstrip("/")
        begun = begin_there(connection, tariff, link.account_id, f"{base}{BACK_PATH}", now)
        return None if begun is None else (begun.charge_id, begun.call)

    try:
        begun = await _do(request, work)
    except WritesHeld:
        return _notice(request, "pay_later", 503)
    if begun is None:
        return _to(f"/pay/{token}")
    charge_id, ref = begun
    await _carried_out(request, ref)

    def write_down(connection: PgConnection) -> str | None:
        settle(connection, tariff, {charge_id: ref.call_id}, now)
        return read_charge(connection, charge_id).next_action_url

    action_url: str | None = await _do(request, write_down)
    return _to(action_url or f"/pay/{token}")


async def _hand_in(request: Request, charge_id: str, result: str, now: datetime) -> None:
    ref = await _do(request, lambda connection: bring_back(connection, charge_id, result, now))
    if ref is None:
        return
    await _carried_out(request, ref)
    tariff = await asyncio.to_thread(request.app.state.tariffs.current)

    def write_down(connection: PgConnection) -> Came | None:
        return brought_back(connection, tariff, charge_id, ref.call_id, now)

    await _do(request, write_down)


async def _carried_out(request: Request, ref: CallRef) -> None:
    """Wait a while for the call. What takes longer, or Temporal being away, loses nothing: the keepers of calls and of
    charges go on with it."""
    try:
        handle = await start_call(request.app.state.temporal, ref)
        async with asyncio.timeout(ANSWER_SECONDS):
            await handle.result()
    except (TimeoutError, RPCError, RuntimeError, WorkflowFailureError):
        return


async def _link(request: Request, token: str) -> LinkedAccount | None:
    if not _TOKEN.fullmatch(token):
        return None
    return await _do(request, lambda connection: linked_account(connection, token_hash(token)))


def _nowhere(request: Request, link: LinkedAccount | None) -> Response:
    return _notice(request, "pay_unknown", 404) if link is None else _notice(request, "pay_expired", 410)


def _notice(request: Request, word: str, status: int = 200) -> Response:
    wanted = request.headers.get("accept-language", "en").partition(",")[0].partition(";")[0].strip()
    return HTMLResponse(_pages(request).notice(word, wanted), status, headers=_HEADERS)


def _to(url: str) -> Response:
    return RedirectResponse(url, 303, headers=_HEADERS)


def _pages(request: Request) -> PayPages:
    pages: PayPages = request.app.state.pay_pages
    return pages


async def _do(request: Request, step: Callable[[PgConnection], T]) -> T:
    engine: Any = request.app.state.engine

    def run() -> T:
        with transaction(engine) as connection:
            return step(connection)

    return await asyncio.to_thread(run)
