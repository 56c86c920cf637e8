"""Charging, capturing, refunding and voiding at Adyen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from connectors.adyen import notifications, payments
from connectors.adyen.config import AdyenConfig, address_of
from connectors.sdk.auth import ApiKey
from connectors.sdk.capabilities.card_facts import CardFact, TellsOfCards
from connectors.sdk.capabilities.payment import (
    ActionResult,
    CaptureOrder,
    ChargeOrder,
    Payment,
    PaymentActions,
    PaymentGateway,
    PaymentMethods,
    Refund,
    RefundOrder,
    Setup,
    SetupOrder,
    VoidOrder,
)
from connectors.sdk.capabilities.payment_facts import PaymentFact, TellsOfPayments
from connectors.sdk.connector import Connector
from connectors.sdk.error_table import on
from connectors.sdk.errors import Broken, ConnectorError, Rejected, Unknown
from connectors.sdk.http import Http
from connectors.sdk.idempotency import native
from connectors.sdk.key import Key
from connectors.sdk.ports import Rate
from connectors.sdk.values import Health

T = TypeVar("T")

# Adyen promises seven days at least; it often keeps them for a month.
KEYS_LAST = timedelta(days=7)
_NO_LOOK_UP = (
    "Adyen has no list of payments: send the charge again with the same key within seven days, wait for its "
    "AUTHORISATION notification, or look for the reference in the Customer Area"
)


class Adyen(
    Connector[AdyenConfig],
    PaymentGateway,
    PaymentMethods,
    PaymentActions,
    TellsOfPayments[AdyenConfig],
    TellsOfCards[AdyenConfig],
):
    """One merchant account. A refusal is a failed payment, and a lost answer never a second charge."""

    name = "adyen"
    title = "Adyen"
    webhooks = "adyen"
    webhook_example = notifications.EXAMPLE
    answers_later = frozenset({"capture", "void", "refund"})
    cannot_answer: ClassVar[Mapping[str, str]] = {"find": _NO_LOOK_UP}
    sandbox_order: ClassVar[Mapping[str, str]] = {
        "customer": "shopper-kit",
        "method": "stored_visa",
        "declined_method": "stored_refused",
        "action_method": "stored_redirect",
    }
    http = Http(
        base=lambda connector: address_of(connector.config, connector.context.mode),
        auth=ApiKey("api_key", header="X-API-Key"),
        rate=Rate(50, per=1),
        key_header="Idempotency-Key",
        key_length=64,
        errors=[
            # The first try is still going on: nobody knows how it ends.
            on({409, 422}, Unknown, when="errorCode == '704'", code="errorCode", message="message"),
            on(403, Rejected, code="errorCode", message="message", blame="configuration"),
            on({400, 404, 422}, Rejected, code="errorCode", message="message"),
            on({200, 201}, Unknown, when="errorType", code="errorCode", message="message"),
        ],
    )

    @classmethod
    def sandbox_config(cls, url: str) -> dict[str, Any]:
        """The stand-in's merchant account."""
        return {**super().sandbox_config(url), "merchant_account": "MastheadSandbox"}

    @native(KEYS_LAST)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        """Charge a stored card, or hold the amount. A capture that Adyen makes by itself may still fail later."""
        answer = await self.http.post(
            "/payments",
            json=payments.charge_request(order, self.config),
            key=key,
            into=payments.PaymentAnswer,
        )
        return _read(lambda: payments.payment(answer, order))

    @native(KEYS_LAST)
    async def complete(self, order: ActionResult, key: Key) -> Payment:
        """Hand in the `redirectResult` with which the customer came back."""
        answer = await self.http.post(
            "/payments/details",
            json={"details": {"redirectResult": order.result}},
            key=key,
            into=payments.PaymentAnswer,
        )
        return _read(lambda: payments.completed(answer, order))

    @native(KEYS_LAST)
    async def capture(self, order: CaptureOrder, key: Key) -> Payment:
        """Ask for what is held, all of it or a part: in flight until a notification tells how it ended."""
        await self._modify("captures", order.payment, payments.capture_request(order, self.config), key)
        return payments.in_flight(payments.known(order))

    @native(KEYS_LAST)
    async def void(self, order: VoidOrder, key: Key) -> Payment:
        """Ask for the release of what is held: in flight until a notification tells how it ended. What Adyen has no
        pspReference of, because it waits for the customer, is canceled by our reference."""
        if not order.payment:
            return await self._void_by_reference(order, key)
        await self._modify("cancels", order.payment, payments.cancel_request(order, self.config), key)
        return payments.in_flight(payments.known(order))

    @native(KEYS_LAST)
    async def refund(self, order: RefundOrder, key: Key) -> Refund:
        """Ask for a refund in whole or part: pending until a notification tells how it ended, also one of too much."""
        taken = await self._modify("refunds", order.payment, payments.refund_request(order, self.config), key)
        return payments.refund(taken, order)

    @native(KEYS_LAST)
    async def set_up(self, order: SetupOrder, key: Key) -> Setup:
        """Verify a stored card for later charges, with an amount of nothing."""
        answer = await self.http.post(
            "/payments",
            json=payments.setup_request(order, self.config),
            key=key,
            into=payments.PaymentAnswer,
        )
        return _read(lambda: payments.setup(answer, order))

    async def find(self, reference: str, since: datetime | None = None) -> Payment | None:
        """Nothing to ask. Raises Broken always: "there is none" would be a guess, and a second charge its price."""
        raise Broken(_NO_LOOK_UP, code="no_look_up")

    async def health(self) -> Health:
        """Read the stored cards of a shopper who has none: the key is taken, and for this merchant account."""
        params = {"merchantAccount": self.config.merchant_account, "shopperReference": "masthead-health"}
        try:
            await self.http.get("/storedPaymentMethods", params=params)
        except ConnectorError as error:
            return Health(ok=False, detail=error.message)
        return Health(ok=True, detail=f"Adyen takes the key for {self.config.merchant_account}")

    @classmethod
    def facts(cls, config: AdyenConfig, payload: Mapping[str, Any]) -> tuple[PaymentFact, ...]:
        """The fact in one notification item. Raises OtherAccount, and ValueError for an item that cannot be read."""
        return notifications.facts(payload, config.merchant_account)

    @classmethod
    def card_facts(cls, config: AdyenConfig, payload: Mapping[str, Any]) -> tuple[CardFact, ...]:
        """What one notification item tells of a card on file. Raises as `facts`."""
        return notifications.card_facts(payload, config.merchant_account)

    async def _void_by_reference(self, order: VoidOrder, key: Key) -> Payment:
        request = payments.technical_cancel_request(order, self.config)
        taken = await self.http.post("/cancels", json=request, key=key, into=payments.TakenByReference)
        if taken.status != "received" or taken.paymentReference != request["paymentReference"]:
            raise Unknown("Adyen answered the cancel of another payment, or not that it was received")
        return payments.in_flight(payments.known(order))

    async def _modify(self, what: str, payment: str, request: dict[str, Any], key: Key) -> payments.Taken:
        taken = await self.http.post(
            f"/payments/{{payment}}/{what}",
            path={"payment": payment},
            json=request,
            key=key,
            into=payments.Taken,
        )
        if taken.status != "received" or taken.paymentPspReference != payment:
            raise Unknown(f"Adyen answered the {what} of another payment, or not that it was received")
        return taken


def _read(reader: Callable[[], T]) -> T:
    """What an answer says. Raises Unknown when it is not what was asked for: it may have been carried out."""
    try:
        return reader()
    except ValueError as odd:
        problem = "it is no payment" if hasattr(odd, "errors") else str(odd)
    raise Unknown(f"Adyen gave an answer that cannot be used: {problem}")
