"""What became of payments that failed: how many attempts banks refused and why, which invoices were paid all the same,
after how many days, and how much is still at risk.

An invoice belongs to the day on which its first charge was refused by a bank. Of those of a span, each ends in one of
four ways, as it stands now: recovered (paid, with money that came after the refusal), at risk (still open), lost (given
up as uncollectible), or settled otherwise (void, or paid with credit). Charges that failed before a bank was asked are
counted as technical attempts, and make no invoice fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from domain.declines import DeclineClass, read_decline
from storage.database import PgConnection


@dataclass(frozen=True)
class Attempts:
    """Charges that ended, made on the days of the span, of one connection, currency and end. outcome: succeeded,
    declined (code and decline_class say why) or technical. amount: minor units of all of them."""

    connection: str
    currency: str
    outcome: str
    code: str | None
    decline_class: str | None
    charges: int
    amount: int


@dataclass(frozen=True)
class Sum:
    """So many invoices, and so much money of theirs, minor units."""

    invoices: int = 0
    amount: int = 0


@dataclass(frozen=True)
class DaysToRecover:
    """Days from the first refusal to the payment that settled the invoice, over the recovered ones."""

    mean: float
    median: float
    ninety_percent: float


@dataclass(frozen=True)
class CurrencyRecovery:
    """What became of the invoices of one currency that failed. failed: what their first refused charge was to take;
    recovered: what came in after it; at_risk: what is open of it; lost: what was given up."""

    currency: str
    failed: Sum
    recovered: Sum
    at_risk: Sum
    lost: Sum
    otherwise: Sum
    days: DaysToRecover | None

    @property
    def rate(self) -> float | None:
        """The part of the failed amount that was recovered, 0 to 1; None where nothing failed."""
        return self.recovered.amount / self.failed.amount if self.failed.amount else None


@dataclass(frozen=True)
class Dunned:
    """Accounts in one state of dunning now, whenever their payments failed, and what is open of theirs, minor units."""

    currency: str
    state: str
    accounts: int
    amount: int


@dataclass(frozen=True)
class Recovery:
    """The figures of a span of days, the last one not in it. dunned: as of now."""

    since: date
    until: date
    attempts: tuple[Attempts, ...]
    currencies: tuple[CurrencyRecovery, ...]
    dunned: tuple[Dunned, ...]


def recovery(
    connection: PgConnection,
    since: date,
    until: date,
    *,
    mode: str = "live",
    classes: Mapping[str, DeclineClass] | None = None,
) -> Recovery:
    """The figures of the days from `since` until `until` (not in it), of the accounts' own local days. classes: the
    publisher's own judgement of codes."""
    span = {"since": since, "until": until, "mode": mode}
    return Recovery(
        since,
        until,
        tuple(_attempts(connection, span, classes)),
        tuple(_currency(row) for row in connection.execute(_FAILED, span)),
        tuple(
            Dunned(currency, state, accounts, int(amount))
            for currency, state, accounts, amount in connection.execute(_DUNNED, span)
        ),
    )


def _attempts(
    connection: PgConnection, span: Mapping[str, object], classes: Mapping[str, DeclineClass] | None
) -> list[Attempts]:
    found = []
    for gateway, currency, outcome, code, charges, amount in connection.execute(_ATTEMPTS, span):
        decline = read_decline(code, classes) if outcome == "declined" else None
        found.append(
            Attempts(
                gateway,
                currency,
                outcome,
                code if outcome != "succeeded" else None,
                decline.decline_class.value if decline else None,
                charges,
                int(amount),
            )
        )
    return found


def _currency(row: tuple[object, ...]) -> CurrencyRecovery:
    currency, *figures, mean, median, ninety = row
    failed, recovered, at_risk, lost, otherwise = (
        Sum(int(str(invoices)), int(str(amount)))
        for invoices, amount in zip(figures[::2], figures[1::2], strict=True)
    )
    days = None if mean is None else DaysToRecover(*(float(str(each)) for each in (mean, median, ninety)))
    return CurrencyRecovery(str(currency), failed, recovered, at_risk, lost, otherwise, days)


_ATTEMPTS = b"""
    select connection, currency,
           case when status = 'succeeded' then 'succeeded' when technical then 'technical'
                else 'declined' end as outcome,
           code, count(*), sum(amount)
    from charge
    where mode = %(mode)s and made_on >= %(since)s and made_on < %(until)s and status in ('succeeded', 'failed')
    group by connection, currency, outcome, code
    order by connection, currency, outcome, count(*) desc, code
"""

_DUNNED = b"""
    select d.currency, d.state, count(*), sum(d.amount) from dunning_case d join account a on a.id = d.account_id
    where d.closed_at is null and a.mode = %(mode)s group by d.currency, d.state order by d.currency, d.state
"""

# One row an invoice: its first refusal, where none was before the span; then what came in after it.
_FAILED = b"""
    with refused as (
        select distinct on (p.invoice_id) p.invoice_id, c.account_id, c.made_on, c.currency, p.amount
        from charge c join charge_part p on p.charge_id = c.id
        where c.mode = %(mode)s and c.status = 'failed' and not c.technical
          and c.made_on >= %(since)s and c.made_on < %(until)s
        order by p.invoice_id, c.made_on, c.no),
    failed as (
        select r.currency, r.amount, i.status, i.balance, coalesce(s.written_off, 0) as written_off,
               case when came.amount is not null then least(came.amount, r.amount) end as came,
               came.last_on - r.made_on as days
        from refused r join invoice i on i.id = r.invoice_id
        left join invoice_settlement s on s.invoice_id = r.invoice_id
        left join lateral (
            select sum(a.amount) as amount, max(m.made_on) as last_on
            from payment m join payment_application a on a.payment_id = m.id and a.invoice_id = r.invoice_id
            where m.account_id = r.account_id and m.made_on >= r.made_on
              and m.status in ('succeeded', 'refunded', 'disputed')) came on true
        where not exists (
            select from charge_part p join charge c on c.id = p.charge_id
            where p.invoice_id = r.invoice_id and c.status = 'failed' and not c.technical
              and c.made_on < %(since)s)),
    ended as (
        select *, case when status = 'paid' and came is not null then 'recovered' when status = 'open' then 'at risk'
                       when status = 'uncollectible' then 'lost' else 'otherwise' end as way
        from failed)
    select currency, count(*), sum(amount),
           count(*) filter (where way = 'recovered'), coalesce(sum(came), 0),
           count(*) filter (where way = 'at risk'), coalesce(sum(balance) filter (where way = 'at risk'), 0),
           count(*) filter (where way = 'lost'), coalesce(sum(written_off) filter (where way = 'lost'), 0),
           count(*) filter (where way = 'otherwise'),
           coalesce(sum(amount - coalesce(came, 0)) filter (where way = 'otherwise'), 0),
           avg(days) filter (where way = 'recovered'),
           percentile_cont(0.5) within group (order by days) filter (where way = 'recovered'),
           percentile_cont(0.9) within group (order by days) filter (where way = 'recovered')
    from ended group by currency order by currency
"""
