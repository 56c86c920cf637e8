"""The payment of a checkout at its gateway: done, asked for, released. It knows how the payment stands, and asks where
it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.checkout import CheckoutActivities
    from contracts.checkout import GatewayStep, Noted, Standing, StepMade, StepOrder, TakeNote, Withdraw
    from contracts.connector_call import CallOutcome, CallRef, CallStatus
    from workflows._options import BOOKS
    from workflows._parking import Calls

# What a gateway refuses for good is no matter for a person while a customer waits: the checkout ends. Of what nobody
# knows the outcome of, the gateway is asked before a person is.
DECIDED_HERE = frozenset({"rejected", "unknown"})
# What a look-up has to say for a call in doubt to be in doubt no more. That nothing is there, or that it is held still,
# proves nothing: the call may be on its way.
TELLING = {
    GatewayStep.CAPTURE: frozenset((Standing.TAKEN, Standing.GONE)),
    GatewayStep.VOID: frozenset((Standing.GONE, Standing.TAKEN, Standing.DECLINED)),
}
TELLS_OF_A_CHARGE = frozenset(Standing) - {Standing.NOTHING}
# How often the gateway is asked about a call that waits for a person, without news.
DOUBT_LOOK = timedelta(hours=1)
HELD_OR_WAITING = frozenset((Standing.HELD, Standing.REQUIRES_ACTION))

# How long after a refund that failed another one is tried.
REFUND_AGAIN = timedelta(days=1)

# Since then a call that was withdrawn is not asked for.
WITHDRAWN_IS_NOTHING = "withdrawn-is-nothing"
# Since then a void that came to nothing is looked into, for whoever pays may have been faster.
VOIDS_ARE_FOUND_OUT = "voids-are-found-out"
# Since then news do not make it ask at once, however often they come.
LOOKS_ARE_SPACED = "looks-are-spaced"


def pause_after(looks: int, longest: timedelta) -> timedelta:
    """How long nothing is asked after so many looks, whatever the news: the first follow each other quickly."""
    return min(timedelta(seconds=2 ** min(looks, 16)) / 2, longest)


class AtGateway:
    """One payment, or the setup of a method. given_up: whether nobody wants it any more.

    standing: how it stands, None while nobody has said. refused_by: why nothing came of a call. news: somebody has said
    that there is something to ask for. finds: how often it was looked up.
    """

    def __init__(
        self,
        calls: Calls,
        checkout_id: str,
        given_up: Callable[[], bool],
        standing: Standing | None = None,
        finds: int = 0,
    ) -> None:
        self.standing = standing
        self.finds = finds
        self.refused_by = "payment_refused"
        self.news = False
        self._calls = calls
        self._checkout_id = checkout_id
        self._given_up = given_up

    async def do(self, step: GatewayStep, within: timedelta | None = None) -> Noted:
        """Do `step`; where its call came to nothing that we know, what the gateway says of the payment."""
        self.refused_by = "payment_refused"
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
        if self.refused_by == "gateway_away" and workflow.patched(WITHDRAWN_IS_NOTHING):
            # Given back before it was ever sent: to ask the gateway, which is away, would only wait for it.
            self.standing = Standing.NOTHING
            return Noted(standing=Standing.NOTHING)
        return await self.find()

    async def _found_out(self, step: GatewayStep, ref: CallRef) -> Noted | None:
        """What became of a call that is parked in doubt, as the gateway tells when it is asked: at once, with news, and
        now and then. None when a person has decided before."""
        deciding = asyncio.create_task(self._calls.call(ref))
        looks = 0
        while not deciding.done():
            self.news = False
            asked_at = workflow.now()
            noted = await self.find()
            looks += 1
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
                    lambda: deciding.done() or self.news,
                    timeout=DOUBT_LOOK,
                    timeout_summary="a person decides, or the gateway tells",
                )
            await self.space(asked_at, pause_after(looks, DOUBT_LOOK), deciding.done)
        return None

    async def space(self, since: datetime, pause: timedelta, over: Callable[[], bool]) -> None:
        """Where news came within `pause` of the last look, wait for the rest of it, or until it is `over`."""
        rest = since + pause - workflow.now()
        if self.news and not over() and rest > timedelta() and workflow.patched(LOOKS_ARE_SPACED):
            with suppress(asyncio.TimeoutError):
                await workflow.wait_condition(
                    over, timeout=rest, timeout_summary="news have come; it was asked just now"
                )

    async def ask(self, step: GatewayStep, number: int) -> Noted:
        """How the payment, or the setup, stands at the gateway."""
        if step is not GatewayStep.SET_UP:
            return await self.find()
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

    async def find(self) -> Noted:
        """What the gateway has under our reference. A look-up that goes wrong is waited for: without it, nothing may be
        done or undone."""
        while True:
            self.finds += 1
            made = await self._order(GatewayStep.FIND, self.finds)
            if made.told is not None:
                self.standing = made.told.standing
                return made.told
            if made.call is None:
                return Noted(standing=Standing.NOTHING)
            if (await self._called(made.call, refusable=made.refusable)).status is CallStatus.SUCCEEDED:
                return await self._note(GatewayStep.FIND, made.call)

    async def release(self) -> Standing:
        """Void what is held, or might still be; nothing to do where the gateway never had it. How the payment stands
        then: TAKEN where whoever pays was faster, and it cannot be voided any more."""
        if self.standing is None:
            await self.find()
        if self.standing in (Standing.GONE, Standing.NOTHING):
            return self.standing
        if workflow.patched(VOIDS_ARE_FOUND_OUT):
            if self.standing is not Standing.TAKEN:
                await self._void()
            return self.standing or Standing.NOTHING
        # A declined payment could still be confirmed by whoever has its page open: it is closed, if that is possible.
        must = self.standing in HELD_OR_WAITING
        made = await self._ordered(GatewayStep.VOID, 1)
        if made is None:
            return Standing.NOTHING
        outcome = await self._called(made, refusable=not must)
        if outcome.status is CallStatus.PARKED:
            await self._withdrawn(made, found=True)
        if outcome.status is CallStatus.SUCCEEDED:
            await self._note(GatewayStep.VOID, made)
        return Standing.GONE

    async def _void(self) -> None:
        await self.do(GatewayStep.VOID)
        await self._told_of_the_void()
        if self.standing not in HELD_OR_WAITING:
            return
        # It was refused, and nothing else was told: what is held is given back all the same, and a person sees to it.
        again = await self._ordered(GatewayStep.VOID, 2)
        if again is None or await self._found_out(GatewayStep.VOID, again) is not None:
            return
        if (await self._calls.call(again)).status is CallStatus.SUCCEEDED:
            await self._note(GatewayStep.VOID, again)
            await self._told_of_the_void()
        else:
            await self.find()

    async def _told_of_the_void(self) -> None:
        """Wait until a gateway that only takes a void has told how it ended."""
        looks = 0
        while self.standing is Standing.PROCESSING:
            with suppress(asyncio.TimeoutError):
                await workflow.wait_condition(
                    lambda: self.news, timeout=DOUBT_LOOK, timeout_summary="the gateway tells of the void"
                )
            self.news = False
            asked_at = workflow.now()
            await self.find()
            looks += 1
            await self.space(asked_at, pause_after(looks, DOUBT_LOOK), lambda: False)

    async def refund(self) -> None:
        """Give back what was taken. A call that goes wrong is waited for; where the bank sends a refund back, another
        one is tried."""
        number = 1
        while True:
            ref = await self._ordered(GatewayStep.REFUND, number)
            if ref is None or (await self._called(ref)).status is not CallStatus.SUCCEEDED:
                return  # a person has decided that it is not to be
            if (await self._note(GatewayStep.REFUND, ref)).standing is not Standing.TAKEN:
                return
            number += 1
            await workflow.sleep(REFUND_AGAIN, summary="the refund came back; another is tried")

    async def _ordered(self, step: GatewayStep, number: int) -> CallRef | None:
        return (await self._order(step, number)).call

    async def _order(self, step: GatewayStep, number: int) -> StepMade:
        order = StepOrder(checkout_id=self._checkout_id, step=step, number=number)
        made: StepMade = await workflow.execute_activity_method(
            CheckoutActivities.order, order, summary=f"note that it will be done: {step.value}", **BOOKS
        )
        return made

    async def _note(self, step: GatewayStep, ref: CallRef) -> Noted:
        order = TakeNote(checkout_id=self._checkout_id, step=step, call_id=ref.call_id)
        noted = await workflow.execute_activity_method(
            CheckoutActivities.note, order, summary=f"how it stands after: {step.value}", **BOOKS
        )
        self.standing = noted.standing
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
                self.refused_by = "gateway_away"
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
                lambda: calling.done() or self._given_up(),
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
