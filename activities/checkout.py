"""The steps of a checkout that touch the database. Gateways are called by the activities of their methods."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.call_attempt import described
from activities.heartbeat import beating, pulse
from activities.tax_orders import TaxNotFound, TaxRefused
from activities.tax_quotes import TaxQuotes
from contracts.checkout import (
    CheckoutRef,
    Ending,
    Fulfilled,
    Noted,
    Posted,
    Problem,
    Quoted,
    StepMade,
    StepOrder,
    TakeNote,
    Withdraw,
)
from contracts.connector_call import CallOutcome
from domain.invoices import Draft
from domain.tax import TaxTable
from domain.tax_documents import EngineTax
from operations.billrun.fail_points import fail_point
from operations.checkout.books import CannotPost, post, settle, take_back
from operations.checkout.ending import end, explain
from operations.checkout.fulfilling import fulfil
from operations.checkout.gateway import note, order_step, withdraw
from operations.checkout.quote import GatewayFor, to_tax, write_quote
from operations.checkout.told_standing import ReadTold
from operations.tariffs import Tariffs
from storage.database import DATABASE_AWAY, PgConnection, transaction

log = logging.getLogger("masthead.checkout")

T = TypeVar("T")

# What asks for the tax of a draft, at a place where the account's rows do not say it: an engine's answer, or None where
# the built-in table has it. It raises TaxPending and TaxRefused.
Taxes = Callable[[Draft, TaxTable, Mapping[str, str] | None], Awaitable[EngineTax | None]]


async def built_in(draft: Draft, table: TaxTable, place: Mapping[str, str] | None) -> EngineTax | None:
    """Tax by the built-in table."""
    return None


def by_engine(quotes: TaxQuotes) -> Taxes:
    """Tax by the connected engine, where there is one for the mode."""

    async def ask(draft: Draft, table: TaxTable, place: Mapping[str, str] | None) -> EngineTax | None:
        return await quotes.quote(draft, table, place=place)

    return ask


class CheckoutActivities:
    """Checkouts in the database of `engine`. gateway_for: the payment gateway for a mode. fulfilled_by: for a mode,
    the connection of each capability that follows a sale; None for one that nothing is configured for. told_by: by the
    name of a connection whose gateway cannot be asked, what reads that which it tells."""

    def __init__(
        self,
        engine: Engine,
        gateway_for: GatewayFor,
        fulfilled_by: Callable[[str], Mapping[str, str | None]],
        taxes: Taxes = built_in,
        told_by: Callable[[str], ReadTold | None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._tariffs = Tariffs(engine)
        self._gateway_for = gateway_for
        self._fulfilled_by = fulfilled_by
        self._taxes = taxes
        self._told_by = told_by

    @activity.defn(name="quote_tax")
    async def quote(self, ref: CheckoutRef) -> Quoted:
        """What the checkout comes to, with tax, written down. What cannot be sold is an answer."""
        async with beating():
            try:
                tariff = await asyncio.to_thread(self._tariffs.current)
                asked = await self._do(to_tax, tariff, ref.checkout_id, ref.now)
                given = None if asked is None else await self._taxes(asked.draft, tariff.taxes, asked.place)
                quoted = await self._do(
                    write_quote, tariff, ref.checkout_id, ref.now, self._gateway_for, given
                )
                fail_point("after-quote")
                return quoted
            except TaxNotFound as error:
                refused = isinstance(error, TaxRefused)
                return Quoted(problem=Problem(kind="tax_refused" if refused else "tax_unavailable"))
            except (ValueError, LookupError) as error:
                await self._do(explain, ref.checkout_id, str(error))
                return Quoted(problem=Problem(kind="not_for_sale"))
            except DATABASE_AWAY:
                raise
            except Exception as error:
                raise ApplicationError(described(error), type=type(error).__name__) from None

    @activity.defn(name="order_checkout_step", no_thread_cancel_exception=True)
    def order(self, order: StepOrder) -> StepMade:
        """Write the intent of a call to the gateway."""
        with pulse(), transaction(self._engine) as connection:
            made = order_step(connection, order.checkout_id, order.step, order.number, self._told_by)
        fail_point(f"after-order-{order.step.value}")
        return made

    @activity.defn(name="note_checkout_step", no_thread_cancel_exception=True)
    def note(self, order: TakeNote) -> Noted:
        """Write down what a call to the gateway came to."""
        fail_point(f"before-note-{order.step.value}")
        with pulse(), transaction(self._engine) as connection:
            noted = note(connection, order.checkout_id, order.step, order.call_id)
        fail_point(f"after-note-{order.step.value}")
        return noted

    @activity.defn(name="withdraw_call", no_thread_cancel_exception=True)
    def withdraw(self, order: Withdraw) -> CallOutcome:
        """Give a call up, if surely nothing was applied."""
        with pulse(), transaction(self._engine) as connection:
            return withdraw(connection, order.call_id, found=order.found)

    @activity.defn(name="post_checkout", no_thread_cancel_exception=True)
    def post(self, ref: CheckoutRef) -> Posted:
        """The sale in the books. Whatever is wrong but the database being away is an answer: nothing is written then,
        and what was held is given back."""
        fail_point("before-post")
        try:
            with pulse(), transaction(self._engine) as connection:
                posted = post(connection, self._tariffs.current(), ref.checkout_id)
                fail_point("before-post-commit")
        except (*DATABASE_AWAY, psycopg.errors.TransactionRollback, ApplicationError):
            raise
        except CannotPost as error:
            log.warning("checkout %s is not posted: %s", ref.checkout_id, error)
            return Posted(problem=Problem(kind=error.kind))
        except Exception:
            log.exception("checkout %s is not posted", ref.checkout_id)
            return Posted(problem=Problem(kind="books_refused"))
        fail_point("after-post")
        return posted

    @activity.defn(name="settle_checkout", no_thread_cancel_exception=True)
    def settle(self, ref: CheckoutRef) -> None:
        """Record the payment, begin access, ask for what follows."""
        fail_point("before-settle")
        with pulse(), transaction(self._engine) as connection:
            fulfilled_by = self._fulfilled_by(_mode(connection, ref.checkout_id))
            settle(connection, self._tariffs.current(), ref.checkout_id, ref.now, fulfilled_by)
            fail_point("before-settle-commit")
        fail_point("after-settle")

    @activity.defn(name="fulfil_checkout", no_thread_cancel_exception=True)
    def fulfil(self, ref: CheckoutRef) -> Fulfilled:
        """Ask for the licences and parcels of what was sold. A repetition answers the calls that were not sent yet."""
        with pulse(), transaction(self._engine) as connection:
            asked = fulfil(connection, ref.checkout_id, ref.now, self._fulfilled_by)
            fail_point("before-fulfil-commit")
        fail_point("after-fulfil")
        return asked

    @activity.defn(name="take_back_checkout", no_thread_cancel_exception=True)
    def take_back(self, ref: CheckoutRef) -> None:
        """Take the sale out of the books again."""
        fail_point("before-take-back")
        with pulse(), transaction(self._engine) as connection:
            take_back(connection, self._tariffs.current(), ref.checkout_id, ref.now)
            fail_point("before-take-back-commit")
        fail_point("after-take-back")

    @activity.defn(name="end_checkout", no_thread_cancel_exception=True)
    def end(self, ending: Ending) -> None:
        """Write down that it did not complete."""
        fail_point("before-end")
        with pulse(), transaction(self._engine) as connection:
            end(connection, ending.checkout_id, ending.status, ending.kind, ending.now, ending.decline)
        fail_point("after-end")

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [
            self.quote,
            self.order,
            self.note,
            self.withdraw,
            self.post,
            self.settle,
            self.fulfil,
            self.take_back,
            self.end,
        ]

    async def _do(self, step: Callable[..., T], *args: Any) -> T:
        def run() -> T:
            with transaction(self._engine) as connection:
                return step(connection, *args)

        return await asyncio.to_thread(run)


def _mode(connection: PgConnection, checkout_id: str) -> str:
    row = connection.execute("select mode from checkout where id = %s", (checkout_id,)).fetchone()
    return str(row[0]) if row else "live"
