"""Tax of the reference stand-in: a small table of rates, documents by their code."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from sandbox.reference.memory import Memory, Method, Row, finder, needs, refuse, shown

#: Place → jurisdiction and rate. Made for tests: no advice on anybody's tax.
RATES: dict[str, tuple[tuple[str, Decimal], ...]] = {
    "US-NY": (
        ("New York State", Decimal("0.04")),
        ("New York City", Decimal("0.045")),
        ("Metropolitan Commuter District", Decimal("0.00375")),
    ),
    "US-CA": (("California", Decimal("0.0725")),),
    "US-TX": (("Texas", Decimal("0.0625")),),
    "DE": (("Germany", Decimal("0.19")),),
    "FR": (("France", Decimal("0.20")),),
    "GB": (("United Kingdom", Decimal("0.20")),),
}


def _rates(order: Row) -> tuple[tuple[str, Decimal], ...]:
    if order.get("exemption"):
        return ()
    to = order["ship_to"]
    country, region = to.get("country", ""), to.get("region", "")
    return RATES.get(f"{country}-{region}") or RATES.get(country) or ()


def _cents(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def _line(line: Row, rates: tuple[tuple[str, Decimal], ...]) -> Row:
    try:
        amount = Decimal(line["amount"])
        number = str(line["number"])
    except (KeyError, TypeError, InvalidOperation):
        raise refuse(
            422, "invalid", "a line needs number and amount", lines="need number and amount"
        ) from None
    whole = sum((rate for _, rate in rates), Decimal(0))
    net = amount / (1 + whole) if line.get("inclusive") else amount
    parts = [
        {"jurisdiction": place, "rate": str(rate), "amount": _cents(net * rate)} for place, rate in rates
    ]
    return {"number": number, "amount": sum(part["amount"] for part in parts), "parts": parts}


def _quote(memory: Memory, request: Any) -> Row:
    order = needs(request, "code", "on", "currency", "ship_to", "lines")
    rates = _rates(order)
    lines = [_line(line, rates) for line in order["lines"]]
    return {
        "currency": order["currency"],
        "total": sum(line["amount"] for line in lines),
        "tax_date": order.get("tax_date") or order["on"],
        "lines": lines,
    }


def _document(row: Row) -> Row:
    return shown(row, "code", "status", "currency", "total", "tax_date", "lines")


def _commit(memory: Memory, request: Any) -> Row:
    quoted = _quote(memory, request)
    before = memory.last("document", code=request["code"])
    if before is not None:
        return _document(before)
    row = memory.add("document", code=request["code"], status="committed", of=None, **quoted)
    memory.effect("commit", request["code"], row, total=row["total"])
    return _document(row)


def _refund(memory: Memory, request: Any) -> Row:
    order = needs(request, "code", "of", "on")
    before = memory.last("document", code=order["code"])
    if before is not None:
        return _document(before)
    sold = memory.last("document", code=order["of"])
    if sold is None or sold["status"] != "committed":
        raise refuse(422, "not_committed", f"{order['of']} is no committed document", of="is not committed")
    wanted = {str(number) for number in order.get("lines") or [line["number"] for line in sold["lines"]]}
    known = {line["number"] for line in sold["lines"]} - set(sold.get("refunded", ()))
    if not wanted <= known:
        message = f"not there, or refunded already: {', '.join(sorted(wanted - known))}"
        raise refuse(422, "already_refunded", message, lines=message)
    lines = [_negative(line) for line in sold["lines"] if line["number"] in wanted]
    memory.touch(sold, refunded=[*sold.get("refunded", ()), *wanted])
    row = memory.add(
        "document",
        code=order["code"],
        of=order["of"],
        status="committed",
        currency=sold["currency"],
        total=sum(line["amount"] for line in lines),
        tax_date=sold["tax_date"],
        lines=lines,
    )
    memory.effect("refund", order["code"], row, total=row["total"])
    return _document(row)


def _negative(line: Row) -> Row:
    parts = [{**part, "amount": -part["amount"]} for part in line["parts"]]
    return {**line, "amount": -line["amount"], "parts": parts}


def _void(memory: Memory, request: Any) -> Row:
    code = needs(request, "code")["code"]
    row = memory.last("document", code=code)
    if row is None:
        raise refuse(404, "not_found", f"there is no document {code}")
    if row["status"] != "voided":
        memory.touch(row, status="voided")
        memory.effect("void", code, row)
    return _document(row)


TAX = {
    "quote": Method(_quote, write=False),
    "commit": Method(_commit),
    "refund": Method(_refund),
    "void": Method(_void),
    "find": finder("document", "code", _document),
}
