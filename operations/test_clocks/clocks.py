"""Making clocks, giving them accounts, and what an order to go on may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine
from uuid_utils import uuid7

from contracts.test_clock import FARTHEST, Clock, ClockStatus
from domain.account.terms import AccountTerms
from domain.declines import read_decline
from domain.periods import local_date
from domain.rule_book import RuleBook
from operations.rule_books import DEFAULT_RULE_BOOK, read_rule_books
from storage.database import PgConnection, transaction
from storage.test_clocks import (
    ClockRow,
    clocks_page,
    find_clock,
    find_clock_by_name,
    insert_clock,
    update_clock,
)


class ClockRefused(ValueError):
    """What cannot be done with a clock as it stands; the message says why, and what to do."""


class NoSuchClock(LookupError):
    """There is no clock of that id or name."""


class Declines(NamedTuple):
    """On which local days charges of an account are declined, with which of the gateway's codes."""

    account_id: str
    external_key: str
    declines: dict[date, str]


class DeclinesMoved(Exception):
    """The declines of an account are others than whoever asks has seen: `found`."""

    def __init__(self, found: Declines) -> None:
        super().__init__(f"the declines of account {found.external_key!r} were changed meanwhile")
        self.found = found


class ClockAccount(BaseModel):
    """An account for a clock: a test account that is there, by its key, or a new one, with `terms`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    external_key: Annotated[str, Field(min_length=1, max_length=200)]
    terms: AccountTerms | None = None
    locale: str = Field("en", min_length=2, max_length=35)
    rule_book: str | None = None


def create_clock(engine: Engine, name: str, at: datetime) -> Clock:
    """A new clock that stands at `at`. The same again is the same clock. Raises ClockRefused for a name that is
    another clock's."""
    with transaction(engine) as connection:
        own = str(uuid7())
        if not insert_clock(connection, own, name, at):
            known = find_clock_by_name(connection, name)
            if known is None or known.starts_at != at or known.status == ClockStatus.ENDED:
                raise ClockRefused(f"there is a clock {name!r} already; give this one another name")
            return _shown(known)
        return _shown(_found(connection, own))


def read_clock(engine: Engine, clock: str) -> Clock:
    """The clock with the id or name `clock`. Raises NoSuchClock."""
    with transaction(engine) as connection:
        row = find_clock(connection, clock) if _is_id(clock) else find_clock_by_name(connection, clock)
    if row is None:
        raise NoSuchClock(f"there is no test clock {clock!r}")
    return _shown(row)


def list_clocks(engine: Engine, *, after: str | None, limit: int) -> list[Clock]:
    """Clocks, newest first, behind the one with the id `after`."""
    with transaction(engine) as connection:
        return [_shown(row) for row in clocks_page(connection, after=after, limit=limit)]


def attach_accounts(engine: Engine, clock_id: str, accounts: Sequence[ClockAccount]) -> list[str]:
    """Let accounts live by the clock from now on, in one transaction; their ids, in the order of `accounts`. New ones
    are test accounts for ever; one that lives by this clock already is left as it is.

    Raises NoSuchClock, and ClockRefused for a clock that is not ready, and for accounts that cannot be on it.
    """
    with transaction(engine) as connection:
        clock = _found(connection, clock_id, lock=True)
        if clock.status != ClockStatus.READY:
            raise ClockRefused(f"the clock is {clock.status}: accounts join it while it is ready")
        return [_attach(connection, clock, each) for each in accounts]


def _attach(connection: PgConnection, clock: ClockRow, account: ClockAccount) -> str:
    row = connection.execute(
        "select id::text, mode, test_clock_id::text, time_zone, settled_on from account"
        " where external_key = %s order by mode = 'test' desc limit 1 for update",
        (account.external_key,),
    ).fetchone()
    if row is not None and (row[1] == "test" or account.terms is None):
        return _join(connection, clock, account, row)
    if account.terms is None:
        raise ClockRefused(
            f"there is no test account {account.external_key!r}; give its terms, and it is created"
        )
    return _create(connection, clock, account, account.terms)


