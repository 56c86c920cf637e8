"""Charging, capturing, refunding and voiding through Stripe's own SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

import stripe

from connectors.sdk.auth import Bearer
from connectors.sdk.bridges.stripe_http import StripeHttp
from connectors.sdk.capabilities.card_facts import CardFact, TellsOfCards
from connectors.sdk.capabilities.payment import (
    CaptureOrder,
    ChargeOrder,
    Payment,
    PaymentGateway,
    PaymentMethods,
    PaymentSetups,
    PaymentStatus,
    Refund,
    RefundOrder,
    Setup,
    SetupOrder,
    VoidOrder,
)
from connectors.sdk.capabilities.payment_facts import PaymentFact, TellsOfPayments
from connectors.sdk.capabilities.payment_history import ListsPayments
from connectors.sdk.connector import Connector
from connectors.sdk.error_table import on
from connectors.sdk.errors import Broken, ConnectorError, Rejected, Unknown
from connectors.sdk.http import Http
from connectors.sdk.idempotency import is_writing, native
from connectors.sdk.key import Key
from connectors.sdk.ports import Rate
from connectors.sdk.values import Health
from connectors.stripe import events, payments
from connectors.stripe.config import StripeConfig

T = TypeVar("T")

# Stripe prunes keys after 24 hours at the earliest.
KEYS_LAST = timedelta(hours=24)
_DECLINED = 402
_PAGE = 100
_MOST_PAGES = 30
_MOST_PAGES_OF_ALL = 2_000
# Where it is not known when a payment was made: lists are read for these days, older ones are in the search index.
_LOOK_BACK = timedelta(days=3)
_CLOCKS_DIFFER = timedelta(minutes=10)
_SENT_WITHIN = timedelta(hours=25)


class Stripe(
    Connector[StripeConfig],
    PaymentGateway,
    PaymentMethods,
    PaymentSetups,
    TellsOfPayments[StripeConfig],
    TellsOfCards[StripeConfig],
    ListsPayments,
):
    """One Stripe account. A declined card is a failed payment, and a lost answer never a second charge."""

    name = "stripe"
    title = "Stripe"
    webhooks = "stripe"
    webhook_example = (
        b'{"id":"evt_kit","object":"event","type":"payment_intent.succeeded","created":1793620800,'
        b'"data":{"object":{"id":"pi_kit","object":"payment_intent"}}}'
    )
    http = Http(
        auth=Bearer("api_key"),
        rate=Rate(80, per=1),
        errors=[
            # The first try is still going on, or another used the key at this moment: nobody knows how it ends.
            on(409, Unknown, code="error.code", message="error.message"),
            on(
                {400, 404},
                Rejected,
                code="error.code || error.type",
                message="error.message",
                fields="error.param",
            ),
            on(200, Unknown, when="error", code="error.code || error.type", message="error.message"),
        ],
    )

    @native(KEYS_LAST)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        """Create and confirm a PaymentIntent. A decline is its answer, replayed by Stripe under the same key."""
        made = await self._intent(
            lambda api: api.create_async(payments.charge_parameters(order), _under(key))
        )
        return _read(payments.payment, made)

    @native(KEYS_LAST)
    async def capture(self, order: CaptureOrder, key: Key) -> Payment:
        """Capture what is held, all of it or a part; the rest is released."""
        parameters: dict[str, Any] = {"expand": ["latest_charge"]}
        if order.amount is not None:
            parameters["amount_to_capture"] = order.amount
        made = await self._intent(lambda api: api.capture_async(order.payment, parameters, _under(key)))
        return _read(payments.payment, made)

    @native(KEYS_LAST)
    async def void(self, order: VoidOrder, key: Key) -> Payment:
        """Cancel what is held."""
        parameters: dict[str, Any] = {"expand": ["latest_charge"]}
        try:
            made = await self._intent(lambda api: api.cancel_async(order.payment, parameters, _under(key)))
        except Rejected:
            found = await self._retrieved(order.payment)
            if found.status is PaymentStatus.CANCELED:
                return found
            raise
        return _read(payments.payment, made)

    @native(KEYS_LAST)
    async def refund(self, order: RefundOrder, key: Key) -> Refund:
        """Refund a payment in whole or part."""
        parameters: Any = payments.refund_parameters(order)
        try:
            made = await self._sdk.v1.refunds.create_async(parameters, _under(key))
        except stripe.StripeError as refused:
            raise _not_as_documented(refused) from None
        return _read(payments.refund, made.to_dict())

    @native(KEYS_LAST)
    async def set_up(self, order: SetupOrder, key: Key) -> Setup:
        """Create and confirm a SetupIntent."""
        parameters: Any = payments.setup_parameters(order)
        try:
            made = await self._sdk.v1.setup_intents.create_async(parameters, _under(key))
        except stripe.CardError as declined:
            return _read(payments.setup, _declined_object(declined, "setup_intent"))
        except stripe.StripeError as odd:
            raise _not_as_documented(odd) from None
        return _read(payments.setup, made.to_dict())

    async def find_setup(self, setup: str) -> Setup | None:
        """The SetupIntent as it stands."""
        made = await self._sdk.v1.setup_intents.retrieve_async(setup, {"expand": ["payment_method"]})
        return _read(payments.setup, made.to_dict())

    async def find(self, reference: str, since: datetime | None = None) -> Payment | None:
        """The payment with our reference, by listing what was created about then; an older one by the search index."""
        now = self.context.clock.now()
        begin = (since or now - _LOOK_BACK) - _CLOCKS_DIFFER
        created = {"gte": int(begin.timestamp())}
        if since is not None:
            created["lte"] = int((since + _SENT_WITHIN).timestamp())
        try:
            found = await self._listed(reference, created)
        except Broken:
            # Too many to be listed. What the index has is there; that it has nothing proves nothing.
            found = await self._searched(reference)
            if found is None:
                raise
        if found is not None or since is not None:
            return found
        return await self._searched(reference)

    async def payments_since(self, since: datetime) -> list[Payment]:
        """Payment intents by their creation, and those of refunds by theirs."""
        created = {"gte": int((since - _CLOCKS_DIFFER).timestamp())}
        api = self._sdk.v1
        intents = await self._all(api.payment_intents, created, expand=["data.latest_charge"])
        found = {each["id"]: _read(payments.payment, each) for each in intents}
        for refund in await self._all(api.refunds, created):
            of = _read(payments.refund, refund).payment
            if of and of not in found:
                found = {of: await self._retrieved(of), **found}
        return list(found.values())

    @classmethod
    def facts(cls, config: StripeConfig, payload: Mapping[str, Any]) -> tuple[PaymentFact, ...]:
        """The facts in one event. Raises OtherAccount, and ValueError for an event that cannot be read."""
        return events.facts(payload, config.account)

    @classmethod
    def card_facts(cls, config: StripeConfig, payload: Mapping[str, Any]) -> tuple[CardFact, ...]:
        """What one event tells of a card on file. Raises as `facts`."""
        return events.card_facts(payload, config.account)

    async def health(self) -> Health:
        """Read one payment's worth of list: the key is taken and may read."""
        try:
            await self._sdk.v1.payment_intents.list_async({"limit": 1})
        except ConnectorError as error:
            return Health(ok=False, detail=error.message)
        return Health(ok=True, detail="Stripe takes the key")

    async def aclose(self) -> None:
        """Close connections."""
        await self.http.aclose()

    @cached_property
    def _sdk(self) -> stripe.StripeClient:
        # The key itself is added to each request on its way out, where it is kept out of logs and errors.
        return stripe.StripeClient(
            "added-when-sent",
            http_client=StripeHttp(self.http, passing={_DECLINED}),
            base_addresses={"api": self.http.sender.base},
            max_network_retries=0,
            stripe_account=self.config.account,
        )

    async def _intent(self, call: Any) -> Mapping[str, Any]:
        """The PaymentIntent that a call answers, a declined one as well."""
        try:
            made = await call(self._sdk.v1.payment_intents)
        except stripe.CardError as declined:
            return _declined_object(declined, "payment_intent")
        except stripe.StripeError as odd:
            raise _not_as_documented(odd) from None
        answer: Mapping[str, Any] = made.to_dict()
        return answer

    async def _retrieved(self, id: str) -> Payment:
        made = await self._sdk.v1.payment_intents.retrieve_async(id, {"expand": ["latest_charge"]})
        return _read(payments.payment, made.to_dict())

    async def _listed(self, reference: str, created: dict[str, int]) -> Payment | None:
        after: str | None = None
        for _ in range(_MOST_PAGES):
            parameters: dict[str, Any] = {
                "limit": _PAGE,
                "created": created,
                "expand": ["data.latest_charge"],
            }
            if after is not None:
                parameters["starting_after"] = after
            page = (await self._sdk.v1.payment_intents.list_async(parameters)).to_dict()  # type: ignore[arg-type]
            for intent in page["data"]:
                if (intent.get("metadata") or {}).get(payments.REFERENCE) == reference:
                    return _read(payments.payment, intent)
            if not page.get("has_more") or not page["data"]:
                return None
            after = page["data"][-1]["id"]
        raise Broken(
            f"{self.context.connection}: more than {_MOST_PAGES * _PAGE} payments were made meanwhile; "
            "look for the reference in the dashboard"
        )

    async def _all(self, listed: Any, created: dict[str, int], **more: Any) -> list[Mapping[str, Any]]:
        """Everything of a list, the oldest first."""
        found: list[Mapping[str, Any]] = []
        for _ in range(_MOST_PAGES_OF_ALL):
            after = {"starting_after": found[-1]["id"]} if found else {}
            page = (await listed.list_async({"limit": _PAGE, "created": created} | more | after)).to_dict()
            found += page["data"]
            if not page.get("has_more") or not page["data"]:
                return found[::-1]
        raise Broken(
            f"{self.context.connection}: more than {_MOST_PAGES_OF_ALL * _PAGE} were made meanwhile; "
            "they are too many to be listed"
        )

    async def _searched(self, reference: str) -> Payment | None:
        quoted = reference.replace("\\", "\\\\").replace("'", "\\'")
        query: Any = {
            "query": f"metadata['{payments.REFERENCE}']:'{quoted}'",
            "expand": ["data.latest_charge"],
        }
        page = (await self._sdk.v1.payment_intents.search_async(query)).to_dict()
        return _read(payments.payment, page["data"][0]) if page["data"] else None


