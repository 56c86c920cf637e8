"""The control over HTTP: faults, effects, recorded calls, clock, reset and webhooks of the stand-ins served."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from aiohttp import web

from sandbox.page import index_page, system_page
from sandbox.stand_in import StandIn
from sandbox.webhooks import Webhook

_FORM = "application/x-www-form-urlencoded"
Action = Callable[[StandIn, dict[str, Any]], Awaitable[Any]]


def add_control(app: web.Application, stand_ins: Mapping[str, StandIn], *, mounted: bool) -> None:
    """Add `/_control/...` and the pages to an application."""

    async def control(request: web.Request) -> web.StreamResponse:
        system = request.match_info["system"]
        stand_in = _chosen(stand_ins, system)
        what = request.match_info["what"]
        action = _ACTIONS.get((request.method, what))
        if action is None and request.method != "POST":
            raise web.HTTPNotFound(text=f"no such control; there are: {_offered()}\n")
        try:
            fields = await _fields(request)
            told = await action(stand_in, fields) if action else stand_in.control(what, fields)
        except (TypeError, ValueError, LookupError, NotImplementedError) as error:
            return web.json_response({"error": _told(error)}, status=400)
        if request.content_type == _FORM:
            raise web.HTTPSeeOther(f"/{system}/_page" if mounted else "/_page")
        return web.json_response(told, dumps=lambda value: json.dumps(value, default=str))

    async def everywhere(request: web.Request) -> web.StreamResponse:
        action = _ACTIONS.get(("POST", request.match_info["what"]))
        if action is None or request.match_info["what"] not in ("clock", "reset"):
            raise web.HTTPNotFound(text="only clock and reset go to all systems at once\n")
        try:
            fields = await _fields(request)
            told = {system: await action(stand_in, fields) for system, stand_in in stand_ins.items()}
        except (TypeError, ValueError, KeyError) as error:
            return web.json_response({"error": _told(error)}, status=400)
        return web.json_response(told)

    async def page(request: web.Request) -> web.StreamResponse:
        system = request.match_info.get("system") or next(iter(stand_ins))
        text = system_page(system, _chosen(stand_ins, system), mounted=mounted)
        return web.Response(text=text, content_type="text/html")

    async def index(_: web.Request) -> web.StreamResponse:
        return web.Response(text=index_page(stand_ins), content_type="text/html")

    async def icon(_: web.Request) -> web.StreamResponse:
        return web.Response(status=204)  # asked for by browsers; no call to the vendor

    app.router.add_get("/favicon.ico", icon)
    app.router.add_post("/_control/{what}", everywhere)
    app.router.add_route("*", "/_control/{system}/{what}", control)
    if mounted:
        app.router.add_get("/", index)
        app.router.add_get("/{system}/_page", page)
    else:
        app.router.add_get("/_page", page)


async def _fields(request: web.Request) -> dict[str, Any]:
    if request.content_type == _FORM:
        # An empty field of a form is one that was not filled in.
        return {name: _number(str(value)) for name, value in (await request.post()).items() if value}
    raw = await request.text()
    fields = json.loads(raw) if raw.strip() else {}
    if not isinstance(fields, dict):
        raise ValueError("the body must be a JSON object")
    return fields


def _number(text: str) -> str | float | int | None:
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return None if text == "null" else text


def _told(error: Exception) -> str:
    return f"missing field {error}" if isinstance(error, KeyError) else str(error)


def _chosen(stand_ins: Mapping[str, StandIn], system: str) -> StandIn:
    if system not in stand_ins:
        raise web.HTTPNotFound(text=f"no stand-in is called {system!r}; there are: {', '.join(stand_ins)}\n")
    return stand_ins[system]


def _offered() -> str:
    return ", ".join(f"{method} {what}" for method, what in sorted(_ACTIONS))


async def _inject(stand_in: StandIn, fields: dict[str, Any]) -> Any:
    return stand_in.inject(**fields).as_json()


async def _faults(stand_in: StandIn, _: dict[str, Any]) -> Any:
    return {
        "waiting": [fault.as_json() for fault in stand_in.faults.waiting()],
        "held": stand_in.faults.held,
        "known": stand_in.fault_type.known,
    }


async def _clear(stand_in: StandIn, _: dict[str, Any]) -> Any:
    stand_in.faults.clear()
    return {"waiting": []}


async def _release(stand_in: StandIn, _: dict[str, Any]) -> Any:
    held = stand_in.faults.held
    stand_in.release()
    return {"released": held}


async def _address(stand_in: StandIn, _: dict[str, Any]) -> Any:
    """Where the vendor's own protocol is spoken, which need not be HTTP."""
    return {"address": getattr(stand_in, "address", stand_in.base_url)}


async def _effects(stand_in: StandIn, _: dict[str, Any]) -> Any:
    return {"effects": [effect.as_json() for effect in stand_in.effects.of()]}


async def _requests(stand_in: StandIn, _: dict[str, Any]) -> Any:
    return {"requests": [request.as_json() for request in stand_in.requests]}


async def _clock(stand_in: StandIn, fields: dict[str, Any]) -> Any:
    """Fields as those of timedelta: days, hours, minutes, seconds."""
    stand_in.advance(timedelta(**fields))
    return {"now": stand_in.clock.now().isoformat()}


async def _reset(stand_in: StandIn, _: dict[str, Any]) -> Any:
    stand_in.reset()
    return {"reset": stand_in.system}


async def _webhooks(stand_in: StandIn, fields: dict[str, Any]) -> Any:
    options = fields.pop("options", {})
    return {"statuses": await stand_in.fire_webhook(Webhook(**{**fields, **options}))}


_ACTIONS: dict[tuple[str, str], Action] = {
    ("GET", "address"): _address,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _inject,
    ("DELETE", "faults"): _clear,
    ("POST", "clear"): _clear,  # a form cannot DELETE
    ("POST", "release"): _release,
    ("GET", "effects"): _effects,
    ("GET", "requests"): _requests,
    ("POST", "clock"): _clock,
    ("POST", "reset"): _reset,
    ("POST", "webhooks"): _webhooks,
}