def _join(connection: PgConnection, clock: ClockRow, account: ClockAccount, row: Sequence[Any]) -> str:
    own, mode, other, zone, settled_on = row
    key = account.external_key
    if mode != "test":
        raise ClockRefused(f"account {key!r} is a live account: only test accounts live by a clock")
    if other == clock.id:
        return str(own)
    if other is not None:
        raise ClockRefused(f"account {key!r} lives by another clock, and stays there")
    if account.terms is not None:
        raise ClockRefused(f"there is a test account {key!r} already; leave its terms out to attach it")
    day = local_date(clock.frozen_at, ZoneInfo(zone))
    if settled_on is not None and settled_on > day:
        raise ClockRefused(
            f"account {key!r} has lived until {settled_on}, and the clock stands at {day}: advance the clock first"
        )
    connection.execute(
        "update account set test_clock_id = %s, clock_at = %s, settled_on = coalesce(settled_on, %s)"
        " where id = %s",
        (clock.id, clock.frozen_at, day, own),
    )
    return str(own)


def _create(connection: PgConnection, clock: ClockRow, account: ClockAccount, terms: AccountTerms) -> str:
    own = str(uuid7())
    try:
        connection.execute(
            "insert into account (id, mode, external_key, currency, time_zone, locale, bill_cycle_day, tax_region,"
            " tax_inclusive, tax_treatment, auto_pay, payment_terms_days, rule_book, settled_on, test_clock_id,"
            " clock_at) values (%s, 'test', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                own,
                account.external_key,
                terms.currency,
                terms.timezone,
                account.locale,
                terms.bill_cycle_day,
                terms.tax.region,
                terms.tax.inclusive,
                terms.tax.treatment.value,
                terms.auto_pay,
                _terms_days(connection, account, terms),
                account.rule_book,
                local_date(clock.frozen_at, ZoneInfo(terms.timezone)),
                clock.id,
                clock.frozen_at,
            ),
        )
    except psycopg.errors.UniqueViolation:
        raise ClockRefused(f"there is a test account {account.external_key!r} already") from None
    return own


def _terms_days(connection: PgConnection, account: ClockAccount, terms: AccountTerms) -> int:
    if terms.payment_terms_days is not None:
        return terms.payment_terms_days
    books = read_rule_books(connection)
    if account.rule_book is not None and account.rule_book not in books:
        raise ClockRefused(f"there is no rule book {account.rule_book!r}; load it first")
    rules = books.get(account.rule_book or DEFAULT_RULE_BOOK) or RuleBook()
    return rules.policy.payment_terms_days


def order_advance(engine: Engine, clock_id: str, to: datetime) -> Clock:
    """Note that the clock shall go on to `to`. The same order again changes nothing, and one that failed on the way
    goes on. Raises NoSuchClock, and ClockRefused for an order that cannot be carried out."""
    with transaction(engine) as connection:
        clock = _found(connection, clock_id, lock=True)
        refusal = _refusal(clock, to)
        if refusal is not None:
            raise ClockRefused(refusal)
        if to != clock.frozen_at or clock.target is not None:
            update_clock(connection, clock_id, target=to, status=ClockStatus.ADVANCING.value, problem=None)
        return _shown(_found(connection, clock_id))


def _refusal(clock: ClockRow, to: datetime) -> str | None:
    if clock.status == ClockStatus.ENDED:
        return "the clock has ended; make another one"
    if clock.status == ClockStatus.ADVANCING and to != clock.target:
        return f"the clock is on its way to {clock.target}; wait until it stands there"
    if clock.target is not None and to < clock.target:
        return f"accounts may stand at {clock.target} already: time never goes back"
    if to < clock.frozen_at:
        return f"the clock stands at {clock.frozen_at}: time never goes back"
    if to - clock.frozen_at > FARTHEST:
        return f"{to} is more than {FARTHEST // timedelta(days=366)} years away; is the year right?"
    return None


