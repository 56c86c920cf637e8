"""What all commands over HTTP share: how they are carried out once, what they answer, how a refusal is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from fastapi import Depends, Request, Response
from pydantic import BaseModel

from api.etags import Expected, IfGiven, etag, moved
from api.idempotency import Once, OneRequest, Reply
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.accounts import no_such_account
from api.v1.engine_taxed import answer_taxed
from api.v1.subscriptions import no_such_subscription
from domain.account.commands import Step
from operations.accounts.at_once import AtOnce
from operations.accounts.commands import (
    CommandRefused,
    CommandReused,
    Outcome,
    VersionMoved,
    accepted,
    carry_out,
)
from operations.accounts.commands import Expected as Seen
from operations.accounts.planning import Plan, plan
from operations.tariffs import Tariffs
from storage.account_records import find_account
from storage.database import PgConnection
from storage.round_trip import RoundTrip
from storage.subscription_views import ask_place, find_place, place_of


class Standing(BaseModel):
    """How a subscription stands after a command. State as of today in the account's time zone."""

    id: UUID
    external_key: str
    state: str
    items: list[dict[str, Any]]
    charged_through: date
    next_bill_on: date | None
    ends_on: date | None
    trial_ends_on: date | None
    resumes_on: date | None
    changes_on: date | None
    next_change_on: date | None
    discounts: list[str]
    version: int | None = None


class InvoiceMade(BaseModel):
    """An invoice that a command made; `number` within its series."""

    id: UUID
    number: int


class CommandOut(BaseModel):
    """What a command came to. pending: minor units that wait for the next invoice; open: what is owed on invoices.
    Where a tax engine is connected, `tax_by` says whose tax is on the invoices made, the engine's or (`fallback`) the
    built-in table's while it is away, and `tax_pending` why nothing was invoiced at once: it is billed by itself once
    the engine is back."""

    account: UUID
    subscription: Standing | None
    invoices: list[InvoiceMade] = []
    pending: int = 0
    open: int = 0
    tax_by: Literal["engine", "fallback"] | None = None
    tax_pending: Literal["engine_away", "engine_slow", "changed_meanwhile"] | None = None


class SubscriptionCommand(NamedTuple):
    """A request for a command on a subscription: who asks, once, which version they have seen, and of which one."""

    request: Request
    caller: Caller
    once: OneRequest
    seen: Expected
    subscription_id: UUID

    async def carry_out(self, step_of: Callable[[str, date], Step], *, invoice_now: bool = False) -> Response:
        """Carry out what `step_of` makes of the subscription's name and today's date, once for each Idempotency-Key."""
        tariffs: Tariffs = self.request.app.state.tariffs

        def ask(trip: RoundTrip) -> tuple[Any, Any]:
            return ask_place(trip, self.caller.sight, str(self.subscription_id)), tariffs.ask(trip)

        def work(last: RoundTrip, found: tuple[Any, Any], at_once: AtOnce | None = None) -> Reply:
            place = place_of(found[0])
            if place is None:
                raise no_such_subscription(self.subscription_id)
            tariff = tariffs.of_revision(last.connection, found[1])
            own, name = place
            now = at_once.now if at_once else datetime.now(UTC)
            expected = None if self.seen.versions is None else Seen(name, self.seen.versions)
            with told():
                outcome = accepted(
                    carry_out(
                        last.connection,
                        tariff,
                        own,
                        command_id(self.once),
                        step_of(name, now.date()),
                        now,
                        invoice_now=invoice_now,
                        expected=expected,
                        engine_taxed=engine_taxed,
                        at_once=at_once,
                        last=last,
                    )
                )
            return reply_of(outcome, own)

        engine_taxed = self.request.app.state.engine_taxed
        if not (invoice_now and engine_taxed):
            return await self.once.answer_together(ask, work)

        def planned(connection: PgConnection) -> Plan | None:
            place = find_place(connection, self.caller.sight, str(self.subscription_id))
            if place is None:
                return None
            tariff, now, command = tariffs.current(connection), datetime.now(UTC), command_id(self.once)
            step = partial(step_of, place.external_key, now.date())
            return plan(connection, tariff, place.account_id, command, step, now, engine_taxed)

        return await answer_taxed(
            self.request, planned, lambda said: self.once.answer_together(ask, partial(work, at_once=said))
        )


