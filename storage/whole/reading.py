"""Reading an account as a whole, in one round trip: its row and its subscriptions are locked first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from domain.account.state import Invoice, Receipt, Subscription, UsageRecord
from domain.account_credit import AccountCredit, Grant, Movement, MovementKind, Source
from domain.credit_notes import CreditNote
from domain.credits import CreditLine, TaxAmount
from domain.discounts import Discount
from domain.entitlements import Given
from domain.invoice_lines import billed_lines
from domain.lines import Line
from domain.pending import Waiting
from domain.periods import Anchor, Interval, Unit
from domain.price_book import PriceBook
from domain.receivables import Balance
from domain.received_payments import Application, Payment, PaymentStatus
from domain.subscription_terms import Item, SubscriptionTerms
from domain.subscriptions import State
from storage.database import PgConnection
from storage.dunning import ACCOUNT_CASE, ACCOUNT_DOUBTS, CaseRow
from storage.entitlements import ACCOUNT_GRANTS, StoredGrant, stored_grant
from storage.follow_ups import ACCOUNT_FOLLOW_UPS, FollowUpRow
from storage.round_trip import round_trip
from storage.whole.access import ACCOUNT_AWAITING, ACCOUNT_PURCHASES, awaiting, purchases
from storage.whole.history import load_subscription, load_swap, load_waiting

# A charge whose document is not there yet is billed by this.
WAITS = "00000000-0000-0000-0000-000000000000"
MOST_USAGE = 200_000  # records of an account that are read at once


class TooMuchUsage(ValueError):
    """An account with more unbilled usage than is read at once."""


@dataclass(slots=True)
class Rows:
    """What was read, as it lies in the tables and as the rules take it. Ids by the numbers that rules use:
    `invoice_ids` and `payment_ids` in the order of the account's documents. `recorded` is what the row of each
    subscription says of its state, and of when that changes; `command` kind, content and outcome of the command that
    was asked for. `case` is the dunning case that is open, `in_doubt` are the numbers of invoices in a charge whose end
    is not known, with its day. `awaiting` and `purchases`: what access depends on beside its subscriptions."""

    head: Any
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    recorded: dict[str, tuple[str, datetime | None]] = field(default_factory=dict)
    invoices: list[Invoice] = field(default_factory=list)
    invoice_ids: list[str] = field(default_factory=list)
    credit_notes: list[CreditNote] = field(default_factory=list)
    credits: list[CreditLine] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    payment_ids: list[str] = field(default_factory=list)
    credit: AccountCredit = field(default_factory=lambda: AccountCredit("XXX"))
    pending: list[Waiting] = field(default_factory=list)
    history: Any = None
    access: list[StoredGrant] = field(default_factory=list)
    follow_ups: list[FollowUpRow] = field(default_factory=list)
    command: tuple[str, Any, Any] | None = None
    case: CaseRow | None = None
    in_doubt: dict[int, date] = field(default_factory=dict)
    awaiting: frozenset[str] = frozenset()
    purchases: tuple[Given, ...] = ()
    usage: list[UsageRecord] = field(default_factory=list)


class _Query(NamedTuple):
    name: str
    sql: str


# Subscriptions are locked in the order of their ids, as a bill run locks them.
_QUERIES = (
    _Query("head", "select * from account where id = %(account)s{lock}"),
    _Query(
        "subscriptions",
        "select id::text, external_key, version, status, starts_on, trial_ends_on, anchor_on, anchor_day,"
        " interval_unit, interval_count, ends_on, charged_through, arrears_through, next_bill_on, next_due, term_end,"
        " resumes_on, later_on, later::text, canceled_on, opening_on"
        " from subscription where account_id = %(account)s order by id{lock}",
    ),
    _Query(
        "histories",
        "select h.subscription_id::text, h.history::text from subscription_history h join subscription s"
        " on s.id = h.subscription_id where s.account_id = %(account)s",
    ),
    _Query(
        "items",
        # One that was to begin and never did stays as a row that ends before it starts.
        "select i.id::text, i.subscription_id::text, i.plan_code, i.plan_version, i.quantity, i.price_override,"
        " i.starts_on, i.ends_on, i.phase_shift, i.replaces::text"
        " from subscription_item i join subscription s on s.id = i.subscription_id"
        " where s.account_id = %(account)s and coalesce(i.ends_on >= i.starts_on, true) order by i.id",
    ),
    _Query(
        "discounts",
        "select d.* from subscription_discount d join subscription s on s.id = d.subscription_id"
        " where s.account_id = %(account)s order by d.position, d.id",
    ),
    _Query(
        "invoices",
        "select i.id::text, i.issued_on, i.due_on, i.status, i.subtotal, i.tax, i.total, t.paid, t.credited, t.used,"
        " t.written_off, t.refunded from invoice i left join invoice_settlement t on t.invoice_id = i.id"
        " where i.account_id = %(account)s order by i.number",
    ),
    _Query(
        "lines",
        "select l.invoice_id::text, l.kind, l.item_id::text, l.price_id::text, l.part, l.period_start, l.period_end,"
        " l.quantity, l.amount, l.parent_no, l.reference, l.rate, l.charge_key::text"
        " from invoice_line l join invoice i on i.id = l.invoice_id"
        " where i.account_id = %(account)s order by i.number, l.no",
    ),
    _Query("access", ACCOUNT_GRANTS),
    _Query("follow_ups", ACCOUNT_FOLLOW_UPS),
    _Query(
        "beside",
        f"select exists ({ACCOUNT_CASE}) as case, exists ({ACCOUNT_DOUBTS}) as doubts,"
        f" exists ({ACCOUNT_AWAITING}) as awaiting, exists ({ACCOUNT_PURCHASES}) as purchases,"
        " c.kind, c.asked, c.outcome"
        " from (select) as one left join command c on c.account_id = %(account)s and c.id = %(command)s",
    ),
)
# What few accounts have: asked for where "beside" says that there is some.
_RARE = (
    _Query("case", ACCOUNT_CASE),
    _Query("doubts", ACCOUNT_DOUBTS),
    _Query("awaiting", ACCOUNT_AWAITING),
    _Query("purchases", ACCOUNT_PURCHASES),
)
_LOCKING = tuple(_Query(name, sql.format(lock=" for update")) for name, sql in _QUERIES)
_LOOKING = tuple(_Query(name, sql.format(lock="")) for name, sql in _QUERIES)
_WHOLE = (
    _Query(
        "notes",
        "select id, invoice_id, number, issued_on, reason from credit_note"
        " where account_id = %(account)s order by number",
    ),
    _Query("credits", "select * from credit_line where account_id = %(account)s order by no"),
    _Query("payments", "select * from payment where account_id = %(account)s order by no"),
    _Query(
        "applications",
        "select a.* from payment_application a join payment p on p.id = a.payment_id"
        " join invoice i on i.id = a.invoice_id where p.account_id = %(account)s order by i.due_on, i.number",
    ),
    _Query("grants", "select * from account_credit_grant where account_id = %(account)s order by no"),
    _Query("movements", "select * from account_credit_movement where account_id = %(account)s order by no"),
    _Query(
        "pending",
        "select lines::text, uncut::text from pending_charge where account_id = %(account)s order by no",
    ),
    _Query("history", "select history::text from account_history where account_id = %(account)s"),
)
_USAGE = f"""
    select u.id, s.external_key, u.item_id, u.meter_code, u.at, u.quantity, u.billed_by
    from usage_record u join subscription_item i on i.id = u.item_id join subscription s on s.id = i.subscription_id
    join account a on a.id = s.account_id
    where s.account_id = %(account)s
      and (u.billed_by = '{WAITS}'
           or u.billed_by in (select id from invoice where account_id = %(account)s and status = 'open')
           or (u.billed_by is null
               and not (s.usage_seen is not null
                        and u.at < s.arrears_through::timestamp at time zone a.time_zone
                        and (u.epoch, u.xid) < (s.usage_epoch, s.usage_seen))))
    order by u.at, u.id limit {MOST_USAGE + 1}
