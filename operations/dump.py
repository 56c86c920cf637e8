"""The canonical dump: the business state as JSON lines, byte for byte equal for databases that bill alike, whatever
ids, numbers and moments their rows happen to have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine

from storage.database import transaction
from storage.dumping import AccountState, Row, account_states, number_ranges
from storage.ledger import account_totals

BATCH = 1000  # accounts read at a time

_ALWAYS = ("charged_through", "arrears_through", "next_bill_on")

_write = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def dump(engine: Engine) -> Iterator[str]:
    """The dump's lines, without line ends, from one snapshot; streamed.

    First an object an account, in the order of mode and external key: subscriptions with their dates and items,
    invoices with lines and journal lines, each list sorted by its content, credit notes, payments and charges that
    wait. A line for a discount or tax names the place of the line it belongs to, counted from 0 in that order. Then the
    ledger's totals, and for each number series the numbers that its invoices have. Amounts are minor units; nothing in
    it is an id, a number or an instant.
    """
    with transaction(engine, read_only_snapshot=True) as connection:
        for account in account_states(connection, BATCH):
            yield _write(_account(account))
        for mode, currency, code, _, debit, credit in account_totals(connection):
            yield _write(
                {"ledger_account": code, "mode": mode, "currency": currency, "debit": debit, "credit": credit}
            )
        for mode, series, numbers in number_ranges(connection):
            yield _write({"series": series, "mode": mode, "numbers": numbers})


def _account(account: AccountState) -> dict[str, Any]:
    invoices = [
        head | {"lines": _lines(lines), "journal": postings} for head, lines, postings in account.invoices
    ]
    return {
        "account": account.key,
        "mode": account.mode,
        "currency": account.currency,
        "subscriptions": [_said(row) for row in account.subscriptions],
        "invoices": _by_content(invoices),
        **account.beside,
    }


def _said(row: Row) -> Row:
    """A subscription without the dates that it has not, its billing dates apart."""
    return {name: value for name, value in row.items() if value is not None or name in _ALWAYS}


def _by_content(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=_write) if len(rows) > 1 else rows


def _lines(rows: list[Row]) -> list[Row]:
    """Charges sorted by what they say and what hangs on them, each followed by that; parents by their new place."""
    under: dict[int, list[Row]] = {}
    charges: list[tuple[int, Row]] = []
    numbers = {row["no"] for row in rows}
    for row in rows:
        line = {name: value for name, value in row.items() if value is not None and value is not False}
        number = line.pop("no")
        parent = line.pop("parent_no", None)
        if parent is None:
            charges.append((number, line))
        elif parent in numbers and parent != number:
            under.setdefault(parent, []).append(line)
        else:
            charges.append((number, line | {"parent": "missing"}))
    under = {number: _by_content(hanging) for number, hanging in under.items()}
    if len(charges) > 1:
        charges.sort(key=lambda charge: _write([charge[1], under.get(charge[0], [])]))
    lines: list[Row] = []
    for number, line in charges:
        place = len(lines)
        lines.append(line)
        lines += [each | {"parent": place} for each in under.pop(number, [])]
    # What hangs on a line that itself hangs on another is against the laws, and still must show.
    return lines + [each | {"parent": "no charge"} for hanging in under.values() for each in hanging]
