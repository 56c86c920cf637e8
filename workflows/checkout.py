"""A checkout: a saga from the quote to the receipt. What can be undone is noted before it is done; what nobody knows
the outcome of is found out before anything is undone.

It keeps ids, statuses and minor units. The customer's side of it is in Postgres, where pages and API read it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.checkout import CheckoutActivities
    from contracts.checkout import (
        CHECKOUT_WORKFLOW,
        CONFIRM,
        CheckoutInput,
        CheckoutRef,
        CheckoutResult,
        CheckoutStatus,
        Ending,
        GatewayStep,
        Noted,
        Quoted,
        Standing,
        Way,
    )
    from contracts.names import STATUS
    from workflows._at_gateway import AtGateway
    from workflows._options import BOOKS
    from workflows._parking import Calls

# Since then a payment that is found taken where it was to be held is as good.
TAKEN_IS_HELD = "taken-is-held"

# How often a debit on its way is asked for.
DEBIT_LOOK = timedelta(hours=12)

WHAT_OPS_CAN_DO = (
    "Signal `confirm` asks the gateway again at once. Cancelling this workflow gives up a checkout that was not "
    "charged yet: what is held is given back. Terminating it undoes nothing."
)


class Stopped(Exception):
    """The checkout does not complete. kind: of the problem, as the row has it."""

    def __init__(self, status: CheckoutStatus, kind: str, decline: str | None = None) -> None:
        super().__init__(kind)
        self.status = status
        self.kind = kind
        self.decline = decline


class Undo(NamedTuple):
    """What takes a step back; each may be done again, and does nothing where the step was never taken."""

    what: str
    act: Callable[[], Awaitable[None]]


@workflow.defn(name=CHECKOUT_WORKFLOW)
class CheckoutWorkflow:
    """One checkout."""

    @workflow.init
    def __init__(self, order: CheckoutInput) -> None:
        self._order = order
        self._calls = Calls(resumed=self._show_again)
        self._undos: list[Undo] = []
        self._given_up = False
        self._gateway = AtGateway(self._calls, order.checkout_id, lambda: self._given_up)
        self._shown = ""

    @workflow.run
    async def run(self, order: CheckoutInput) -> CheckoutResult:
        """Sell what is in the cart, or leave nothing behind. A cancellation is a wish: it is granted as long as
        nothing was taken."""
        sale = asyncio.create_task(self._sell_or_undo())
        while not sale.done():
            try:
                await asyncio.shield(sale)
            except asyncio.CancelledError:
                self._given_up = True
        result = sale.result()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    @workflow.signal(name=CONFIRM)
    def confirm(self, told: str | None = None) -> None:
        """The customer is back from the bank, or the gateway has told us something: ask it how the payment stands.
        What was told does not matter."""
        self._gateway.news = True

    # --- the story ---

    async def _sell_or_undo(self) -> CheckoutResult:
        try:
            quoted = await self._quote()
            await self._secure_the_money(quoted)
            await self._write_the_books()
            await self._take_the_money(quoted)
            await self._complete()
        except Stopped as stop:
            await self._undo_all()
            await self._end(stop)
            return self._result(stop.status, stop.kind)
        return self._result(CheckoutStatus.COMPLETED)

    async def _quote(self) -> Quoted:
        self._show("quoting", "what the cart comes to, with tax")
        quoted = await workflow.execute_activity_method(
            CheckoutActivities.quote, self._ref(), summary="what it comes to, with tax", **BOOKS
        )
        if quoted.problem is not None:
            raise Stopped(CheckoutStatus.REFUSED, quoted.problem.kind)
        return quoted

    async def _secure_the_money(self, quoted: Quoted) -> None:
        """Hold what is due, or make the method ready for later; the customer may have to do something for it."""
        if quoted.way is Way.AUTHORISE:
            self._undos.append(Undo("give back what is held", self._gateway.release))
            step, wanted = GatewayStep.AUTHORISE, Standing.HELD
        elif quoted.way is Way.SET_UP:
            step, wanted = GatewayStep.SET_UP, Standing.READY
        else:
            return
        self._show("authorising", f"{_money(quoted)} at {quoted.connection}")
        noted = await self._gateway.do(step, within=self._order.authorise_within)
        if noted.standing is Standing.REQUIRES_ACTION:
            noted = await self._await_the_customer(step)
        if noted.standing is wanted:
            return
        # What was meant to be held is taken: by somebody else, or by us in a time that a restore has taken back.
        if wanted is Standing.HELD and noted.standing is Standing.TAKEN and workflow.patched(TAKEN_IS_HELD):
            return
        raise self._not_secured(noted)

    async def _await_the_customer(self, step: GatewayStep) -> Noted:
        until = workflow.now() + self._order.action_within
        self._show(
            "requires_action", f"the customer has to confirm the payment, until {until:%Y-%m-%d %H:%M} UTC"
        )
        looks = 0
        while True:
            longest = self._order.looks[min(looks, len(self._order.looks) - 1)]
            await self._wait(min(longest, until - workflow.now()), "the customer confirms the payment")
            looks += 1
            # Cleared before the look: what is told while it is under way asks for another one.
            self._gateway.news = False
            over = workflow.now() >= until
            noted = await self._gateway.ask(step, looks)
            if noted.standing is not Standing.REQUIRES_ACTION:
                return noted
            if self._given_up:
                raise Stopped(CheckoutStatus.CANCELED, "canceled")
            if over:
                raise Stopped(CheckoutStatus.EXPIRED, "action_expired")

    async def _write_the_books(self) -> None:
        if self._given_up:
            raise Stopped(CheckoutStatus.CANCELED, "canceled")
        self._show("posting", "account, subscriptions and the final invoice, in one transaction")
        self._undos.append(Undo("take the sale out of the books", self._take_back))
        posted = await workflow.execute_activity_method(
            CheckoutActivities.post, self._ref(), summary="write the sale into the books", **BOOKS
        )
        if posted.problem is not None:
            raise Stopped(CheckoutStatus.REFUSED, posted.problem.kind)

    async def _take_the_money(self, quoted: Quoted) -> None:
        """Capture what is held, or charge a method that cannot be held; only now that the invoice is final."""
        if quoted.way not in (Way.AUTHORISE, Way.CHARGE_LAST):
            return
        self._show("capturing", f"{_money(quoted)} at {quoted.connection}")
        held = quoted.way is Way.AUTHORISE
        noted = await self._gateway.do(GatewayStep.CAPTURE if held else GatewayStep.CHARGE)
        if noted.standing is Standing.HELD:
            # It refuses to take what it holds: nothing else will come of asking it again.
            raise Stopped(CheckoutStatus.DECLINED, "capture_refused", noted.decline)
        if noted.standing is Standing.REQUIRES_ACTION:
            self._undos.append(Undo("give back what is held", self._gateway.release))
            noted = await self._await_the_customer(GatewayStep.CHARGE)
        if noted.standing is Standing.PROCESSING:
            noted = await self._await_the_debit()
        if noted.standing is not Standing.TAKEN:
            kind = "capture_refused" if held else "card_declined"
            if noted.standing is Standing.NOTHING and not held:
                kind = "payment_refused"
            raise Stopped(CheckoutStatus.DECLINED, kind, noted.decline)

    async def _await_the_debit(self) -> Noted:
        """A debit takes days; until it has come in or come back nothing is given, and nothing is taken back."""
        self._show("capturing", "the debit is on its way")
        while True:
            await self._wait(DEBIT_LOOK, "the debit comes in, or comes back", heed_giving_up=False)
            self._gateway.news = False
            noted = await self._gateway.ask(GatewayStep.CHARGE, 0)
            if noted.standing is not Standing.PROCESSING:
                return noted

    async def _complete(self) -> None:
        self._undos.clear()
        self._show("capturing", "the money is taken: recording it, and opening access")
        await workflow.execute_activity_method(
            CheckoutActivities.settle, self._ref(), summary="record the payment, begin access", **BOOKS
        )
        self._show("completed", "paid, and access is open")

    # --- undoing ---

    async def _undo_all(self) -> None:
        while self._undos:
            undo = self._undos.pop()
            self._show("undoing", undo.what)
            await undo.act()

    async def _take_back(self) -> None:
        await workflow.execute_activity_method(
            CheckoutActivities.take_back, self._ref(), summary="void the invoice, end what began", **BOOKS
        )

    async def _end(self, stop: Stopped) -> None:
        await workflow.execute_activity_method(
            CheckoutActivities.end,
            Ending(
                checkout_id=self._order.checkout_id,
                status=stop.status,
                kind=stop.kind,
                now=workflow.now(),
                decline=stop.decline,
            ),
            summary=f"{stop.status.value}: {stop.kind}",
            **BOOKS,
        )
        self._show(stop.status.value, stop.kind.replace("_", " "))

    def _not_secured(self, noted: Noted) -> Stopped:
        if noted.standing is Standing.NOTHING and self._given_up:
            return Stopped(CheckoutStatus.CANCELED, "canceled")
        if noted.standing is Standing.NOTHING:
            kind = self._gateway.refused_by
            status = CheckoutStatus.EXPIRED if kind == "gateway_away" else CheckoutStatus.REFUSED
            return Stopped(status, kind)
        return Stopped(CheckoutStatus.DECLINED, "card_declined", noted.decline)

    # --- waiting ---

    async def _wait(self, longest: timedelta, summary: str, *, heed_giving_up: bool = True) -> None:
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: self._gateway.news or (heed_giving_up and self._given_up),
                timeout=max(longest, timedelta()),
                timeout_summary=summary,
            )

    # --- what people see ---

    def _ref(self) -> CheckoutRef:
        return CheckoutRef(checkout_id=self._order.checkout_id, now=workflow.now())

    def _result(self, status: CheckoutStatus, kind: str | None = None) -> CheckoutResult:
        return CheckoutResult(checkout_id=self._order.checkout_id, status=status, kind=kind)

    def _show(self, status: str, what: str) -> None:
        undos = ", ".join(undo.what for undo in reversed(self._undos)) or "nothing"
        self._shown = f"**{status}** · {what}\n\nTo be undone if it fails: {undos}.\n\n{WHAT_OPS_CAN_DO}"
        workflow.upsert_search_attributes([STATUS.value_set(status)])
        workflow.set_current_details(self._shown)

    def _show_again(self) -> None:
        workflow.set_current_details(self._shown)


def _money(quoted: Quoted) -> str:
    return f"{quoted.due} minor units of {quoted.currency}"
