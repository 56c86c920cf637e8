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
        StepOrder,
        TakeNote,
        Way,
        Withdraw,
    )
    from contracts.connector_call import CallOutcome, CallRef, CallStatus
    from contracts.names import STATUS
    from workflows._options import BOOKS
    from workflows._parking import Calls

# What a gateway refuses for good is no matter for a person while a customer waits: the checkout ends. Of what nobody
# knows the outcome of, the gateway is asked before a person is.
DECIDED_HERE = frozenset({"rejected", "unknown"})
# What a look-up has to say for a call in doubt to be in doubt no more. That nothing is there, or that it is held still,
# proves nothing: the call may be on its way.
TELLING = {
    GatewayStep.CAPTURE: frozenset((Standing.TAKEN, Standing.GONE)),
    GatewayStep.VOID: frozenset((Standing.GONE,)),
}
TELLS_OF_A_CHARGE = frozenset(Standing) - {Standing.NOTHING}
# How often the gateway is asked about a call that waits for a person, without news.
DOUBT_LOOK = timedelta(hours=1)
HELD_OR_WAITING = frozenset((Standing.HELD, Standing.REQUIRES_ACTION))
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
        self._standing: Standing | None = None  # nobody has said anything of it
        self._finds = 0
        self._refused_by = "payment_refused"
        self._news = False
        self._given_up = False
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
        self._news = True

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
            self._undos.append(Undo("give back what is held", self._release))
            step, wanted = GatewayStep.AUTHORISE, Standing.HELD
        elif quoted.way is Way.SET_UP:
            step, wanted = GatewayStep.SET_UP, Standing.READY
        else:
            return
        self._show("authorising", f"{_money(quoted)} at {quoted.connection}")
        noted = await self._at_the_gateway(step, within=self._order.authorise_within)
        if noted.standing is Standing.REQUIRES_ACTION:
            noted = await self._await_the_customer(step)
        if noted.standing is not wanted:
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
            self._news = False
            over = workflow.now() >= until
            noted = await self._ask(step, looks)
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
        noted = await self._at_the_gateway(GatewayStep.CAPTURE if held else GatewayStep.CHARGE)
        if noted.standing is Standing.HELD:
            # It refuses to take what it holds: nothing else will come of asking it again.
            raise Stopped(CheckoutStatus.DECLINED, "capture_refused", noted.decline)
        if noted.standing is Standing.REQUIRES_ACTION:
            self._undos.append(Undo("give back what is held", self._release))
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
            self._news = False
            noted = await self._ask(GatewayStep.CHARGE, 0)
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

    async def _release(self) -> None:
        """Void what is held, or might still be. Nothing to do where the gateway never had it."""
        if self._standing is None:
            await self._find()
        if self._standing in (Standing.GONE, Standing.NOTHING):
            return
        # A declined payment could still be confirmed by whoever has its page open: it is closed, if that is possible.
        must = self._standing in HELD_OR_WAITING
        made = await self._ordered(GatewayStep.VOID, 1)
        if made is None:
            return
        outcome = await self._called(made, refusable=not must)
        if outcome.status is CallStatus.PARKED:
            await self._withdrawn(made, found=True)
        if outcome.status is CallStatus.SUCCEEDED:
            await self._note(GatewayStep.VOID, made)

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
            kind = self._refused_by
            status = CheckoutStatus.EXPIRED if kind == "gateway_away" else CheckoutStatus.REFUSED
            return Stopped(status, kind)
        return Stopped(CheckoutStatus.DECLINED, "card_declined", noted.decline)

    # --- the gateway ---

    async def _at_the_gateway(self, step: GatewayStep, within: timedelta | None = None) -> Noted:
        """Do `step`; where its call came to nothing that we know, what the gateway says of the payment."""
        self._refused_by = "payment_refused"
        ref = await self._ordered(step, 1)
        if ref is None:
            return Noted(standing=Standing.NOTHING)
        outcome = await self._called(ref, refusable=True, within=within)
        if not outcome.status.settled and step is not GatewayStep.SET_UP:
            noted = await self._found_out(step, ref)
            if noted is not None:
                return noted
        if not outcome.status.settled:
            outcome = await self._calls.call(ref)
        if outcome.status is CallStatus.SUCCEEDED:
            return await self._note(step, ref)
        if step is GatewayStep.SET_UP:
            return Noted(standing=Standing.NOTHING)
        return await self._find()

    async def _found_out(self, step: GatewayStep, ref: CallRef) -> Noted | None:
        """What became of a call that is parked in doubt, as the gateway tells when it is asked: at once, with news, and
        now and then. None when a person has decided before."""
        deciding = asyncio.create_task(self._calls.call(ref))
        while not deciding.done():
            self._news = False
            noted = await self._find()
            if noted.standing in TELLING.get(step, TELLS_OF_A_CHARGE) and not deciding.done():
                await self._withdrawn(ref, found=True)
                deciding.cancel()
                with suppress(asyncio.CancelledError):
                    await deciding
                # It sees that the call is settled, and shows nothing of it as parked any more.
                await self._calls.call(ref)
                return noted
            with suppress(asyncio.TimeoutError):
                await workflow.wait_condition(
                    lambda: deciding.done() or self._news,
                    timeout=DOUBT_LOOK,
                    timeout_summary="a person decides, or the gateway tells",
                )
        return None

    async def _ask(self, step: GatewayStep, number: int) -> Noted:
        """How the payment, or the setup, stands at the gateway."""
        if step is not GatewayStep.SET_UP:
            return await self._find()
        ref = await self._ordered(GatewayStep.FIND_SETUP, number)
        if ref is not None and (await self._called(ref)).status is CallStatus.SUCCEEDED:
            noted = await self._note(GatewayStep.FIND_SETUP, ref)
            if noted.standing is not Standing.NOTHING:
                return noted
        again = await self._ordered(GatewayStep.SET_UP, number + 1)
        if again is None:
            return Noted(standing=Standing.NOTHING)
        outcome = await self._called(again, refusable=True)
        if not outcome.status.settled:
            outcome = await self._calls.call(again)
        if outcome.status is not CallStatus.SUCCEEDED:
            return Noted(standing=Standing.NOTHING)
        return await self._note(GatewayStep.SET_UP, again)

    async def _find(self) -> Noted:
        """What the gateway has under our reference. A look-up that goes wrong is waited for: without it, nothing may be
        done or undone."""
        while True:
            self._finds += 1
            ref = await self._ordered(GatewayStep.FIND, self._finds)
            if ref is None:
                return Noted(standing=Standing.NOTHING)
            if (await self._called(ref)).status is CallStatus.SUCCEEDED:
                return await self._note(GatewayStep.FIND, ref)

    async def _ordered(self, step: GatewayStep, number: int) -> CallRef | None:
        order = StepOrder(checkout_id=self._order.checkout_id, step=step, number=number)
        made = await workflow.execute_activity_method(
            CheckoutActivities.order, order, summary=f"note that it will be done: {step.value}", **BOOKS
        )
        return made.call

    async def _note(self, step: GatewayStep, ref: CallRef) -> Noted:
        order = TakeNote(checkout_id=self._order.checkout_id, step=step, call_id=ref.call_id)
        noted = await workflow.execute_activity_method(
            CheckoutActivities.note, order, summary=f"how it stands after: {step.value}", **BOOKS
        )
        self._standing = noted.standing
        return noted

    async def _called(
        self, ref: CallRef, *, refusable: bool = False, within: timedelta | None = None
    ) -> CallOutcome:
        """Make the call. refusable: a refusal for good is an answer, no work for a person, and one that is parked in
        doubt is given back for the gateway to be asked. within: for how long it may come to nothing; one in doubt is
        found out, however long that takes."""
        given_back = DECIDED_HERE if refusable else frozenset[str]()
        calling = asyncio.create_task(self._calls.call(ref, given_back=given_back))
        if within is not None:
            await self._wait_for(calling, within)
        if within is not None and not calling.done():
            withdrawn = await self._withdrawn(ref)
            if withdrawn.status.settled:
                self._refused_by = "gateway_away"
                calling.cancel()
                with suppress(asyncio.CancelledError):
                    await calling
                # It sees that the call is settled, and shows nothing of it as parked any more.
                return await self._calls.call(ref)
        outcome = await calling
        return await self._withdrawn(ref) if outcome.status is CallStatus.PARKED else outcome

    async def _wait_for(self, calling: asyncio.Task[CallOutcome], within: timedelta) -> None:
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: calling.done() or self._given_up,
                timeout=within,
                timeout_summary="the gateway answers",
            )

    async def _withdrawn(self, ref: CallRef, *, found: bool = False) -> CallOutcome:
        return await workflow.execute_activity_method(
            CheckoutActivities.withdraw,
            Withdraw(call_id=ref.call_id, found=found),
            summary="the gateway has told what became of it" if found else "give the call up",
            **BOOKS,
        )

    async def _wait(self, longest: timedelta, summary: str, *, heed_giving_up: bool = True) -> None:
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: self._news or (heed_giving_up and self._given_up),
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
