"""Households: the readers of one subscription with several seats, the owner's among them.

Seats are given in the order of time, so every change has its day and none may lie before the last one. An open
invitation holds a seat, so that accepting it cannot fail; a freed one is for others only after the cooling-off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import NamedTuple

from pydantic import BaseModel, Field


class HouseholdPolicy(BaseModel, extra="forbid", frozen=True):
    """What an operator decides about household seats. How many there are, the plan says."""

    cooling_off_days: int = Field(
        default=0,
        ge=0,
        description="days until a freed seat is for another reader; its last one may come back",
    )
    invitation_days: int = Field(default=14, ge=1, description="days for which an invitation is open")


class Member(NamedTuple):
    """A reader with a seat from `joined_on` until `left_on` (exclusive; None: still there)."""

    reader: str
    joined_on: date
    left_on: date | None = None


class Invitation(NamedTuple):
    """An invitation that can be accepted before `until`."""

    reader: str
    invited_on: date
    until: date


@dataclass(frozen=True, slots=True)
class Household:
    """A household as of its last change: `members` in the order in which they joined, those who left included."""

    seats: int
    owner: str
    as_of: date
    members: tuple[Member, ...]
    invitations: tuple[Invitation, ...] = ()


class Shrinking(NamedTuple):
    """Who has to give way when there are fewer seats: invitations go first, then readers, in this order."""

    invitations: tuple[str, ...]
    readers: tuple[str, ...]


class HouseholdRefused(ValueError):
    """A seat that cannot be given, taken or passed on; the message says why."""


def open_household(owner: str, seats: int, on: date) -> Household:
    """A household of `seats` seats from the day `on`, the owner in the first. Raises HouseholdRefused for none."""
    _check_seats(seats)
    return Household(seats, owner, on, (Member(owner, on),))


def entitled_on(household: Household, day: date) -> tuple[str, ...]:
    """Who reads on `day`, in the order of joining: the day of leaving belongs to the next reader (as law 4)."""
    return tuple(member.reader for member in household.members if _sits(member, day))


def seats_free(policy: HouseholdPolicy, household: Household, day: date, reader: str | None = None) -> int:
    """How many seats can be offered on `day`, to `reader` if one is named: not those that are taken, held by an open
    invitation, or cooling off after somebody else."""
    inside = {member.reader for member in household.members if member.left_on is None}
    invited = {invitation.reader for invitation in household.invitations if day < invitation.until}
    cooling = {
        member.reader
        for member in household.members
        if member.left_on is not None and day < member.left_on + timedelta(days=policy.cooling_off_days)
    }
    return max(0, household.seats - len(inside) - len(invited) - len(cooling - inside - invited - {reader}))


def invite(policy: HouseholdPolicy, household: Household, reader: str, on: date) -> Household:
    """The household with an invitation for `reader`; a further one for the same reader takes the place of the first.
    Raises HouseholdRefused when they have a seat already or none is free."""
    household = _as_of(household, on)
    if _inside(household, reader):
        raise HouseholdRefused(f"{reader} has a seat already")
    household = _uninvited(household, reader)
    if not seats_free(policy, household, on, reader):
        raise HouseholdRefused(
            f"none of the {household.seats} seats is free on {on}: remove somebody, withdraw an invitation, or "
            f"wait until a freed seat has cooled off ({policy.cooling_off_days} days)"
        )
    invitation = Invitation(reader, on, on + timedelta(days=policy.invitation_days))
    return replace(household, invitations=(*household.invitations, invitation))


def withdraw(household: Household, reader: str, on: date) -> Household:
    """The household without the invitation for `reader`, whoever takes it back or declines. Its seat is free at once.
    Raises HouseholdRefused when there is none."""
    household = _as_of(household, on)
    if not _invited(household, reader):
        raise HouseholdRefused(f"{reader} has no open invitation")
    return _uninvited(household, reader)


def accept(household: Household, reader: str, on: date) -> Household:
    """The household with `reader` in the seat that their invitation held; accepting again changes nothing. Raises
    HouseholdRefused without an open invitation."""
    household = _as_of(household, on)
    if _inside(household, reader):
        return household
    if not _invited(household, reader):
        raise HouseholdRefused(f"{reader} has no open invitation; the owner has to invite them again")
    household = _uninvited(household, reader)
    return replace(household, members=(*household.members, Member(reader, on)))


def remove(household: Household, reader: str, on: date) -> Household:
    """The household without `reader`, who reads until the day before `on`. Raises HouseholdRefused for the owner and
    for who has no seat."""
    household = _as_of(household, on)
    if not _inside(household, reader):
        raise HouseholdRefused(f"{reader} has no seat")
    if reader == household.owner:
        raise HouseholdRefused(f"{reader} owns the household: make somebody else the owner first")
    return _without(household, {reader}, on)


def pass_on(household: Household, reader: str, on: date) -> Household:
    """The household with `reader`, who has a seat, as its owner; the former owner keeps theirs. Raises
    HouseholdRefused for who has none."""
    household = _as_of(household, on)
    if not _inside(household, reader):
        raise HouseholdRefused(f"{reader} has no seat: only a member can become the owner")
    return replace(household, owner=reader)


def who_gives_way(household: Household, seats: int, on: date) -> Shrinking:
    """Who would have to give way if there were `seats` seats on `on`: the last invitation first, then who joined last;
    the owner never. Raises HouseholdRefused for no seats."""
    _check_seats(seats)
    household = _as_of(household, on)
    inside = [member.reader for member in household.members if member.left_on is None]
    invited = [invitation.reader for invitation in household.invitations]
    over = max(0, len(inside) + len(invited) - seats)
    dropped = tuple(reversed(invited))[:over]
    leaving = [reader for reader in reversed(inside) if reader != household.owner]
    return Shrinking(dropped, tuple(leaving[: over - len(dropped)]))


def set_seats(household: Household, seats: int, on: date) -> Household:
    """The household with `seats` seats from `on` (an upgrade or downgrade of the plan); who has no seat any more reads
    until the day before. Raises HouseholdRefused for no seats."""
    gone = who_gives_way(household, seats, on)
    household = _as_of(household, on)
    kept = tuple(each for each in household.invitations if each.reader not in gone.invitations)
    return replace(_without(household, set(gone.readers), on), seats=seats, invitations=kept)


def _as_of(household: Household, on: date) -> Household:
    """The household on `on`, without the invitations that lapsed."""
    if on < household.as_of:
        raise HouseholdRefused(f"the household was changed on {household.as_of}, after {on}")
    open_still = tuple(each for each in household.invitations if on < each.until)
    return replace(household, as_of=on, invitations=open_still)


def _without(household: Household, readers: set[str], on: date) -> Household:
    members = tuple(
        member._replace(left_on=on) if member.left_on is None and member.reader in readers else member
        for member in household.members
    )
    return replace(household, members=members)


def _uninvited(household: Household, reader: str) -> Household:
    kept = tuple(each for each in household.invitations if each.reader != reader)
    return replace(household, invitations=kept)


def _inside(household: Household, reader: str) -> bool:
    return any(member.reader == reader and member.left_on is None for member in household.members)


def _invited(household: Household, reader: str) -> bool:
    return any(invitation.reader == reader for invitation in household.invitations)


def _sits(member: Member, day: date) -> bool:
    return member.joined_on <= day and (member.left_on is None or day < member.left_on)


def _check_seats(seats: int) -> None:
    if seats < 1:
        raise HouseholdRefused(f"a household has one seat at least (the owner's), not {seats}")