def arrived(engine: Engine, clock_id: str) -> Clock:
    """Note that all accounts stand at the target: that is what time it is now."""
    with transaction(engine) as connection:
        clock = _found(connection, clock_id, lock=True)
        if clock.target is not None:
            update_clock(
                connection,
                clock_id,
                frozen_at=clock.target,
                target=None,
                status=ClockStatus.READY.value,
                problem=None,
            )
        return _shown(_found(connection, clock_id))


def failed(engine: Engine, clock_id: str, problem: str) -> Clock:
    """Note that the clock cannot go on, and why; ordered again, it goes on from where its accounts stand."""
    with transaction(engine) as connection:
        clock = _found(connection, clock_id, lock=True)
        if clock.status == ClockStatus.ADVANCING:
            update_clock(connection, clock_id, status=ClockStatus.FAILED.value, problem=problem[:2000])
        return _shown(_found(connection, clock_id))


def end_clock(engine: Engine, clock_id: str) -> Clock:
    """End the clock; its accounts stay test accounts at the time on which they stand. Raises NoSuchClock, and
    ClockRefused while it is advancing."""
    with transaction(engine) as connection:
        clock = _found(connection, clock_id, lock=True)
        if clock.status == ClockStatus.ADVANCING:
            raise ClockRefused(f"the clock is on its way to {clock.target}; wait until it stands there")
        if clock.status != ClockStatus.ENDED:
            update_clock(connection, clock_id, target=None, status=ClockStatus.ENDED.value)
        return _shown(_found(connection, clock_id))


def set_declines(
    engine: Engine,
    clock_id: str,
    account: str,
    declines: Mapping[date, str],
    *,
    allowed: Callable[[Declines], bool] | None = None,
) -> Declines:
    """On which local days charges of the account (its id or key) are declined, and with which code: these take the
    place of those before, where those are `allowed`. Raises NoSuchClock, LookupError for an account that is not on it,
    ClockRefused, and DeclinesMoved."""
    for code in declines.values():
        if read_decline(code, {}) is None:
            raise ClockRefused(f"{code!r} says that the outcome is unknown; name a code of a decline")
    with transaction(engine) as connection:
        before = _declines(connection, clock_id, account, lock=True)
        if allowed is not None and not allowed(before):
            raise DeclinesMoved(before)
        wanted = {str(day): code for day, code in declines.items()}
        connection.execute(
            "update account set declines = %s where id = %s", (Jsonb(wanted), before.account_id)
        )
        return before._replace(declines=dict(sorted(declines.items())))


def read_declines(engine: Engine, clock_id: str, account: str) -> Declines:
    """The days on which charges of the account (its id or key) are declined. Raises NoSuchClock, and LookupError for an
    account that is not on the clock."""
    with transaction(engine) as connection:
        return _declines(connection, clock_id, account)


def _declines(connection: PgConnection, clock_id: str, account: str, *, lock: bool = False) -> Declines:
    _found(connection, clock_id)
    row = connection.execute(
        b"select id::text, external_key, declines from account"
        b" where test_clock_id = %s and (id::text = %s or external_key = %s)"
        + (b" for update" if lock else b""),
        (clock_id, account, account),
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no account {account!r} on this clock")
    stored = {date.fromisoformat(day): code for day, code in (row[2] or {}).items()}
    return Declines(row[0], row[1], dict(sorted(stored.items())))


def _found(connection: PgConnection, clock_id: str, *, lock: bool = False) -> ClockRow:
    row = find_clock(connection, clock_id, lock=lock)
    if row is None:
        raise NoSuchClock(f"there is no test clock {clock_id}")
    return row


def _shown(row: ClockRow) -> Clock:
    return Clock.model_validate(row._asdict())


def _is_id(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4
