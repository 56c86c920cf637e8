"""Account credit: what an account has in hand for later invoices. Grants are used oldest first, expire on a local
day, and get back what an invoice used of them when it is voided.

Grants and movements are only ever added, so the balance of any day can be told at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import NamedTuple


class Source(StrEnum):
    """Where a grant comes from."""

    CREDIT_NOTE = "credit_note"
    GOODWILL = "goodwill"
    GIFT = "gift"
    OVERPAYMENT = "overpayment"


class AccountCreditError(ValueError):
    """A grant or a use that cannot be; the message says why."""


@dataclass(frozen=True, slots=True)
class Grant:
    """`amount` minor units that may be used from the local day `granted_on` until `expires_on` (exclusive: on that
    day it is gone), or for ever. Raises AccountCreditError for a grant of nothing, or one that expires before it
    begins."""

    id: str
    granted_on: date
    amount: int
    source: Source
    expires_on: date | None = None

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise AccountCreditError(f"grant {self.id} is of {self.amount} minor units: grant more than zero")
        if self.expires_on is not None and self.expires_on <= self.granted_on:
            raise AccountCreditError(f"grant {self.id} expires on {self.expires_on}, before it can be used")

    def usable_on(self, day: date) -> bool:
        """Whether it has begun and has not expired."""
        return self.granted_on <= day and not self.expired_on(day)

    def expired_on(self, day: date) -> bool:
        """Whether it is gone on `day`."""
        return self.expires_on is not None and self.expires_on <= day


class MovementKind(StrEnum):
    """What happened to a grant."""

    USE = "use"
    RETURN = "return"
    EXPIRY = "expiry"


class Movement(NamedTuple):
    """`amount` minor units (above zero) of the grant `grant`, moved on a local day. `target` is what a use was for,
    the invoice or the refund, and what a return comes from; None for an expiry."""

    kind: MovementKind
    grant: str
    day: date
    amount: int
    target: str | None


@dataclass(frozen=True, slots=True)
class AccountCredit:
    """All grants of an account in one currency, and all that happened to them, in order."""

    currency: str
    grants: tuple[Grant, ...] = ()
    movements: tuple[Movement, ...] = ()


class Statement(NamedTuple):
    """The account credit up to and including a day, minor units: balance = granted − used + returned − expired."""

    granted: int
    used: int
    returned: int
    expired: int

    @property
    def balance(self) -> int:
        """What can be used."""
        return self.granted - self.used + self.returned - self.expired


def add_grant(credit: AccountCredit, grant: Grant) -> AccountCredit:
    """`credit` with `grant`. The same grant again changes nothing, so a repeated command does no harm; another grant
    under a known id raises AccountCreditError."""
    for known in credit.grants:
        if known.id == grant.id:
            if known != grant:
                raise AccountCreditError(
                    f"grant {grant.id} exists with other terms: give a new one its own id"
                )
            return credit
    return replace(credit, grants=(*credit.grants, grant))


def statement(credit: AccountCredit, day: date) -> Statement:
    """What was granted, used, returned and has expired up to and including `day`. A grant's rest is gone on its day,
    whether or not the expiry was recorded yet."""
    granted = used = returned = expired = 0
    for grant in credit.grants:
        if grant.granted_on <= day:
            out, back = _moved(credit, grant, day)
            granted += grant.amount
            used += out
            returned += back
            if grant.expired_on(day):
                expired += grant.amount - out + back
    return Statement(granted, used, returned, expired)


def balance_on(credit: AccountCredit, day: date) -> int:
    """What can be used on the local day `day`, minor units, never below zero."""
    return statement(credit, day).balance


def use(credit: AccountCredit, target: str, amount: int, day: date) -> tuple[AccountCredit, int]:
    """(`credit`, how much of `amount` it covers), used on `day` for `target`: oldest grant first; of the same day
    the one that expires sooner, then by id. A payout of credit is a use too, its target the refund.

    Raises AccountCreditError for an amount below zero, and for a day before the latest movement: what has been used
    or has expired since could be used twice.
    """
    if amount < 0:
        raise AccountCreditError(
            f"{amount} minor units of account credit cannot be used: give an amount above zero"
        )
    _check_order(credit, day)
    rest = amount
    movements = []
    for grant in sorted(credit.grants, key=_age):
        part = min(rest, _left(credit, grant, day)) if grant.usable_on(day) else 0
        if part:
            movements.append(Movement(MovementKind.USE, grant.id, day, part, target))
            rest -= part
    return _with(credit, movements), amount - rest


def return_uses(credit: AccountCredit, target: str, day: date) -> tuple[AccountCredit, int]:
    """(`credit`, how much came back): what `target`, an invoice that is voided, had used goes back on `day` to the
    grants it came from, as if it had not been used: a grant that has expired since does not live again. What came
    back already does not come back twice. Raises AccountCreditError for a day before the latest movement."""
    _check_order(credit, day)
    used: dict[str, int] = {}
    for movement in credit.movements:
        if movement.target == target:
            sign = 1 if movement.kind is MovementKind.USE else -1
            used[movement.grant] = used.get(movement.grant, 0) + sign * movement.amount
    movements = [
        Movement(MovementKind.RETURN, grant, day, amount, target) for grant, amount in used.items() if amount
    ]
    return _with(credit, movements), sum(movement.amount for movement in movements)


def use_of(credit: AccountCredit, grant: str) -> tuple[dict[str, int], int]:
    """How much of `grant` each target has used and not given back, and how much of it has expired, minor units."""
    used: dict[str, int] = {}
    expired = 0
    for movement in credit.movements:
        if movement.grant != grant:
            continue
        if movement.kind is MovementKind.EXPIRY:
            expired += movement.amount
        else:
            sign = 1 if movement.kind is MovementKind.USE else -1
            used[str(movement.target)] = used.get(str(movement.target), 0) + sign * movement.amount
    return {target: amount for target, amount in used.items() if amount}, expired


def expire(credit: AccountCredit, day: date) -> tuple[AccountCredit, tuple[Movement, ...]]:
    """(`credit`, the expiries that `day` adds, for the ledger). An expiry is dated by its grant, not by `day`: a
    sweep that runs late records the same; only what was returned to an expired grant is dated by the return."""
    movements = []
    for grant in credit.grants:
        if grant.expires_on is None or grant.expires_on > day:
            continue
        mine = list(_up_to(credit, grant, day))
        recorded = sum(each.amount for each in mine if each.kind is MovementKind.EXPIRY)
        lost = _left(credit, grant, day) - recorded
        if lost:
            on = max([grant.expires_on, *(each.day for each in mine)])
            movements.append(Movement(MovementKind.EXPIRY, grant.id, on, lost, None))
    return _with(credit, movements), tuple(movements)


def _age(grant: Grant) -> tuple[date, date, str]:
    return grant.granted_on, grant.expires_on or date.max, grant.id


def _moved(credit: AccountCredit, grant: Grant, day: date) -> tuple[int, int]:
    """(used, returned) of `grant` up to and including `day`."""
    out = back = 0
    for movement in _up_to(credit, grant, day):
        if movement.kind is MovementKind.USE:
            out += movement.amount
        elif movement.kind is MovementKind.RETURN:
            back += movement.amount
    return out, back


def _up_to(credit: AccountCredit, grant: Grant, day: date) -> Iterator[Movement]:
    return (each for each in credit.movements if each.grant == grant.id and each.day <= day)


def _left(credit: AccountCredit, grant: Grant, day: date) -> int:
    out, back = _moved(credit, grant, day)
    return grant.amount - out + back


def _check_order(credit: AccountCredit, day: date) -> None:
    latest = max((each.day for each in credit.movements), default=date.min)
    if day < latest:
        raise AccountCreditError(
            f"account credit moved on {latest}: date this movement then or later, not {day}"
        )


def _with(credit: AccountCredit, movements: list[Movement]) -> AccountCredit:
    return replace(credit, movements=(*credit.movements, *movements)) if movements else credit
