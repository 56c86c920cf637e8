"""The general ledger of the reference stand-in."""

from __future__ import annotations

from typing import Any

from sandbox.reference.memory import Memory, Method, Row, finder, needs, refuse, shown


def _posted(row: Row) -> Row:
    return shown(row, "id", "number", "debit", "credit", "reverses")


def _post(memory: Memory, request: Any) -> Row:
    journal = needs(request, "number", "on", "currency", "narration", "lines")
    debit = sum(line.get("debit", 0) for line in journal["lines"])
    credit = sum(line.get("credit", 0) for line in journal["lines"])
    if debit != credit:
        message = f"debit {debit} is not credit {credit}"
        raise refuse(422, "unbalanced", message, lines=message)
    row = memory.add(
        "journal", **shown(journal, "number", "on", "lines"), debit=debit, credit=credit, reverses=None
    )
    memory.effect("post", journal["number"], row, debit=debit)
    return _posted(row)


def _reverse(memory: Memory, request: Any) -> Row:
    order = needs(request, "number", "of", "on")
    of = memory.last("journal", number=order["of"]) or memory.last("journal", id=order["of"])
    if of is None:
        raise refuse(404, "not_found", f"there is no journal {order['of']}")
    turned = [
        {**line, "debit": line.get("credit", 0), "credit": line.get("debit", 0)} for line in of["lines"]
    ]
    row = memory.add(
        "journal",
        **shown(order, "number", "on"),
        lines=turned,
        debit=of["credit"],
        credit=of["debit"],
        reverses=of["number"],
    )
    memory.effect("reverse", order["number"], row, of=of["number"])
    return _posted(row)


LEDGER = {
    "post": Method(_post),
    "reverse": Method(_reverse),
    "find": finder("journal", "number", _posted),
}
