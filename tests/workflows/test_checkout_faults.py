"""Every call of a checkout to the gateway meets every fault that the gateway may commit, once each. The checkouts of a
call go through side by side; afterwards the gateway's own count and the books tell what was done."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from activities import errors
from connectors.sdk import resolution
from connectors.stripe.connector import Stripe
from contracts.checkout import CheckoutStatus, GatewayStep
from contracts.parked import Action, Resolve
from operations.checkout.begin import Order
from sandbox.faults import FAULTS
from sandbox.stripe.stand_in import StripeStandIn
from tests.workflows.deciding import decide
from tests.workflows.hasty import TakesAtOnce
from tests.workflows.selling import ACCOUNT, BACK, Shop, open_account, order
from workflows.checkout_starts import CheckoutHandle

S = CheckoutStatus
STUCK = "stuck"
RETRY = Resolve(action=Action.RETRY, actor="ops", reason="the gateway is well again")
# A key that is taken away takes all calls with it, the others' too.
ALONE = "unauthorized_forever"
PATIENCE: dict[str, Any] = {
    "action_within": timedelta(seconds=0.5),
    "authorise_within": timedelta(seconds=10),
    "looks": (timedelta(seconds=5),),
}
ASKED = "select count(*) from connector_call where method = 'payment.find' and status = 'succeeded'"
LAST = {"method": "pm_card_visa", "return_url": BACK, "charge": "last"}


@pytest.fixture(autouse=True)
def _shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong is tried again after moments, not after minutes."""
    moments = tuple(timedelta(seconds=seconds) for seconds in (0.2, 0.5, 1, 2, 5))
    monkeypatch.setattr(errors, "PAUSES", moments)
    monkeypatch.setattr(resolution, "PAUSES", moments)


@dataclass(frozen=True)
class Call:
    """A call to the gateway. usual: how a checkout ends whatever happened to the call; refused: how one that the
    gateway refuses; locked_out: how one that it takes no key of. too_soon: the gateway takes what it should hold, of a
    sale that the books refuse then."""

    method: str
    path: str
    order: Order
    usual: CheckoutStatus
    refused: CheckoutStatus | str
    locked_out: CheckoutStatus | str = STUCK
    too_soon: bool = False

    @property
    def connector(self) -> type[Stripe]:
        """Who speaks to the gateway."""
        return TakesAtOnce if self.too_soon else Stripe

    def asked(self, fault: str) -> Order:
        """What is asked of the shop where the call will meet the fault."""
        return order(opens=ACCOUNT | {"external_key": fault}) if self.too_soon else self.order


CALLS = {
    "authorise": Call("POST", "/v1/payment_intents", order(), S.COMPLETED, S.REFUSED, S.EXPIRED),
    "capture": Call("POST", "/v1/payment_intents/*/capture", order(), S.COMPLETED, S.DECLINED),
    "charge": Call("POST", "/v1/payment_intents", order(payment=LAST), S.COMPLETED, S.DECLINED),
    "set_up": Call("POST", "/v1/setup_intents", order("digital-trial"), S.COMPLETED, S.REFUSED, S.EXPIRED),
    "find": Call("GET", "/v1/payment_intents", order(card="threeDSecure2Required"), S.EXPIRED, STUCK),
    "void": Call(
        "POST", "/v1/payment_intents/*/cancel", order(card="threeDSecure2Required"), S.EXPIRED, S.EXPIRED
    ),
    "find_setup": Call(
        "GET",
        "/v1/setup_intents/*",
        order("digital-trial", card="authenticationRequired"),
        S.EXPIRED,
        STUCK,
    ),
    "refund": Call("POST", "/v1/refunds", order(), S.REFUSED, STUCK, too_soon=True),
}
MATRIX = tuple(fault for fault in FAULTS if fault != ALONE)
# Of the calls that fewer checkouts make, make test plays these.
SAMPLE = ("drop_after", "html", "rejected", "unauthorized_once")
SELDOM = ("charge", "set_up", "find", "find_setup", "void", "refund")


def test_each_step_at_the_gateway_is_played() -> None:
    assert set(CALLS) == {step.value for step in GatewayStep}


