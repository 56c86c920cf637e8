"""One account as a unit of work: read whole under its lock, changed by the rules of `domain.account`, written back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from uuid_utils import uuid7

from domain.account import corrections
from domain.account.access import grants
from domain.account.days import advance
from domain.account.state import AccountState, Books, snapshot
from domain.account.terms import AccountTerms, TaxTerms
from domain.entitlements import Grant
from domain.periods import local_date
from domain.revenue import ScheduleRefused, schedule_of, to_recognise
from domain.tax import Treatment
from operations.dunning.case import note_case
from operations.follow_ups.writing import note_follow_ups
from operations.fulfilment.noting import delivers, note_fulfilment
from operations.refunds.promising import write_promises
from operations.tariffs import Tariff
from operations.tax.documents import GivenBack, refund_tax_document, void_tax_document
from storage.database import PgConnection
from storage.entitlements import put_grants
from storage.events import append_events
from storage.round_trip import RoundTrip, round_trip
from storage.whole.access import access_beside
from storage.whole.history import load_account
from storage.whole.reading import Rows, read_whole
from storage.whole.writing import Written, number_invoices, write_whole


class Changing:
    """An account in hand: `account` as the rules take it, at its instant `now`, and after the block what was
    `written`."""

    def __init__(self, account: AccountState, before: AccountState, rows: Rows, now: datetime) -> None:
        self.account = account
        self.before = before  # as it was read: a copy that nobody changes
        self.rows = rows
        self.now = now
        self.written = Written([], [], {})
        self.bill_run_id: str | None = None
        self.of_case: dict[str, Any] | None = None  # what whoever looks at its dunning case sets there


@contextmanager
def changing(
    connection: PgConnection,
    tariff: Tariff,
    account_id: str,
    now: datetime,
    *,
    through: date | None = None,
    command: str | None = None,
    last: RoundTrip | None = None,
) -> Iterator[Changing]:
    """The account `account_id` at the instant `now`, in the transaction of `connection`: locked, with all that was
    dated until then recorded, to be changed in the block and written back at its end. An exception writes nothing: let
    it roll the transaction back.

    With `through` the days pass up to that one, where the account's local day of `now` is a later one. Days never go
    back: an account whose later days are recorded stays on the last of them. An account that lives by a test clock has
    that clock's time, whatever `now` says. `command`: the id of one whose outcome is read with it, into `rows.command`.
    `last`: what is written is left there, for the caller to send, who changes nothing but the account in the block.
    Raises LookupError for an unknown account.
    """
    rows = read_whole(connection, account_id, tariff.book, command=command)
    now = rows.head.clock_at or now
    account, told = build(rows, tariff, now, through=through)
    before = snapshot(account)
    revenue = _untold(before, told)
    advance(account, passed(now, account.zone, through), fleet=account.collected)
    unit = Changing(account, before, rows, now)
    yield unit
    account = unit.account  # a refused command puts an earlier state in its place
    with nullcontext(last) if last else round_trip(connection) as trip:
        books = revenue, _untold(account, _told_still(account, before, told))
        access = _write(trip, unit, account, before, books, command, reread=last is None)
        if delivers(account, tariff, rows.purchases):
            trip.send()
            note_fulfilment(trip.connection, tariff, account, unit.now, access, rows.purchases)
    if unit.written.documents:
        if last:
            last.send()
        number_invoices(connection, account.mode, unit.written, unit.bill_run_id)


def _write(
    trip: RoundTrip,
    unit: Changing,
    account: AccountState,
    before: AccountState,
    revenue: tuple[dict[str, Books], dict[str, Books]],
    command: str | None,
    *,
    reread: bool,
) -> list[Grant]:
    """What was changed, with what follows from it; the grants of access by now. reread: more than the account may have
    been changed, such as what access depends on."""
    rows = unit.rows
    unit.written = written = write_whole(trip, account, before, rows, revenue=revenue)
    if account.promised or written.voided or written.notes:
        trip.send()
        _tell_beside(trip.connection, unit, account, command)
    if reread:
        rows.awaiting, rows.purchases = access_beside(trip, account.id)
    told_of_case = note_case(trip, account, rows.case, unit.now, own=unit.of_case)
    access = grants(
        account,
        dunned=account.collected or account.dunned,
        awaiting=rows.awaiting,
        purchases=rows.purchases,
    )
    changed = put_grants(trip, account.id, account.mode, access, now=unit.now, known=rows.access)
    names = list(account.subscriptions)
    note_follow_ups(trip, account, names, before.today, unit.now, rows.follow_ups, access)
    append_events(trip, [*changed, *told_of_case])
    return access


def _tell_beside(
    connection: PgConnection, unit: Changing, account: AccountState, command: str | None
) -> None:
    """Refunds that the account promised, and what tax documents have to hear."""
    if account.promised:
        write_promises(
            connection,
            account.id,
            account.mode,
            account.currency,
            account.promised,
            [*unit.rows.invoice_ids, *unit.written.invoices],
            command,
            unit.now,
        )
    for invoice_id in unit.written.voided:
        void_tax_document(connection, invoice_id)
    for note in unit.written.notes:
        back = [GivenBack(str(no), amount, tax) for no, amount, tax in note.lines]
        refund_tax_document(
            connection, note.invoice_id, credit_note_id=note.id, code=note.code, on=note.on, lines=back
        )


def passed(now: datetime, zone: ZoneInfo, through: date | None) -> date:
    """The day up to which the days of an account in `zone` have passed at `now`, or `through` if that comes first."""
    today = local_date(now, zone)
    return today if through is None else min(through, today)


def build(
    rows: Rows, tariff: Tariff, now: datetime, *, through: date | None = None
) -> tuple[AccountState, dict[str, Books]]:
    """The account that `rows` hold, on the last day that is recorded for it (see `passed` where none is), and the
    revenue schedules as its lines alone tell them."""
    head: Any = rows.head
    zone = ZoneInfo(head.time_zone)
    today = head.settled_on or passed(now, zone, through)
    history = load_account(rows.history)
    rules = tariff.rules(head.rule_book)
    treatment = Treatment.EXEMPT if head.tax_exempt else Treatment(head.tax_treatment)
    account = AccountState(
        AccountTerms(
            currency=head.currency,
            timezone=head.time_zone,
            bill_cycle_day=head.bill_cycle_day,
            tax=TaxTerms(region=head.tax_region, inclusive=head.tax_inclusive, treatment=treatment),
            auto_pay=head.auto_pay,
            payment_terms_days=head.payment_terms_days,
        ),
        tariff.catalog,
        rules,
        tariff.book,
        tariff.taxes,
        tariff.names,
        today,
        zone,
        head.bill_cycle_day,
        subscriptions=rows.subscriptions,
        invoices=rows.invoices,
        credit_notes=rows.credit_notes,
        receipts=rows.receipts,
        credit=rows.credit,
        credits=rows.credits,
        voided=set(history.freed),
        pending=rows.pending,
        usage=rows.usage,
        gifts=history.gifts,
        collecting=history.collecting,
        dunning=history.dunning or [(today, rules.policy.dunning.clear.name)],
        failing={date.fromisoformat(day): code for day, code in (head.declines or {}).items()},
        recognised_through=head.recognised_through,
        id=str(head.id),
        mode=head.mode,
        holds=history.holds,
        in_doubt=rows.in_doubt,
        collected=head.mode == "test",
        dunned=rows.case is not None,
        ids=lambda: str(uuid7()),
    )
    _name_gifts(account)
    told = _told(account)
    account.revenue = {**told, **history.revenue}
    return account, {key: replace(books) for key, books in told.items()}


def _name_gifts(account: AccountState) -> None:
    """An invoice of a gift that was not claimed says which one."""
    names = {gift.id: name for name, gift in account.gifts.items() if gift.claimed_on is None}
    for invoice in account.invoices if names else ():
        for line in invoice.billed:
            if line.item_id in names:
                invoice.gift = names[line.item_id]


def _told(account: AccountState, first: int = 0) -> dict[str, Books]:
    """The schedule of each billed line, from the invoice at the place `first` on, as the line alone tells it,
    recognised as far as the account's revenue is."""
    found = {}
    for invoice in account.invoices[first:]:
        for line in invoice.billed:
            try:
                schedule = schedule_of(
                    line,
                    currency=account.currency,
                    billed_on=invoice.issued_on,
                    deliveries=corrections.delivery_days(account, line),
                )
            except ScheduleRefused:
                continue  # a gift that was not claimed is earned by nothing yet
            recognised = 0 if schedule.deferred else line.net
            if account.recognised_through is not None:
                recognised += to_recognise(schedule, account.recognised_through, recognised)
            found[line.key] = Books(schedule, recognised)
    return found


def _told_still(account: AccountState, before: AccountState, told: dict[str, Books]) -> dict[str, Books]:
    """As `_told`, of which `told` is what it answered `before`: mostly there are new lines at most."""
    if account.recognised_through != before.recognised_through:
        return _told(account)
    old = account.invoices[: len(before.invoices)]
    if any(now.billed is not was.billed for now, was in zip(old, before.invoices, strict=True)):
        return _told(account)
    return told | _told(account, len(old))


def _untold(account: AccountState, told: dict[str, Books]) -> dict[str, Books]:
    """The schedules of `account` that differ from what its lines tell."""
    return {key: replace(books) for key, books in account.revenue.items() if told.get(key) != books}


def now_utc() -> datetime:
    """The wall clock, for callers at the edge: rules get the instant as an argument."""
    return datetime.now(UTC)
