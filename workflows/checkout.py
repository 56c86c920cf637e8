"""A checkout: a saga from the quote to the receipt. What can be undone is noted before it is done; what nobody knows
the outcome of is found out before anything is undone.

It keeps ids, statuses and minor units. The customer's side of it is in Postgres, where pages and API read it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

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
        Fulfilled,
        GatewayStep,
        Noted,
        Paused,
        Quoted,
        Standing,
        Way,
    )
    from contracts.names import STATUS
    from workflows._at_gateway import AtGateway, pause_after
    from workflows._calls_beside import start_beside
    from workflows._checkout_ends import HistoryIsLong, Stopped, Undo
    from workflows._options import BOOKS
    from workflows._parking import Calls

# How often a debit on its way is asked for, and how soon again at most when there are news.
DEBIT_LOOK = timedelta(hours=12)
DEBIT_PAUSE = timedelta(minutes=10)
# How soon again the gateway is asked at most while the customer is at the bank.
CUSTOMER_PAUSE = timedelta(seconds=15)

# Since then the money is seen to before the books, and what was taken after all completes the sale.
MONEY_FIRST = "money-first"
# Since then a payment that was taken where it should have been held is not taken for a declined one.
TAKEN_AT_ONCE = "taken-at-once"
# Since then a checkout that waits long goes on in a run with a short history.
GOES_ON_AS_NEW = "goes-on-as-new"

# Since then a hold that is on its way is waited for.
HOLDS_TAKE_TIME = "holds-take-time"

# Since then licences and parcels are asked for.
FULFILS = "fulfils"

ENDS = frozenset(each.value for each in CheckoutStatus if each.ended)
GIVE_BACK = "give back what is held"
TAKE_BACK = "take the sale out of the books"

WHAT_OPS_CAN_DO = (
    "Signal `confirm` asks the gateway again at once. Cancelling this workflow gives up a checkout that was not "
    "charged yet: what is held is given back. Terminating it undoes nothing."
)


@workflow.defn(name=CHECKOUT_WORKFLOW)
class CheckoutWorkflow:
    """One checkout."""

    @workflow.init
    def __init__(self, order: CheckoutInput) -> None:
        self._order = order
        self._calls = Calls(resumed=self._show_again)
        self._undos: list[Undo] = []
        self._paused = order.paused
        self._given_up = order.paused is not None and order.paused.given_up
        self._posted = False
        self._gateway = AtGateway(
            self._calls,
            order.checkout_id,
            lambda: self._given_up,
            order.paused.standing if order.paused else None,
            order.paused.finds if order.paused else 0,
        )
        self._gateway.news = order.paused is not None and order.paused.news
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
        await self._handlers_are_done()
        ended = sale.result()
        if isinstance(ended, Paused):
            # What was asked and told meanwhile is not known to the next run.
            paused = ended.model_copy(update={"given_up": self._given_up, "news": self._gateway.news})
            workflow.continue_as_new(order.model_copy(update={"paused": paused}))
        return ended

    async def _handlers_are_done(self) -> None:
        while True:
            try:
                await workflow.wait_condition(workflow.all_handlers_finished)
            except asyncio.CancelledError:
                self._given_up = True
            else:
                return

    @workflow.signal(name=CONFIRM)
    def confirm(self, told: str | None = None) -> None:
        """The customer is back from the bank, or the gateway has told us something: ask it how the payment stands.
        What was told does not matter."""
        self._gateway.news = True

    # --- the story ---

    async def _sell_or_undo(self) -> CheckoutResult | Paused:
        try:
            quoted = await self._quote() if self._paused is None else self._paused.quoted
            if not self._taking_when_paused():
                await self._secure_the_money(quoted)
                await self._write_the_books()
            await self._take_the_money(quoted)
            await self._complete()
        except HistoryIsLong as long:
            return long.paused
        except Stopped as stop:
            if await self._was_taken_after_all():
                return self._result(CheckoutStatus.COMPLETED)
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
            self._undos.append(Undo(GIVE_BACK, self._release))
            step, wanted = GatewayStep.AUTHORISE, Standing.HELD
        elif quoted.way is Way.SET_UP:
            step, wanted = GatewayStep.SET_UP, Standing.READY
        else:
            return
        if self._paused is None:
            self._show("authorising", f"{_money(quoted)} at {quoted.connection}")
            noted = await self._gateway.do(step, within=self._order.authorise_within)
        else:
            noted = Noted(standing=Standing.REQUIRES_ACTION)
        if self._undecided(noted):
            noted = await self._await_the_customer(step, quoted)
        if noted.standing is Standing.TAKEN and workflow.patched(TAKEN_AT_ONCE):
            return
        if noted.standing is not wanted:
            raise self._not_secured(noted)

    async def _await_the_customer(self, step: GatewayStep, quoted: Quoted) -> Noted:
        until, looks = self._went_on(workflow.now() + self._order.action_within)
        self._show(
            "requires_action", f"the customer has to confirm the payment, until {until:%Y-%m-%d %H:%M} UTC"
        )
        while True:
            longest = self._order.looks[min(looks, len(self._order.looks) - 1)]
            await self._wait(min(longest, until - workflow.now()), "the customer confirms the payment")
            looks += 1
            # Cleared before the look: what is told while it is under way asks for another one.
            self._gateway.news = False
            asked_at = workflow.now()
            over = workflow.now() >= until
            noted = await self._gateway.ask(step, looks)
            if not self._undecided(noted):
                return noted
            if self._given_up:
                raise Stopped(CheckoutStatus.CANCELED, "canceled")
            if over:
                raise Stopped(CheckoutStatus.EXPIRED, "action_expired")
            pause = min(pause_after(looks, CUSTOMER_PAUSE), until - workflow.now())
            await self._gateway.space(asked_at, pause, lambda: self._given_up)
            self._start_anew_if_long(quoted, step, until, looks)

    def _undecided(self, noted: Noted) -> bool:
        """Whether it is not decided yet: the customer has to act, or the bank takes its time over a hold."""
        if noted.standing is Standing.PROCESSING and not self._posted:
            return workflow.patched(HOLDS_TAKE_TIME)
        return noted.standing is Standing.REQUIRES_ACTION

    async def _write_the_books(self) -> None:
        if self._given_up:
            raise Stopped(CheckoutStatus.CANCELED, "canceled")
        self._show("posting", "account, subscriptions and the final invoice, in one transaction")
        self._undos.append(Undo(TAKE_BACK, self._take_back))
        posted = await workflow.execute_activity_method(
            CheckoutActivities.post, self._ref(), summary="write the sale into the books", **BOOKS
        )
        if posted.problem is not None:
            raise Stopped(CheckoutStatus.REFUSED, posted.problem.kind)
        self._posted = True

    async def _take_the_money(self, quoted: Quoted) -> None:
        """Capture what is held, or charge a method that cannot be held; only now that the invoice is final."""
        if quoted.way not in (Way.AUTHORISE, Way.CHARGE_LAST):
            return
        if self._gateway.standing is Standing.TAKEN:
            return
        held = quoted.way is Way.AUTHORISE
        step = GatewayStep.CAPTURE if held else GatewayStep.CHARGE
        if self._paused is None:
            self._show("capturing", f"{_money(quoted)} at {quoted.connection}")
            noted = await self._gateway.do(step)
        else:
            noted = Noted(standing=self._gateway.standing or Standing.PROCESSING)
        if noted.standing is Standing.HELD:
            # It refuses to take what it holds: nothing else will come of asking it again.
            raise Stopped(CheckoutStatus.DECLINED, "capture_refused", noted.decline)
        if noted.standing is Standing.REQUIRES_ACTION:
            self._undos.append(Undo(GIVE_BACK, self._release))
            noted = await self._await_the_customer(step, quoted)
        if noted.standing is Standing.PROCESSING:
            noted = await self._await_the_debit(step, quoted)
        if noted.standing is not Standing.TAKEN:
            kind = "capture_refused" if held else "card_declined"
            if noted.standing is Standing.NOTHING and not held:
                kind = "payment_refused"
            raise Stopped(CheckoutStatus.DECLINED, kind, noted.decline)

    async def _await_the_debit(self, step: GatewayStep, quoted: Quoted) -> Noted:
        """A debit takes days; until it has come in or come back nothing is given, and nothing is taken back."""
        self._show("capturing", "the debit is on its way")
        _, looks = self._went_on(None)
        while True:
            await self._wait(DEBIT_LOOK, "the debit comes in, or comes back", heed_giving_up=False)
            self._gateway.news = False
            asked_at = workflow.now()
            noted = await self._gateway.ask(step, 0)
            looks += 1
            if noted.standing is not Standing.PROCESSING:
                return noted
            await self._gateway.space(asked_at, pause_after(looks, DEBIT_PAUSE), lambda: False)
            self._start_anew_if_long(quoted, step, None, looks)

    async def _complete(self) -> None:
        self._undos.clear()
        self._show("capturing", "the money is taken: recording it, and opening access")
        await workflow.execute_activity_method(
            CheckoutActivities.settle, self._ref(), summary="record the payment, begin access", **BOOKS
        )
        if not workflow.patched(FULFILS):
            self._show("completed", "paid, and access is open")
            return
        asked = await workflow.execute_activity_method(
            CheckoutActivities.fulfil, self._ref(), summary="ask for licences, parcels and access", **BOOKS
        )
        await start_beside(asked.calls)
        self._show("completed", f"paid, and access is open{_told(asked)}")

    # --- undoing ---

    async def _was_taken_after_all(self) -> bool:
        """The money is seen to before the books. Whoever pays may have confirmed in the moment in which it was given
        up, or a capture that was refused was made before: then the sale completes as long as it is in the books, and
        the money is given back where it is not."""
        holds = [undo for undo in self._undos if undo.what == GIVE_BACK]
        if not holds or not workflow.patched(MONEY_FIRST):
            return False
        self._show("undoing", GIVE_BACK)
        standing = await self._gateway.release()
        if standing is Standing.TAKEN and self._posted:
            await self._complete()
            return True
        if standing is Standing.TAKEN:
            self._show("undoing", "give back what was taken")
            await self._gateway.refund()
        self._undos = [undo for undo in self._undos if undo.what != GIVE_BACK]
        return False

    async def _release(self) -> None:
        await self._gateway.release()

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

    def _taking_when_paused(self) -> bool:
        """Whether the run before this one waited for the money, the sale being in the books: nothing of what comes
        before is done again."""
        if self._paused is None or self._paused.step not in (GatewayStep.CAPTURE, GatewayStep.CHARGE):
            return False
        if self._paused.quoted.way is Way.AUTHORISE:
            self._undos.append(Undo(GIVE_BACK, self._release))
        self._undos.append(Undo(TAKE_BACK, self._take_back))
        self._posted = True
        return True

    def _went_on(self, until: datetime | None) -> tuple[Any, int]:
        """Until when is waited, and how many looks there were: as the run before this one has left off, or anew."""
        paused, self._paused = self._paused, None
        return (until, 0) if paused is None else (paused.until, paused.looks)

    def _start_anew_if_long(
        self, quoted: Quoted, step: GatewayStep, until: datetime | None, looks: int
    ) -> None:
        """Raises HistoryIsLong where the history is."""
        if workflow.info().is_continue_as_new_suggested() and workflow.patched(GOES_ON_AS_NEW):
            raise HistoryIsLong(
                Paused(
                    quoted=quoted,
                    step=step,
                    until=until,
                    looks=looks,
                    finds=self._gateway.finds,
                    standing=self._gateway.standing,
                )
            )

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
        self._shown = f"**{status}** · {what}"
        if status not in ENDS:
            undos = ", ".join(undo.what for undo in reversed(self._undos)) or "nothing"
            self._shown += f"\n\nTo be undone if it fails: {undos}.\n\n{WHAT_OPS_CAN_DO}"
        workflow.upsert_search_attributes([STATUS.value_set(status)])
        workflow.set_current_details(self._shown)

    def _show_again(self) -> None:
        workflow.set_current_details(self._shown)


def _money(quoted: Quoted) -> str:
    return f"{quoted.due} minor units of {quoted.currency}"


def _told(asked: Fulfilled) -> str:
    parts = [f"`{each.method}` of {each.connection} ({each.about or each.key})" for each in asked.calls]
    if asked.unconnected:
        parts.append(f"{asked.unconnected} waiting for a connection (`masthead.yaml`)")
    return f"; asked for: {', '.join(parts)}" if parts else ""