"""


def lock_together(connection: PgConnection, account_ids: Sequence[str]) -> None:
    """Lock accounts, and then the subscriptions of all of them, each in the order of their ids: as a bill run and
    recorded usage lock subscriptions of several accounts."""
    with round_trip(connection) as trip:
        trip.execute(
            "select from account where id = any(%s::uuid[]) order by id for update", (list(account_ids),)
        )
        trip.execute(
            "select from subscription where account_id = any(%s::uuid[]) order by id for update",
            (list(account_ids),),
        )


def read_whole(
    connection: PgConnection,
    account_id: str,
    book: PriceBook,
    *,
    lock: bool = True,
    command: str | None = None,
) -> Rows:
    """Everything of the account, and its command with the id `command` if there is one. With `lock` its row and its
    subscriptions stay locked, so that two commands, or a command and a bill run, come one after the other. Raises
    LookupError when there is no such account, TooMuchUsage for more unbilled usage than can be read at once."""
    found: dict[str, list[Any]] = {}
    values = {"account": account_id, "command": command}
    _ask(connection, _LOCKING if lock else _LOOKING, values, found)
    if not found["head"]:
        raise LookupError(f"there is no account {account_id}")
    head = found["head"][0]
    rows = Rows(head, access=[stored_grant(row) for row in found["access"]])
    rows.follow_ups = [FollowUpRow(*row) for row in found["follow_ups"]]
    beside = found["beside"][0]
    rows.command = None if beside.kind is None else (beside.kind, beside.asked, beside.outcome)
    rare = [query for query in _RARE if getattr(beside, query.name)]
    found |= {query.name: [] for query in _RARE}
    _ask(connection, [*(_WHOLE if head.known_whole else ()), *rare], values, found)
    rows.awaiting, rows.purchases = awaiting(found["awaiting"]), purchases(found["purchases"])
    rows.case = CaseRow(*found["case"][0]) if found["case"] else None
    _subscriptions(rows, found)
    _invoices(rows, found, book)
    numbers = {own: number for number, own in enumerate(rows.invoice_ids, 1)}
    rows.in_doubt = {numbers[each.invoice_id]: each.made_on for each in found["doubts"]}
    if head.known_whole:
        _corrections(rows, found)
        _money(rows, found)
        rows.pending = [load_waiting(each.lines, each.uncut) for each in found["pending"]]
        rows.history = found["history"][0].history if found["history"] else None
    else:
        rows.credit = AccountCredit(head.currency)
    versions = {(item.plan_code, item.plan_version) for item in found["items"]}
    if any(book.version(plan, version, head.currency).has_usage for plan, version in versions):
        rows.usage = _usage(connection, account_id, rows)
    return rows


def whole_account_ids(connection: PgConnection, after: str | None, limit: int) -> list[tuple[str, str]]:
    """(id, external key) of the next accounts, in the order of ids, that something beside plain bills happened to."""
    rows = connection.execute(
        "select id::text, external_key from account where known_whole and (%(after)s::uuid is null or id > %(after)s)"
        " order by id limit %(limit)s",
        {"after": after, "limit": limit},
    )
    return [(row[0], row[1]) for row in rows]


def _ask(
    connection: PgConnection,
    queries: Sequence[_Query],
    values: dict[str, str | None],
    found: dict[str, list[Any]],
) -> None:
    with round_trip(connection) as trip:
        answers = {name: trip.execute(sql, values) for name, sql in queries}
    for name, answer in answers.items():
        found[name] = answer.named()


def _subscriptions(rows: Rows, found: dict[str, list[Any]]) -> None:
    histories = {row.subscription_id: row.history for row in found.get("histories", ())}
    items: dict[str, list[Item]] = {}
    for row in found["items"]:
        items.setdefault(row.subscription_id, []).append(
            Item(
                row.id,
                row.plan_code,
                row.plan_version,
                row.quantity,
                row.price_override,
                row.starts_on,
                row.ends_on,
                row.phase_shift,
                replaces=row.replaces,
            )
        )
    discounts: dict[str, list[Discount]] = {}
    for row in found["discounts"]:
        discounts.setdefault(str(row.subscription_id), []).append(
            Discount(row.code, row.percent, row.amount, row.starts_on, row.ends_on)
        )
    for row in found["subscriptions"]:
        own = row.id
        terms = SubscriptionTerms(
            own,
            row.version,
            State(row.status) if row.status in ("paused", "canceled") else State.ACTIVE,
            row.starts_on,
            row.trial_ends_on,
            Anchor(row.anchor_on, row.anchor_day),
            Interval(Unit(row.interval_unit), row.interval_count),
            row.ends_on,
            row.charged_through,
            row.arrears_through,
            row.next_bill_on,
            items.get(own, []),
            discounts.get(own, []),
        )
        history = load_subscription(histories.get(own))
        entitled = history.entitled or [(item.starts_on, item.plan) for item in terms.items[:1]]
        rows.subscriptions[row.external_key] = Subscription(
            row.external_key,
            terms,
            row.term_end if rows.head.known_whole else row.ends_on,
            history.moved,
            history.pauses,
            row.resumes_on,
            (row.later_on, load_swap(row.later)) if row.later_on is not None else None,
            entitled,
            row.canceled_on,
            history.stops,
            set(history.issue_credits),
            row.opening_on,
        )
        rows.versions[own] = row.version
        rows.recorded[own] = row.status, row.next_due


def _invoices(rows: Rows, found: dict[str, list[Any]], book: PriceBook) -> None:
    lines: dict[str, list[Line]] = {}
    for row in found["lines"]:
        mine = lines.setdefault(row.invoice_id, [])
        parent = None if row.parent_no is None else row.parent_no - 1
        category = book.category(row.part) if parent is None else mine[parent].category
        mine.append(
            Line(
                row.kind,
                row.item_id,
                row.price_id,
                row.part,
                row.period_start,
                row.period_end,
                row.quantity,
                row.amount,
                parent,
                row.reference,
                row.rate,
                row.charge_key,
                row.charge_key,
                category,
            )
        )
    for number, row in enumerate(found["invoices"], 1):
        own = lines.get(row.id, [])
        voided = row.status == "void"
        if voided:
            for line in own:
                line.charge_key = f"{line.charge_key} void {number}"
        settled = (row.paid or 0, row.credited or 0, row.used or 0, row.written_off or 0, row.refunded or 0)
        balance = Balance(str(number), rows.head.currency, row.total, row.due_on, True, voided, *settled)
        rows.invoice_ids.append(row.id)
        rows.invoices.append(
            Invoice(
                number,
                row.issued_on,
                own,
                billed_lines(str(number), own),
                row.subtotal,
                row.tax,
                balance,
            )
        )


def _corrections(rows: Rows, found: dict[str, list[Any]]) -> None:
    places = {own: number for number, own in enumerate(rows.invoice_ids, 1)}
    of_note: dict[str, list[CreditLine]] = {}
    for row in found["credits"]:
        number = places[str(row.invoice_id)]
        key = rows.invoices[number - 1].lines[row.line_no - 1].charge_key
        taxes = tuple(TaxAmount(name, Decimal(rate), amount) for name, rate, amount in row.taxes)
        line = CreditLine(key, row.kind, row.starts_on, row.ends_on, row.net, taxes)
        rows.credits.append(line)
        if row.credit_note_id is not None:
            of_note.setdefault(str(row.credit_note_id), []).append(line)
    for number, row in enumerate(found["notes"], 1):
        invoice = str(places[str(row.invoice_id)])
        lines = tuple(of_note.get(str(row.id), ()))
        rows.credit_notes.append(CreditNote(invoice, f"CN-{number}", row.issued_on, row.reason, lines))


def _money(rows: Rows, found: dict[str, list[Any]]) -> None:
    currency = rows.head.currency
    places = {own: str(number) for number, own in enumerate(rows.invoice_ids, 1)}
    applied: dict[str, list[Application]] = {}
    for row in found["applications"]:
        applied.setdefault(str(row.payment_id), []).append(
            Application(places[str(row.invoice_id)], row.amount)
        )
    for row in found["payments"]:
        payment = Payment(f"payment {row.no}", currency, row.amount, PaymentStatus(row.status), row.refunded)
        rows.payment_ids.append(str(row.id))
        rows.receipts.append(
            Receipt(row.no, row.made_on, payment, tuple(applied.get(str(row.id), ())), row.code)
        )
    rows.credit = AccountCredit(
        currency,
        tuple(
            Grant(row.id, row.granted_on, row.amount, Source(row.source), row.expires_on)
            for row in found["grants"]
        ),
        tuple(
            Movement(MovementKind(row.kind), row.grant_id, row.moved_on, row.amount, row.target)
            for row in found["movements"]
        ),
    )


def _usage(connection: PgConnection, account_id: str, rows: Rows) -> list[UsageRecord]:
    places: dict[str, int] = {own: number for number, own in enumerate(rows.invoice_ids, 1)}
    places[WAITS] = 0
    records = connection.execute(_USAGE.encode(), {"account": account_id}).fetchall()
    if len(records) > MOST_USAGE:
        raise TooMuchUsage(
            f"account {account_id} has more than {MOST_USAGE:,} unbilled usage records, too many to be charged together"
            " with a change: let a bill run charge them first"
        )
    return [
        UsageRecord(name, str(item), meter, at, quantity, None if by is None else places[str(by)], str(own))
        for own, name, item, meter, at, quantity, by in records
    ]
