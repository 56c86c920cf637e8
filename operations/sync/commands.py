"""What another system may have us do: named commands with a checked input, each absolute, so that a repetition or an
older message changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from storage.database import PgConnection
from storage.events import NewEvent, append_events

Done = Literal["changed", "unchanged", "superseded"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]


class Refused(ValueError):
    """A command that cannot be carried out. The message says why and what to do; no personal data."""


class Given(BaseModel):
    """What every command is given: whose account (our external key), and when it happened there, where that is
    known: what is older than what counts now is left aside."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    account: str = Field(min_length=1, max_length=200)
    at: datetime | None = None


class AddressChange(BaseModel):
    """An address as it is now; all of it is replaced."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    line1: Text | None = None
    line2: Text | None = None
    city: Text | None = None
    region: Text | None = None
    postal_code: Text | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None


class ContactChange(Given):
    """Contact data as it is now. What is left out stays; null or empty text leaves it, too: other systems send empty
    fields for what they do not know, and data is erased by erasing, not by a sync."""

    name: Text | None = None
    email: Annotated[Text, StringConstraints(pattern=r"^([^@\s]+@[^@\s]+)?$")] | None = None
    address: AddressChange | None = None


class ConsentChange(Given):
    """Whether the account may be written to for other reasons than its contract."""

    consent: bool


class Command(NamedTuple):
    """A command by its name. run: carries it out in the caller's transaction; raises Refused."""

    model: type[Given]
    run: Callable[[PgConnection, str, Any], Done]
    about: str


def update_contact(connection: PgConnection, mode: str, change: ContactChange) -> Done:
    """Bring contact data to what `change` says. A change raises the account's version and tells of it."""
    account, version, person = _person(connection, mode, change.account)
    if _is_older(person["contact_told_at"], change.at):
        return "superseded"
    address = change.address.model_dump(exclude_none=True) if change.address else None
    wanted = {"name": change.name or None, "email": change.email or None, "address": address or None}
    fields = {
        name: value for name, value in wanted.items() if value is not None and value != person.get(name)
    }
    return _write(connection, account, version, fields, ("contact_told_at", change.at))


def set_consent(
    connection: PgConnection,
    mode: str,
    change: ConsentChange,
    *,
    told_by: str = "sync",
    reason: str = "told by another system",
) -> Done:
    """Record consent, or that it was taken back, with an audit row that says who told us when."""
    account, version, person = _person(connection, mode, change.account)
    if _is_older(person["consent_told_at"], change.at):
        return "superseded"
    fields = {"consent": change.consent} if change.consent != person.get("consent") else {}
    done = _write(connection, account, version, fields, ("consent_told_at", change.at))
    if done == "changed":
        connection.execute(
            "insert into audit (id, actor, action, subject, reason, detail) values (%s, %s, 'consent', %s, %s, %s)"
            " on conflict (id) do nothing",
            (
                str(uuid5(NAMESPACE_URL, f"masthead:consent:{account}:{version + 1}")),
                told_by,
                f"account/{account}",
                reason,
                Jsonb({"consent": change.consent, "at": change.at.isoformat() if change.at else None}),
            ),
        )
    return done


COMMANDS: dict[str, Command] = {
    "account.update_contact": Command(ContactChange, update_contact, "contact data of an account"),
    "account.set_consent": Command(ConsentChange, set_consent, "consent to be written to"),
}


def _person(connection: PgConnection, mode: str, key: str) -> tuple[str, int, dict[str, Any]]:
    row = connection.execute(
        """
        select a.id::text, a.version, h.name, h.email, h.address, h.consent, h.contact_told_at,
               h.consent_told_at
        from account a left join person h on h.account_id = a.id
        where a.mode = %s and a.external_key = %s for update of a
        """,
        (mode, key),
    ).fetchone()
    if row is None:
        raise Refused(
            "there is no account with that key: let the map give our external key, or leave this one out"
        )
    names = ("name", "email", "address", "consent", "contact_told_at", "consent_told_at")
    return row[0], row[1], dict(zip(names, row[2:], strict=True))


def _is_older(told_at: datetime | None, at: datetime | None) -> bool:
    return at is not None and told_at is not None and at < told_at


def _write(
    connection: PgConnection,
    account: str,
    version: int,
    fields: dict[str, Any],
    told: tuple[str, datetime | None],
) -> Done:
    """Write `fields`, and when they were told of: also where they are the same, so that what is older stays out."""
    values = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in fields.items()}
    if told[1] is not None:
        values[told[0]] = told[1]
    if values:
        names = ", ".join(values)
        given = ", ".join(f"%({name})s" for name in values)
        sets = ", ".join(f"{name} = excluded.{name}" for name in values)
        connection.execute(
            f"insert into person (account_id, {names}) values (%(account)s, {given})"
            f" on conflict (account_id) do update set {sets}".encode(),
            {**values, "account": account},
        )
    if not fields:
        return "unchanged"
    connection.execute("update account set version = version + 1 where id = %s", (account,))
    append_events(connection, [NewEvent("account.changed", account, account, version + 1)])
    return "changed"
