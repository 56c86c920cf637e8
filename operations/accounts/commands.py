"""Commands on an account: each is carried out once, in one transaction with its events and its outcome."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import Engine

from domain.account.acting import attempt
from domain.account.commands import Step
from domain.account.days import bill_only
from domain.periods import local_date
from operations.accounts.at_once import AtOnce, NotAsked
from operations.accounts.standing import subscription_standing
from operations.accounts.unit import Changing, changing
from operations.tariffs import Tariff, Tariffs
from storage.database import PgConnection, transaction
from storage.round_trip import RoundTrip
from storage.whole.access import awaiting_payment
from storage.whole.reading import Rows


class CommandRefused(ValueError):
    """The rules do not allow the command on the account as it stands; the message says why. Nothing was changed."""


class CommandReused(ValueError):
    """The id of a command came before with another content."""


class VersionMoved(ValueError):
    """The subscription is not at a version that the command was decided on, but at `version`."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(
            f"the subscription is at version {version}, another than the command was decided on: read it again, and "
            "decide again"
        )


@dataclass(frozen=True, slots=True)
class Expected:
    """What whoever asks has seen: the subscription (by its name) at one of these versions."""

    subscription: str
    versions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to, as JSON: `subscription` as it stands now (None for commands on the account), `invoices`
    with id and number that it made, `pending` minor units that wait for the next invoice. `repeated`: it was carried
    out before, and this is what it came to then."""

    answer: dict[str, Any]
    repeated: bool = False


class AccountCommands:
    """Commands on the accounts of one database."""

    def __init__(self, engine: Engine, tariffs: Tariffs | None = None) -> None:
        self._engine = engine
        self._tariffs = tariffs or Tariffs(engine)

    def carry_out(
        self,
        account_id: str,
        command_id: str,
        step: Step,
        now: datetime,
        *,
        invoice_now: bool = False,
        expected: Expected | None = None,
    ) -> Outcome:
        """Carry out `step` on the account at the instant `now` (its `at` is not looked at), once for each `command_id`:
        the same again answers what it came to, a refusal too. See `carry_out`."""
        tariff = self._tariffs.current()
        with transaction(self._engine) as connection:
            outcome = carry_out(
                connection,
                tariff,
                account_id,
                command_id,
                step,
                now,
                invoice_now=invoice_now,
                expected=expected,
            )
        return accepted(outcome)


def carry_out(
    connection: PgConnection,
    tariff: Tariff,
    account_id: str,
    command_id: str,
    step: Step,
    now: datetime,
    *,
    invoice_now: bool = False,
    expected: Expected | None = None,
    engine_taxed: Collection[str] = (),
    at_once: AtOnce | None = None,
    last: RoundTrip | None = None,
) -> Outcome:
    """Carry out `step` in the transaction of `connection`, and store what it came to with it: a refusal too, which
    `accepted` raises. With `invoice_now` what it charges is invoiced at once, not with the next bill; in modes of
    `engine_taxed` by what `at_once` says of the tax, with `now` as its instant. `last`: what is written is left there,
    for the caller to send. Raises LookupError for an unknown account, CommandReused and VersionMoved, and NotAsked or
    DraftMoved where the engine has not been asked for this very invoice."""
    asked = _asked(step, invoice_now=invoice_now)
    refused: str | None = None
    taxed: AtOnce | None = None
    with changing(connection, tariff, account_id, now, command=command_id, last=last) as unit:
        known = known_command(unit.rows, command_id, step.do, asked)
        if known is None:
            _check(unit, expected)
            if invoice_now and unit.account.mode in engine_taxed:
                if at_once is None:
                    raise NotAsked
                taxed, invoice_now = at_once, at_once.pending is None
                unit.account.taxing = taxed.quotes.put()
            refused = _asks_in_vain(connection, unit, step) or act_on(unit, step, invoice_now=invoice_now)
    if known is not None:
        return known
    outcome = Outcome(_answer(unit, step, refused))
    if taxed is not None and refused is None:
        outcome.answer.update(taxed.record(connection, unit))
    (last or connection).execute(
        "insert into command (account_id, id, kind, asked, outcome) values (%s, %s, %s, %s, %s)",
        (account_id, command_id, step.do, Jsonb(asked), Jsonb(outcome.answer)),
    )
    return outcome


def remembered(connection: PgConnection, account_id: str, command_id: str, step: Step) -> Outcome | None:
    """What the command came to that was given before; None where it is not there or asked for something else."""
    row = connection.execute(
        "select kind, asked, outcome from command where account_id = %s and id = %s", (account_id, command_id)
    ).fetchone()
    if row is None or row[1] != _asked(step, invoice_now=False):
        return None
    return Outcome(row[2], repeated=True)


def accepted(outcome: Outcome) -> Outcome:
    """`outcome` of a command that was carried out. Raises CommandRefused for one that was not."""
    if "refused" in outcome.answer:
        raise CommandRefused(outcome.answer["refused"])
    return outcome


def _asked(step: Step, *, invoice_now: bool) -> dict[str, Any]:
    """A command's content, by which it is told apart from another one under its id."""
    return step.model_dump(mode="json", by_alias=True, exclude={"at"}) | {"invoice_now": invoice_now}