SCOPE = "subscriptions:write"
Writer = Annotated[Caller, Depends(require_scope(SCOPE))]


async def subscription_command(
    request: Request, caller: Writer, once: Once, seen: IfGiven, subscription_id: UUID
) -> SubscriptionCommand:
    """The dependency of a route that carries out a command on a subscription."""
    return SubscriptionCommand(request, caller, once, seen, subscription_id)


OnSubscription = Annotated[SubscriptionCommand, Depends(subscription_command)]


async def on_account(
    request: Request,
    caller: Caller,
    once: OneRequest,
    seen: Expected,
    account_id: UUID,
    step_of: Callable[[PgConnection, date], Step],
    *,
    invoice_now: bool = False,
    status: int = 200,
) -> Response:
    """Carry out on an account what `step_of` makes of the database and today's date, once for each Idempotency-Key."""
    tariffs: Tariffs = request.app.state.tariffs
    own = str(account_id)

    def work(connection: PgConnection, at_once: AtOnce | None = None) -> Reply:
        seen_account(connection, caller, own, seen)
        tariff = tariffs.current(connection)
        now = at_once.now if at_once else datetime.now(UTC)
        with told():
            step = step_of(connection, now.date())
            outcome = accepted(
                carry_out(
                    connection,
                    tariff,
                    own,
                    command_id(once),
                    step,
                    now,
                    invoice_now=invoice_now,
                    engine_taxed=engine_taxed,
                    at_once=at_once,
                )
            )
        return reply_of(outcome, own)._replace(status=status)

    engine_taxed = request.app.state.engine_taxed
    if not (invoice_now and engine_taxed):
        return await once.answer(work)

    def planned(connection: PgConnection) -> Plan | None:
        found = find_account(connection, caller.sight, own)
        if found is None or not seen.allows(found["version"]):
            return None  # nobody is asked for what will be refused
        tariff, now = tariffs.current(connection), datetime.now(UTC)
        step = partial(step_of, connection, now.date())
        return plan(connection, tariff, own, command_id(once), step, now, engine_taxed)

    return await answer_taxed(request, planned, lambda said: once.answer(partial(work, at_once=said)))


def seen_account(connection: PgConnection, caller: Caller, account_id: str, seen: Expected) -> None:
    """Make sure that the account is there for `caller` and, where versions of it are named, is at one of them and stays
    so until the transaction ends. Raises Problem: 404 and 412."""
    found = find_account(connection, caller.sight, account_id, lock=seen.versions is not None)
    if found is None:
        raise no_such_account(account_id)
    if not seen.allows(found["version"]):
        raise moved(found["version"])


def command_id(once: OneRequest) -> str:
    """The id of the command that a request asks for: of its caller and key."""
    return f"api/{once.asked.api_key_id}/{once.asked.key}"


def reply_of(outcome: Outcome, account_id: str) -> Reply:
    """What a command came to, as it is answered."""
    body = CommandOut.model_validate(outcome.answer)
    version = body.subscription.version if body.subscription is not None else None
    headers = {} if version is None else {"ETag": etag(version)}
    return Reply(body, headers=headers, account_id=account_id)


def refuse_own_terms(caller: Caller, order: BaseModel, fields: Sequence[str]) -> None:
    """Raise 403 where a key of one account, which is a subscriber's own, sets terms that are the publisher's to say."""
    given = [name for name in fields if name in order.model_fields_set]
    if caller.account_id is not None and given:
        raise Problem(
            403,
            "not_for_account_keys",
            f"{', '.join(given)}: not for keys of one account.",
            remedy="Leave it out: the catalog and the rule book say it.",
        )


@contextmanager
def told() -> Iterator[None]:
    """What the rules say no to, as a problem."""
    try:
        yield
    except VersionMoved as error:
        raise moved(error.version) from None
    except CommandRefused as error:
        text = str(error)
        raise Problem(409, "refused", f"{text[:1].upper()}{text[1:]}.") from None
    except CommandReused as error:
        raise Problem(422, "idempotency_key_reused", str(error)) from None
