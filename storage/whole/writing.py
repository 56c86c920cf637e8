"""Writing back what changed of an account, with an event for each change, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils import uuid7

from domain.account.dates import billed_whole, whole_due_on
from domain.account.state import AccountState, Books
from domain.receivables import InvoiceStatus
from domain.received_payments import Payment, PaymentStatus
from storage.database import PgConnection
from storage.events import NewEvent, append_events
from storage.posting import Document, copy_children, copy_invoices
from storage.round_trip import RoundTrip, execute_each
from storage.whole.documents import (
    OF_INVOICE,
    document,
    places,
    void_lines,
    write_credit_lines,
    write_credit_notes,
    write_entries,
    write_settlement,
)
from storage.whole.history import AccountHistory, account_history, dump_account, dump_waiting
from storage.whole.reading import WAITS, Rows
from storage.whole.subscriptions import outdated, write_subscription

GIFT_NOTICE = "notice.gift"
MAIL_NOTE = "mail "  # how `domain.account.collecting` tells that a mail is due


@dataclass(slots=True)
class Written:
    """What was written: ids of the account's new invoices, in their order, with their numbers in the series once
    `number_invoices` was called; the versions of the subscriptions that changed, by their ids; what was voided, and the
    credit notes that were written."""

    invoices: list[str]
    numbers: list[int]
    versions: dict[str, int]
    voided: list[str] = field(default_factory=list)
    notes: list[NoteWritten] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)


class NoteWritten(NamedTuple):
    """A credit note: its id, its number as people read it, its day, the invoice that it corrects, and of that invoice
    (number of the line, amount before tax, tax) of what is given back, minor units above zero."""

    id: str
    code: str
    on: date
    invoice_id: str
    lines: list[tuple[int, int, int]]


def write_whole(
    trip: RoundTrip,
    account: AccountState,
    before: AccountState,
    rows: Rows,
    *,
    revenue: tuple[dict[str, Books], dict[str, Books]],
) -> Written:
    """Write what differs between `before`, the account as it was read in `rows`, and `account`, but for the invoices
    themselves: `number_invoices`. `revenue` are the schedules that the account's lines do not tell by themselves,
    before and now. What was collected of it is for the caller to send."""
    voided: list[str] = []
    notes: list[NoteWritten] = []
    for number, (was, now) in enumerate(zip(before.invoices, account.invoices, strict=False)):
        if now.balance.voided and not was.balance.voided:
            void_lines(trip, rows.invoice_ids[number])
            voided.append(rows.invoice_ids[number])
    documents = [document(account, invoice) for invoice in account.invoices[len(before.invoices) :]]
    ids = [*rows.invoice_ids, *(str(UUID(bytes=each.invoice_id)) for each in documents)]
    if documents:
        trip.send()
        copy_children(trip.connection, documents)
    events = list(_subscriptions(trip, account, before, rows))
    moved = [event.subject_id for event in events]
    events += _settlements(trip, account, before, ids)
    events += _corrections(trip, account, before, ids, notes)
    events += _payments(trip, account, before, rows, ids)
    events += _credit(trip, account, before)
    if account.pending != before.pending:
        _pending(trip, account, before)
    _usage(trip, account, before, ids)
    _entries(trip, account)
    _history(trip, account, before, revenue)
    for no in range(len(before.dunning), len(account.dunning)):
        events.append(NewEvent("dunning.entered", account.id, account.id, no))
    events += _head(trip, account, rows, moved)
    events += _notices(account)
    append_events(trip, events)
    versions = {event.subject_id: event.version for event in events if event.kind.startswith("subscription.")}
    return Written(ids[len(rows.invoice_ids) :], [], versions, voided, notes, documents)


def number_invoices(connection: PgConnection, mode: str, written: Written, bill_run_id: str | None) -> None:
    """Number the new invoices and write them, last of all: whoever invoices in `mode` waits from here on until the
    transaction ends."""
    written.numbers = copy_invoices(connection, mode, written.documents, bill_run_id)


def _notices(account: AccountState) -> Iterator[NewEvent]:
    """The mails that the rules ask for by template: of one kind, one a day."""
    for each in account.happened:
        if each.kind == "note" and each.what.startswith(MAIL_NOTE):
            template = each.what.removeprefix(MAIL_NOTE)
            yield NewEvent(f"notice.{template}", account.id, account.id, each.day.toordinal())


def _subscriptions(
    trip: RoundTrip, account: AccountState, before: AccountState, rows: Rows
) -> Iterator[NewEvent]:
    for name, subscription in account.subscriptions.items():
        was = before.subscriptions.get(name)
        own = subscription.terms.id
        if was == subscription and not outdated(account, subscription, rows.recorded[own]):
            continue
        version = rows.versions.get(own, 0) + 1
        write_subscription(trip, account, subscription, was, version)
        kind = "subscription.created" if was is None else "subscription.changed"
        yield NewEvent(kind, account.id, own, version)


def _settlements(
    trip: RoundTrip, account: AccountState, before: AccountState, ids: Sequence[str]
) -> Iterator[NewEvent]:
    for place, invoice in enumerate(account.invoices):
        known = place < len(before.invoices)
        was = before.invoices[place].balance if known else None
        if invoice.balance == was:
            continue
        settled = invoice.balance.total != invoice.balance.open
        if known or settled:
            write_settlement(trip, ids[place], invoice)
        before_status = was.status if was else None
        if invoice.balance.status is not before_status and invoice.balance.status.value != "open":
            yield NewEvent(f"invoice.{invoice.balance.status.value}", account.id, ids[place], 1)
            gift = account.gifts.get(invoice.gift or "")
            if gift is not None and invoice.balance.status is InvoiceStatus.PAID:
                yield NewEvent(GIFT_NOTICE, account.id, gift.id, 1)  # paid, it waits to be claimed


def _corrections(
    trip: RoundTrip,
    account: AccountState,
    before: AccountState,
    ids: Sequence[str],
    written: list[NoteWritten],
) -> Iterator[NewEvent]:
    first = len(before.credit_notes)
    notes = account.credit_notes[first:]
    numbered = write_credit_notes(trip, account, first, ids)
    note_ids = [own for own, _ in numbered]
    stands = places(account.invoices, ids)
    on_notes: dict[int, str] = {}
    for note, (own, code) in zip(notes, numbered, strict=True):
        back = [
            (stands[line.corrects].no, -line.net, -line.tax) for line in note.lines if line.corrects in stands
        ]
        written.append(NoteWritten(own, code, note.issued_on, ids[int(note.invoice) - 1], back))
        for line in note.lines:
            # The latest like it: what the note is over was given just before it, or waited for an invoice until now.
            no = next(
                (
                    no
                    for no in range(len(account.credits), 0, -1)
                    if no not in on_notes and account.credits[no - 1] == line
                ),
                None,
            )
            if no is not None:
                on_notes[no] = own
    known = len(before.credits)
    write_credit_lines(trip, account, known, stands, on_notes)
    for no, own in on_notes.items():
        if no <= known:
            trip.execute(
                "update credit_line set credit_note_id = %s where account_id = %s and no = %s",
                (own, account.id, no),
            )
    for own in note_ids:
        yield NewEvent("credit_note.issued", account.id, own, 1)


def _payments(
    trip: RoundTrip, account: AccountState, before: AccountState, rows: Rows, ids: Sequence[str]
) -> Iterator[NewEvent]:
    for place, receipt in enumerate(account.receipts):
        payment = receipt.payment
        if place < len(before.receipts):
            was = before.receipts[place].payment
            if payment == was:
                continue
            own = rows.payment_ids[place]
            trip.execute(
                "update payment set status = %s, refunded = %s, code = %s where id = %s",
                (payment.status.value, payment.refunded, receipt.code, own),
            )
            yield NewEvent(_moved(was, payment), account.id, own, 1 + payment.refunded)
            continue
        own = str(uuid7())
        trip.execute(
            "insert into payment (id, mode, account_id, no, made_on, currency, amount, status, refunded, code)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                own,
                account.mode,
                account.id,
                receipt.number,
                receipt.on,
                payment.currency,
                payment.amount,
                payment.status.value,
                payment.refunded,
                receipt.code,
            ),
        )
        execute_each(
            trip,
            "insert into payment_application (payment_id, invoice_id, amount) values (%s, %s, %s)",
            [(own, ids[int(each.invoice) - 1], each.amount) for each in receipt.applied],
        )
        yield NewEvent(f"payment.{payment.status.value}", account.id, own, 1)


def _moved(was: Payment, now: Payment) -> str:
    """The kind of event. That a payment has succeeded is told once: what comes back to it is no other success."""
    if now.refunded != was.refunded:
        return "payment.refunded" if now.refunded > was.refunded else "payment.refund_failed"
    if was.status is PaymentStatus.DISPUTED:
        return "payment.dispute_won"
    return f"payment.{now.status.value}"


def _credit(trip: RoundTrip, account: AccountState, before: AccountState) -> Iterator[NewEvent]:
    grants, movements = len(before.credit.grants), len(before.credit.movements)
    execute_each(
        trip,
        "insert into account_credit_grant (account_id, id, no, granted_on, amount, source, expires_on)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        [
            (account.id, each.id, no, each.granted_on, each.amount, each.source.value, each.expires_on)
            for no, each in enumerate(account.credit.grants[grants:], grants + 1)
        ],
    )
    execute_each(
        trip,
        "insert into account_credit_movement (account_id, no, kind, grant_id, moved_on, amount, target)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        [
            (account.id, no, each.kind.value, each.grant, each.day, each.amount, each.target)
            for no, each in enumerate(account.credit.movements[movements:], movements + 1)
        ],
    )
    expired = sum(each.kind.value == "expiry" for each in account.credit.movements[movements:])
    if len(account.credit.grants) > grants:
        yield NewEvent("account_credit.granted", account.id, account.id, len(account.credit.grants))
    if expired:
        yield NewEvent("account_credit.expired", account.id, account.id, len(account.credit.movements))


def _pending(trip: RoundTrip, account: AccountState, before: AccountState) -> None:
    if before.pending:
        trip.execute("delete from pending_charge where account_id = %s", (account.id,))
    execute_each(
        trip,
        "insert into pending_charge (account_id, no, lines, uncut) values (%s, %s, %s::jsonb, %s::jsonb)",
        [(account.id, no, *dump_waiting(each)) for no, each in enumerate(account.pending)],
    )


def _usage(trip: RoundTrip, account: AccountState, before: AccountState, ids: Sequence[str]) -> None:
    known = {record.id: record.billed for record in before.usage}
    moved: dict[str | None, list[str]] = {}
    for record in account.usage:
        if record.id is None:
            raise ValueError("usage is recorded before it is rated")
        if known.get(record.id) != record.billed:
            by = None if record.billed is None else WAITS if record.billed == 0 else ids[record.billed - 1]
            moved.setdefault(by, []).append(record.id)
    for by, records in moved.items():
        trip.execute("update usage_record set billed_by = %s where id = any(%s::uuid[])", (by, records))


def _entries(trip: RoundTrip, account: AccountState) -> None:
    write_entries(
        trip,
        account,
        [
            entry
            for entry in account.journal
            if entry.event not in OF_INVOICE or not entry.document.startswith("invoice ")
        ],
    )


def _history(
    trip: RoundTrip,
    account: AccountState,
    before: AccountState,
    revenue: tuple[dict[str, Books], dict[str, Books]],
) -> None:
    was: AccountHistory = account_history(before, revenue[0])
    now: AccountHistory = account_history(account, revenue[1])
    if was != now:
        trip.execute(
            "insert into account_history (account_id, history) values (%s, %s::jsonb)"
            " on conflict (account_id) do update set history = excluded.history",
            (account.id, dump_account(now)),
        )


def _head(trip: RoundTrip, account: AccountState, rows: Rows, moved: list[str]) -> Iterator[NewEvent]:
    head: Any = rows.head
    values = {
        "time_zone": account.zone.key,
        "bill_cycle_day": account.bill_cycle_day,
        "recognised_through": account.recognised_through,
        "settled_on": account.today,
        "known_whole": True,
        "billed_whole": billed_whole(account),
        "whole_due_on": whole_due_on(account),
    }
    changed = {name: value for name, value in values.items() if getattr(head, name) != value}
    told = changed.keys() & {"time_zone", "bill_cycle_day"}
    if not changed:
        return
    sets = "".join(f"{name} = %({name})s, " for name in changed)
    trip.execute(
        f"update account set {sets} version = version + %(more)s where id = %(id)s".encode(),
        {**changed, "more": 1 if told else 0, "id": account.id},
    )
    if changed.get("billed_whole"):
        # A bill run may have rated its subscriptions by themselves already: as if they had moved, it reads again. Those
        # that did move have the version that the command answers.
        trip.execute(
            "update subscription set version = version + 1 where account_id = %s and not id = any(%s::uuid[])",
            (account.id, f"{{{','.join(moved)}}}"),
        )
    if told:
        yield NewEvent("account.changed", account.id, account.id, head.version + 1)
