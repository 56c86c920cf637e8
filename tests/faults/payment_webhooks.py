"""The gateways' webhooks in a seed: what the stand-ins have to tell, signed, verified, stored in the inbox and applied
as the endpoint and the dispatcher do, in the drawn order, twice, late or at the very end."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import Engine

from connectors.adyen.config import AdyenConfig
from connectors.adyen.connector import Adyen
from connectors.sdk.config import Config, Secret
from connectors.sdk.webhooks.shelf import bundled_recipes
from connectors.sdk.webhooks.sign import sign
from connectors.sdk.webhooks.values import Delivery, Verdict, WebhookRequest
from connectors.sdk.webhooks.verify import verify
from connectors.stripe.config import StripeConfig
from connectors.stripe.connector import Stripe
from operations.tariffs import Tariffs
from operations.webhooks_in.apply import apply_batch
from operations.webhooks_in.handlers import Signal, WebhookHandlers
from runtime.gateway_webhooks import checked
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.stand_in import StandIn
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import transaction
from storage.inbound_endpoints import InboundEndpoint
from storage.webhook_inbox import STORE_ONE, Chosen, replay
from tests.faults.payment_draw import Told
from tests.operations.webhooks_in.inbox import make_endpoint

EVERY_SECONDS = 0.03
PASSING = 200  # transactions in a row that met another before it is taken for an error
SECRETS = {
    "stripe": "whsec_seeds",
    "adyen": "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
}


class Post:
    """Delivers what the stand-ins `gateways` (by connection) have to tell, as `told` says. `wake` is given what
    workflows are to be told."""

    def __init__(
        self,
        engine: Engine,
        url: str,
        gateways: Mapping[str, StandIn],
        told: Told,
        seed: int,
        wake: Callable[[Sequence[Signal]], None] = lambda _: None,
    ) -> None:
        self.delivered = 0
        self._engine = engine
        self._gateways = gateways
        self._told = told
        self._chance = random.Random(seed)
        self._wake = wake
        self._seen: dict[str, int] = dict.fromkeys(gateways, 0)
        self._kept: list[tuple[str, Delivery]] = []
        self._handlers = WebhookHandlers()
        self._endpoints: dict[str, InboundEndpoint] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._prompt, name="webhooks", daemon=True)
        self._failed: Exception | None = None
        for name, gateway in gateways.items():
            self._endpoints[name] = make_endpoint(url, name)
            reader: Any = Stripe if gateway.system == "stripe" else Adyen
            handler = checked(reader, _config(gateway.system), Tariffs(engine))
            self._handlers.register_for(name, "live", "*", handler)

    def __enter__(self) -> Self:
        """Deliver beside the block, where they are prompt."""
        if self._told.when == "prompt":
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._failed is not None and error is None:
            raise self._failed

    def between(self) -> None:
        """A round is over."""
        if self._told.when == "between":
            self._some()

    def rest(self) -> bool:
        """Deliver all that was not yet delivered, and what could not be applied once more; whether there was any."""
        before = self.delivered
        self._put([*self._news(), *self._kept])
        self._kept = []
        with transaction(self._engine) as connection:
            rested = connection.execute(
                "update webhook_delivery set retry_at = null where status = 'new' and retry_at is not null"
            )
        self._apply()
        return self.delivered > before or rested.rowcount > 0

    def again(self) -> None:
        """Apply all once more, where that was drawn."""
        if self._told.replayed:
            with transaction(self._engine) as connection:
                for name in self._endpoints:
                    replay(connection, Chosen(connection=name))
            self._apply()

    def _prompt(self) -> None:
        try:
            while not self._over.wait(EVERY_SECONDS):
                self._some()
        except Exception as error:
            self._failed = error

    def _some(self) -> None:
        news = self._news()
        late = [self._chance.randrange(100) < self._told.late for _ in news]
        self._kept += [each for each, kept in zip(news, late, strict=True) if kept]
        if news:
            self._put([each for each, kept in zip(news, late, strict=True) if not kept])
            self._apply()

    def _news(self) -> list[tuple[str, Delivery]]:
        found = []
        for name, gateway in self._gateways.items():
            gateway.catch_up()  # type: ignore[attr-defined]
            bodies = _bodies(gateway)[self._seen[name] :]
            self._seen[name] += len(bodies)
            found += [(name, each) for body in bodies for each in _verified(gateway, body)]
        return found

    def _put(self, news: Sequence[tuple[str, Delivery]]) -> None:
        copies = list(news) * self._told.copies
        if self._told.order == "reversed":
            copies.reverse()
        elif self._told.order == "shuffled":
            self._chance.shuffle(copies)
        for name, each in copies:
            with transaction(self._engine) as connection:
                connection.execute(
                    STORE_ONE.encode(),
                    (self._endpoints[name].id, each.key, each.kind, each.object_key, each.occurred_at, Jsonb({}),
                     each.body),
                )  # fmt: skip
        self.delivered += len(copies)

    def _apply(self) -> None:
        for endpoint in self._endpoints.values():
            met = 0
            while True:
                try:
                    applied = apply_batch(self._engine, endpoint, self._handlers, limit=self._told.piece)
                except psycopg.OperationalError:
                    met += 1
                    if met > PASSING:
                        raise
                    continue
                met = 0
                self._wake(applied.signals)
                if not applied.taken:
                    break


def _bodies(gateway: StandIn) -> list[bytes]:
    if isinstance(gateway, StripeStandIn):
        return [json.dumps(each).encode() for each in list(gateway.objects["event"].values())]
    assert isinstance(gateway, AdyenStandIn)
    return [
        json.dumps({"notificationItems": [{"NotificationRequestItem": told.item}]}).encode()
        for told in list(gateway.told)
    ]


def _verified(gateway: StandIn, body: bytes) -> tuple[Delivery, ...]:
    now = datetime.now(UTC)
    recipe, secret = bundled_recipes()[gateway.system], SECRETS[gateway.system]
    request = sign(
        recipe, WebhookRequest("POST", "https://hub.example.com/webhooks/in", {}, body), secret, now
    )
    verdict = verify(recipe, request, [secret], now)
    assert isinstance(verdict, Verdict), verdict
    return verdict.deliveries


def _config(system: str) -> Config:
    if system == "stripe":
        return StripeConfig(api_key=Secret("env:KEY"))
    return AdyenConfig(api_key=Secret("env:KEY"), merchant_account="MastheadSandbox")