def expected(call: Call, fault: str) -> CheckoutStatus | str:
    """How a checkout ends whose call meets the fault; or that it is stuck until a person says so."""
    special = {"rejected": call.refused, "unauthorized_once": call.locked_out}
    if call.method == "GET":
        # An answer to a question that cannot be read is drift: a person looks at it.
        special |= {"html": STUCK, "truncated_json": STUCK}
    return special.get(fault, call.usual)


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        *((name, MATRIX) for name in CALLS if name not in SELDOM),
        *((name, SAMPLE) for name in SELDOM),
        *(
            pytest.param(name, tuple(each for each in MATRIX if each not in SAMPLE), marks=pytest.mark.deep)
            for name in SELDOM
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} faults",
)
async def test_each_fault_of_a_call(shop: Shop, name: str, faults: tuple[str, ...]) -> None:
    call = CALLS[name]
    shop.connector = call.connector

    async def somebody_else_opens_it(*_: object) -> None:
        if call.too_soon:
            open_account(shop.engine, shop.uses)

    shop.taxes = somebody_else_opens_it
    with ExitStack() as gateways:
        handles = {}
        for fault in faults:
            # A gateway for each: a fault is met by its own checkout, beside all others.
            gateway = shop.gateways[fault] = gateways.enter_context(StripeStandIn())
            shop.uses = fault
            gateway.inject(fault, method=call.method, path=call.path, after=1, seconds=3.0)
            handle = handles[fault] = await shop.start(call.asked(fault), **PATIENCE)
            own = handle.id.partition("/")[2]
            await shop.until("its quote names its gateway", lambda own=own: shop.row(own).connection)
        await _check_ends(shop, name, call, handles)
        assert [fault for fault in handles if shop.gateways[fault].faults.waiting()] == []


async def _check_ends(shop: Shop, name: str, call: Call, handles: dict[str, CheckoutHandle]) -> None:
    ends: dict[str, CheckoutStatus | str] = {}
    for fault, handle in handles.items():
        wanted = expected(call, fault)
        if wanted == STUCK:
            own = handle.id.partition("/")[2]
            await shop.until(f"{name}, {fault}: is stuck", lambda own=own: shop.row(own).park_id)
            assert shop.row(own).ended_at is None
            await decide(handle, RETRY)
            ends[fault] = STUCK
            assert (await handle.result()).status is call.usual, fault
        else:
            ends[fault] = (await handle.result()).status
    assert ends == {fault: expected(call, fault) for fault in handles}


async def test_a_gateway_that_takes_no_key_any_more(shop: Shop) -> None:
    shop.gateway.inject(ALONE, method="POST")
    result, row = await shop.sell(order(), **PATIENCE | {"authorise_within": timedelta(seconds=1)})
    assert (result.status, result.kind) == (S.EXPIRED, "gateway_away")
    # Nobody sends it once the key is good again.
    assert shop.rows("select status, first_sent_at from connector_call where method = 'payment.charge'") == [
        ("failed", None)
    ]
    assert row.park_id is None


async def test_a_gateway_that_is_not_there(shop: Shop) -> None:
    shop.gateway.inject("drop_before", times=None, method="POST")
    shop.gateway.inject("drop_before", times=None)
    handle = await shop.start(order(), **PATIENCE | {"authorise_within": timedelta(seconds=1)})
    own = handle.id.partition("/")[2]
    sent = "select count(*) from connector_call where attempts > 1"
    await shop.until("it is tried again, for nobody knows", lambda: shop.rows(sent) == [(1,)])
    # It may have been applied: nothing is given up before that is known.
    assert shop.row(own).ended_at is None
    shop.gateway.faults.clear()
    assert (await handle.result()).status is S.COMPLETED


async def test_an_unknown_capture_is_found_out_before_anything_is_undone(shop: Shop) -> None:
    """The gateway has taken the money, its answer was lost, and the second try was refused: asked, it tells."""
    shop.gateway.inject("drop_after", path="/v1/payment_intents/*/capture")
    shop.gateway.inject("rejected", path="/v1/payment_intents/*/capture")
    result, row = await shop.sell(order())
    assert (result.status, row.status) == (S.COMPLETED, "completed")
    assert shop.gateway.count("charge") == 1
    assert shop.rows("select status from connector_call where method = 'payment.capture'") == [("skipped",)]
    assert shop.rows("select resolution from parked") == [("found",)]


async def test_an_unknown_hold_that_cannot_be_found_waits_for_a_person(shop: Shop) -> None:
    shop.gateway.inject("drop_before", path="/v1/payment_intents", method="POST")
    shop.gateway.inject("rejected", path="/v1/payment_intents", method="POST")
    handle = await shop.start(order(), **PATIENCE)
    own = handle.id.partition("/")[2]
    await shop.until("it is stuck", lambda: shop.row(own).park_id)
    await shop.until("the gateway was asked", lambda: shop.rows(ASKED) == [(1,)])
    assert shop.row(own).ended_at is None
    failed = Resolve(action=Action.FAIL, actor="ops", reason="the gateway has nothing of that reference")
    await decide(handle, failed)
    assert (await handle.result()).status is S.REFUSED


async def test_a_void_that_is_refused_again_and_again_waits_for_a_person(shop: Shop) -> None:
    shop.gateway.inject("rejected", path="/v1/payment_intents/*/cancel", times=None)
    handle = await shop.start(order(card="threeDSecure2Required"), **PATIENCE)
    own = handle.id.partition("/")[2]
    voids = "select count(*) from connector_call where method = 'payment.void'"
    await shop.until("a second one was refused", lambda: shop.rows(voids) == [(2,)] and shop.row(own).park_id)
    assert shop.row(own).ended_at is None
    shop.gateway.faults.clear()
    await decide(handle, RETRY)
    assert (await handle.result()).status is S.EXPIRED
    assert shop.gateway.count("void") == 1