def _under(key: Key) -> stripe.RequestOptions:
    return {"idempotency_key": key.within(255)}


def _declined_object(declined: stripe.CardError, name: str) -> Mapping[str, Any]:
    """The object that a declined card left behind, which the error carries."""
    body = declined.json_body if isinstance(declined.json_body, Mapping) else {}
    left = (body.get("error") or {}).get(name)
    if not isinstance(left, Mapping):
        raise _unreadable(f"a declined card without its {name}")
    return left


def _not_as_documented(odd: stripe.StripeError) -> ConnectorError:
    """A 402 where Stripe documents none, or one that a gateway made: the library's own exception may quote it."""
    if isinstance(odd, stripe.CardError):
        return Rejected("Stripe refuses it as a card's bank would", code=odd.code, status=_DECLINED)
    return _unreadable(f"an answer that its library cannot read ({type(odd).__name__})")


def _read(reader: Callable[[Mapping[str, Any]], T], answer: Mapping[str, Any]) -> T:
    """What an answer says. Raises Unknown on a write, Broken on a read, when it is not what Stripe documents."""
    try:
        return reader(answer)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        name = type(problem).__name__
    raise _unreadable(f"an answer without its usual fields ({name})")


def _unreadable(what: str) -> ConnectorError:
    kind = Unknown if is_writing() else Broken
    return kind(f"Stripe gave {what}")
