"""How a call reaches a stand-in over HTTP and how its answer leaves, faults included."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import web

from sandbox.calls import Answer, Call, html_answer
from sandbox.faults import FAULTS, Fault
from sandbox.stand_in import StandIn

_GATEWAY_PAGE = (
    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
)
_PORTAL_PAGE = (
    "<!doctype html><html><head><title>One moment</title></head><body><p>One moment please.</p></body></html>"
)

#: Faults that answer an error instead of applying: fault → status and kind of the vendor's error body.
_INSTEAD = {
    "unavailable": (503, "unavailable"),
    "server_error": (500, "server_error"),
    "unauthorized_once": (401, "unauthorized"),
    "unauthorized_forever": (401, "unauthorized"),
    "error_in_200": (200, "error_in_200"),
    "conflict": (409, "conflict"),
    "rejected": (422, "rejected"),
}


async def respond(stand_in: StandIn, request: web.Request, path: str, base_url: str) -> web.StreamResponse:
    """Answer one HTTP request as the vendor does, or commit the fault that waits for it."""
    call = Call(
        method=request.method,
        path=path,
        query=list(request.query.items()),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.read(),
        base_url=base_url,
        now=stand_in.clock.now(),
    )
    if call.path.startswith(stand_in.own_pages):
        page = await stand_in.handle(call)
        return web.Response(status=page.status, body=page.body, headers={**page.headers, **_type(page)})
    fault = stand_in.faults.take(call.method, call.path)
    kept = stand_in.record(call)
    kept.fault = fault.fault if fault else None
    answer, vendors_own = await _answer(stand_in, call, fault)
    if answer is None:
        return _abort(request)
    extra = stand_in.headers(call) if vendors_own else {}
    kept.status = answer.status
    headers = {**extra, **answer.headers}
    if fault is not None and fault.fault == "slow_headers":
        return await _trickle(request, answer, headers, fault.lasting)
    return web.Response(status=answer.status, body=answer.body, headers={**headers, **_type(answer)})


async def _answer(stand_in: StandIn, call: Call, fault: Fault | None) -> tuple[Answer | None, bool]:
    """The answer (None: abort) and whether the vendor itself gives it, with its headers, or a box in between."""
    name = fault.fault if fault else ""
    if fault is None or name == "slow_headers":
        return await stand_in.handle(call), True
    if name == "drop_before":
        return None, True
    if name == "stall_before":
        await stand_in.faults.hold(fault.lasting)
        return None, True
    if name not in FAULTS and (refusal := stand_in.own_refusal(fault)) is not None:
        return refusal, True
    if name.startswith("rate_limited"):
        return stand_in.error(429, "rate_limited", _retry_after(fault)), True
    if name == "bad_gateway":
        return html_answer(_GATEWAY_PAGE, 502), False
    if name in _INSTEAD:
        return stand_in.error(*_INSTEAD[name]), True
    if name == "stall_within":

        async def gate() -> None:
            await stand_in.faults.hold(fault.lasting)

        call.gate = gate
        return await stand_in.handle(call), True
    return await _after(stand_in, call, fault)


async def _after(stand_in: StandIn, call: Call, fault: Fault) -> tuple[Answer | None, bool]:
    """Faults that let the call be applied and lose or spoil its answer."""
    answer = await stand_in.handle(call)
    if fault.fault == "server_error_after":
        return stand_in.error(500, "server_error"), True
    if fault.fault == "html":
        return html_answer(_PORTAL_PAGE), False
    if fault.fault == "truncated_json":
        return Answer(
            answer.status, answer.body[: len(answer.body) // 2], answer.content_type, answer.headers
        ), True
    if fault.fault not in FAULTS:
        return stand_in.own_fault(fault, answer)
    if fault.fault == "stall_after":
        await stand_in.faults.hold(fault.lasting)
    return None, True


def _retry_after(fault: Fault) -> dict[str, str]:
    if fault.fault == "rate_limited_seconds":
        return {"Retry-After": str(fault.after)}
    if fault.fault == "rate_limited_date":
        # By real time: the client compares it with its own clock, which nobody advances.
        until = datetime.now(UTC) + timedelta(seconds=fault.after)
        return {"Retry-After": format_datetime(until, usegmt=True)}
    return {}


def _type(answer: Answer) -> dict[str, str]:
    if answer.status == 204 or (not answer.body and answer.content_type == "application/json"):
        return {}
    return {"Content-Type": answer.content_type}


def _abort(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # never written: the connection is gone


async def _trickle(
    request: web.Request, answer: Answer, headers: dict[str, str], seconds: float
) -> web.StreamResponse:
    """Write the head a line at a time over `seconds`, then the body, and close."""
    transport = request.transport
    lines = [f"HTTP/1.1 {answer.status} Slow"]
    full = {**headers, **_type(answer), "Content-Length": str(len(answer.body)), "Connection": "close"}
    lines += [f"{name}: {value}" for name, value in full.items()]
    for line in lines:
        if transport is None or transport.is_closing():
            break
        transport.write(line.encode("latin-1") + b"\r\n")
        await asyncio.sleep(seconds / len(lines))
    if transport is not None and not transport.is_closing():
        transport.write(b"\r\n" + answer.body)
        transport.close()
    return web.Response(status=500)  # never written: the connection is closed
