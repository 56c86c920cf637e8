"""A played scenario as people read it: day by day what was done and what came of it, and how the account stands at
the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from domain.ledger import CHART
from domain.money import format_minor

_INDENT = (0, 0, 0, 4)


def tell(console: Console, title: str, found: Mapping[str, Any]) -> None:
    """Print `found`, a report with the line of the document in each of its refusals, on `console`."""
    _Story(console, found).tell(title)


class _Story:
    def __init__(self, console: Console, found: Mapping[str, Any]) -> None:
        self._console = console
        self._found = found
        self._refused = {each["step"]: each for each in found["refused"]}

    def tell(self, title: str) -> None:
        self._print(title, "bold")
        self._print(
            f"Amounts are in {self._found['currency']}. A day under `until` is the first one after a period."
        )
        day = None
        for each in self._found["timeline"]:
            if each["date"] != day:
                day = each["date"]
                self._print(f"\n{day}", "bold")
            self._happened(each)
        self._print(f"\nAt the end, on {self._found['through']}", "bold")
        self._standing()
        self._trial_balance()
        self._endings()

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style))

    def _tell(self, text: str, style: str = "") -> None:
        self._console.print(Padding(Text(text, style=style), (0, 0, 0, 2), expand=False))

    def _money(self, minor: int) -> str:
        return format_minor(minor, self._found["currency"]).rsplit(" ", 1)[0]

    def _happened(self, each: Mapping[str, Any]) -> None:
        if each["kind"] == "step":
            self._step(each)
        elif each["kind"] == "invoice":
            self._invoice(self._found["invoices"][each["number"] - 1])
        elif each["kind"] == "credit_note":
            self._credit_note(self._found["credit_notes"][each["number"] - 1])
        elif each["kind"] == "payment":
            self._payment(self._found["payments"][each["number"] - 1])
        elif each["kind"] == "dunning":
            self._tell(f"dunning: {_words(each['what'])}")
        else:
            self._tell(each["what"])

    def _step(self, step: Mapping[str, Any]) -> None:
        fields = ", ".join(f"{_words(name)} {_value(value)}" for name, value in step["fields"].items())
        self._tell(f"{step['do']}{': ' if fields else ''}{fields}", "cyan")
        refused = self._refused.get(step["step"])
        if refused is not None:
            self._tell(f"refused: {refused['reason']}", "yellow")

    def _invoice(self, invoice: Mapping[str, Any]) -> None:
        taxes = [
            (f"tax {each['jurisdiction']} {_percent(each['rate'])}", each["amount"])
            for each in invoice["taxes"]
        ]
        settled = [
            (_words(name), invoice[name])
            for name in ("credit_used", "paid", "credited", "written_off")
            if invoice[name]
        ]
        if invoice["status"] == "void":
            settled = []
        self._document(
            f"Invoice {invoice['number']}, due {invoice['due_date']}: {invoice['status']}",
            invoice["lines"],
            [
                *([("before tax", invoice["subtotal"]), *taxes] if taxes else []),
                ("total", invoice["total"]),
                *settled,
                *([("open", invoice["amount_due"])] if invoice["amount_due"] else []),
            ],
        )

    def _credit_note(self, note: Mapping[str, Any]) -> None:
        self._document(
            f"Credit note {note['number']} on invoice {note['invoice']}: {note['reason']}",
            note["lines"],
            [("total with tax", note["total"])],
        )

    def _payment(self, payment: Mapping[str, Any]) -> None:
        what = f"Payment {payment['number']}: {self._money(payment['amount'])}"
        if payment["code"]:
            self._tell(f"{what} {payment['status']} ({payment['code']})", "yellow")
        else:
            self._tell(f"{what} received")

    def _document(
        self, title: str, lines: Sequence[Mapping[str, Any]], totals: Sequence[tuple[str, int]]
    ) -> None:
        self._tell(title, "bold")
        counted = any(line.get("quantity", "1") != "1" for line in lines)
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("", justify="right")
        table.add_column("line", overflow="fold")
        table.add_column("from")
        table.add_column("until")
        if counted:
            table.add_column("quantity", justify="right")
        table.add_column("amount", justify="right", no_wrap=True)
        table.add_column("tax", justify="right", no_wrap=True)
        for place, line in enumerate(lines, 1):
            table.add_row(
                str(place),
                Text(_line(line, lines)),
                _moment(line["start"]),
                _moment(line["end"]),
                *([line["quantity"]] if counted else []),
                self._money(line["amount"]),
                self._money(line["tax"]) if line["tax"] else "",
            )
        for name, amount in totals:
            table.add_row(
                "", Text(name, style="dim"), "", "", *([""] if counted else []), self._money(amount), ""
            )
        self._console.print(Padding(table, _INDENT, expand=False))

    def _standing(self) -> None:
        found = self._found
        for each in found["subscriptions"]:
            plans = ", ".join(_item(item, found["through"]) for item in each["items"])
            state = _words(each["state"]) + (", past due" if each["past_due"] else "")
            ends = f", ends on {each['ends_on']}" if each["ends_on"] else ""
            self._tell(
                f"subscription {each['name']}: {state}; {plans or 'nothing served'}; access: "
                f"{each['entitled_plan'] or 'none'}; charged until {each['charged_through']}, "
                f"next bill {each['next_bill_on'] or 'none'}{ends}"
            )
        for each in found["gifts"]:
            read = each["access"] if each["state"] == "claimed" else None
            access = f", read from {read[0]} until {read[1]}" if read else ""
            self._tell(f"gift {each['name']}: {each['state']}{access}")
        if found["pending"]:
            self._tell(f"waiting for the next invoice: {self._money(found['pending'])} before its tax")
        self._tell(
            f"open on invoices: {self._money(found['balance'])}; account credit: "
            f"{self._money(found['account_credit'])}"
        )

    def _trial_balance(self) -> None:
        balances = {code: amount for code, amount in self._found["trial_balance"].items() if amount}
        if not balances:
            return
        self._print("")
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("trial balance")
        table.add_column("debit", justify="right", no_wrap=True)
        table.add_column("credit", justify="right", no_wrap=True)
        for account in CHART:
            amount = balances.get(account.code, 0)
            if amount:
                debit, credit = self._money(max(0, amount)), self._money(max(0, -amount))
                table.add_row(account.name, debit if amount > 0 else "", credit if amount < 0 else "")
        total = self._money(sum(amount for amount in balances.values() if amount > 0))
        table.add_row(Text("total", style="dim"), total, total)
        self._console.print(Padding(table, (0, 0, 0, 2), expand=False))
        self._tell("revenue is recognised by a journal run on the first of each month", "dim")

    def _endings(self) -> None:
        refused = [f"line {each['line']} ({each['do']})" for each in self._found["refused"]]
        if refused:
            many = f"{len(refused)} steps were" if len(refused) > 1 else "1 step was"
            self._print(f"\n{many} refused and changed nothing: {', '.join(refused)}", "yellow")
        for each in self._found["broken_laws"]:
            self._print(f"a law of the books does not hold: {each}", "bold red")


def _line(line: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    """What a line is for: of a bundle also the part that it stands for."""
    words = [_words(line["kind"]).replace("one time", "one-time")]
    if line["plan"]:
        words.append(line["plan"])
        alike = [other for other in lines if (other["plan"], other["price"]) == (line["plan"], line["price"])]
        if len({other["product"] for other in alike}) > 1:
            words.append(f"part {line['product']}")
    if line.get("coupon"):
        words.append(line["coupon"])
    place = line["corrects"]
    of = f" (invoice {place['invoice']}, line {place['line']})" if place else ""
    return ", ".join(words) + of


def _item(item: Mapping[str, Any], through: str) -> str:
    later = f" from {item['from']}" if item["from"] > through else ""
    return f"{item['plan']} x {item['quantity']}{later}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value).replace("T", " ")[:19] if _is_instant(value) else str(value)


def _is_instant(value: Any) -> bool:
    return isinstance(value, str) and len(value) > 10 and value[4:5] == "-" and value[10:11] == "T"


def _moment(text: str | None) -> str:
    """A day, or an instant in local time to the minute, or to the second where it has any."""
    if text is None or len(text) == 10:
        return text or ""
    local = text[:19].replace("T", " ")
    return local.removesuffix(":00") if local.endswith(":00") else local


def _percent(rate: str) -> str:
    percent = (Decimal(rate) * 100).normalize()
    return f"{percent:f} %"