def _check(unit: Changing, expected: Expected | None) -> None:
    if expected is None:
        return
    subscription = unit.account.subscription(expected.subscription)
    version = unit.rows.versions[subscription.terms.id]
    if version not in expected.versions:
        raise VersionMoved(version)


def _asks_in_vain(connection: PgConnection, unit: Changing, step: Step) -> str | None:
    """Why a command is refused whatever the rules of the account say: what ended because its first payment never came
    is not taken up again."""
    if step.do != "reactivate":
        return None
    subscription = unit.account.subscriptions.get(step.subscription)
    if subscription is None or subscription.terms.id not in awaiting_payment(connection, unit.account.id):
        return None
    return "the subscription was never paid for, so it did not begin; a new checkout begins it"


def act_on(unit: Changing, step: Step, *, invoice_now: bool) -> str | None:
    """Carry out `step` at the unit's instant; the reason when the rules refuse it, with the account as it was
    before."""
    account, now = unit.account, unit.now
    # The account's days never go back: on a later one that is recorded already, the command counts for that.
    at = now if local_date(now, account.zone) >= account.today else account.today
    refused = attempt(account, step.model_copy(update={"at": at}))
    if refused is not None:
        unit.account, reason = refused
        return reason
    # The first bill of a subscription is due, and waits for nothing.
    if invoice_now and (unit.account.pending or step.do == "subscribe"):
        bill_only(unit.account)
    return None


def _answer(unit: Changing, step: Step, refused: str | None) -> dict[str, Any]:
    if refused is not None:
        return {"refused": refused}
    account = unit.account
    name = getattr(step, "name" if step.do == "subscribe" else "subscription", None)
    subscription = account.subscriptions.get(name) if name is not None else None
    return {
        "account": account.id,
        "subscription": None
        if subscription is None
        else {
            **subscription_standing(account, subscription),
            "version": unit.written.versions.get(
                subscription.terms.id, unit.rows.versions.get(subscription.terms.id, 1)
            ),
        },
        "invoices": [
            {"id": own, "number": number}
            for own, number in zip(unit.written.invoices, unit.written.numbers, strict=True)
        ],
        "pending": sum(each.amount for each in account.pending),
        "open": sum(max(0, invoice.balance.open) for invoice in account.invoices),
    }


def known_command(rows: Rows, command_id: str, kind: str, asked: dict[str, Any]) -> Outcome | None:
    """What the command, with which `rows` were read, came to when it was given before; None when it is new. Under the
    account's lock nobody else can give it meanwhile. Raises CommandReused."""
    row = rows.command
    if row is None:
        return None
    if row[0] != kind or row[1] != asked:
        raise CommandReused(
            f"command {command_id!r} was given before and asked for something else ({row[0]}): "
            "a new command needs an id of its own"
        )
    return Outcome(row[2], repeated=True)
