"""What reaches the reader: mail, parcels, licences."""

from __future__ import annotations

from typing import Any

from sandbox.reference.memory import Memory, Method, Row, finder, needs, refuse, shown
from sandbox.reference.patterns import end, make

_SERVICES = (("letter", 120, 5), ("parcel", 450, 3), ("express", 1290, 1))


def _send(memory: Memory, request: Any) -> Row:
    letter = needs(request, "sender", "to", "subject", "text")
    row = memory.add("mail", **shown(letter, "sender", "to", "subject"))
    message_id = f"<{memory.key}@reference.invalid>"
    memory.effect("send", message_id, row)
    return {"message_id": message_id, "reply": f"250 queued as {row['id']}"}


def _validate(memory: Memory, request: Any) -> Row:
    address = needs(request)
    lacking = [name for name in ("line1", "city", "postal_code", "country") if not address.get(name)]
    messages = [f"{name} is missing" for name in lacking]
    return {"deliverable": not lacking, "address": None if lacking else address, "messages": messages}


def _rates(memory: Memory, request: Any) -> list[Row]:
    weight = needs(request, "order", "to", "weight")["weight"]
    return [
        {"service": name, "amount": base + weight // 10, "currency": "USD", "days": days}
        for name, base, days in _SERVICES
    ]


def _buy(memory: Memory, request: Any) -> Row:
    parcel = needs(request, "order", "name", "to", "sender", "weight")
    if not _validate(memory, parcel["to"])["deliverable"]:
        raise refuse(422, "undeliverable", "the address cannot be delivered to", to="cannot be delivered to")
    offers = {rate["service"]: rate for rate in _rates(memory, request)}
    wanted = parcel.get("service") or "parcel"
    if wanted not in offers:
        raise refuse(422, "invalid", f"services are {', '.join(offers)}", service="is unknown")
    row = memory.add(
        "label", order=parcel["order"], amount=offers[wanted]["amount"], currency="USD", voided=False
    )
    memory.touch(row, tracking=f"TRK{row['id'].upper()}")
    memory.effect("buy", parcel["order"], row, amount=row["amount"])
    return _label(row)


def _label(row: Row) -> Row:
    url = f"https://labels.example/{row['id']}.pdf"
    return {**shown(row, "id", "order", "tracking", "amount", "currency", "voided"), "url": url}


def _track(memory: Memory, request: Any) -> str:
    label = memory.last("label", id=needs(request, "label")["label"])
    return "unknown" if label is None or label["voided"] else "in_transit"


def _licence(row: Row) -> Row:
    return {**shown(row, "id", "reference", "status", "until"), "token": f"token-of-{row['id']}"}


def _extend(memory: Memory, request: Any) -> Row:
    order = needs(request, "licence", "until")
    row = memory.get("licence", order["licence"])
    if row["status"] == "revoked":
        raise refuse(409, "wrong_state", "the licence is revoked")
    if row["until"] != order["until"]:
        memory.touch(row, until=order["until"])
        memory.effect("extend", row["reference"], row, until=order["until"])
    return _licence(row)


MAIL = {"send": Method(_send)}
SHIPPING = {
    "validate": Method(_validate, write=False),
    "rate": Method(_rates, write=False),
    "buy": Method(_buy),
    "void": end("label", "void", "label", "id", {"voided": True}, _label),
    "find": finder("label", "order", _label),
    "track": Method(_track, write=False),
}
DRM = {
    "grant": make(
        "licence", "grant", "reference", ("content", "reader", "until"), {"status": "ready"}, _licence
    ),
    "extend": Method(_extend),
    "revoke": end("licence", "revoke", "licence", "id", {"status": "revoked"}, _licence),
    "status": finder("licence", "reference", _licence),
}
