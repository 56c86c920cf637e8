"""One portal: what it holds, who may call it, and whom it tells of changes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sandbox.calls import Answer, Call, json_answer
from sandbox.faults import Fault
from sandbox.hubspot.associations import Associations
from sandbox.hubspot.batches import Batches
from sandbox.hubspot.errors import BY_KIND, Problem, rate_limited
from sandbox.hubspot.events import Events, Subscription, body_of, signature_headers
from sandbox.hubspot.faults import DAILY_LIMIT, EXPIRED_TOKEN, HubSpotFault
from sandbox.hubspot.properties import Properties, Property, kind_named
from sandbox.hubspot.quota import TEN_SECONDS, Quota
from sandbox.hubspot.records import Record, Records
from sandbox.hubspot.tokens import Tokens
from sandbox.stand_in import StandIn
from sandbox.webhooks import send

_OPEN = "/oauth/v1/"  # the token itself is what these calls know their caller by
_MOST_EVENTS = 100


class Portal(StandIn):
    """State, authorisation, quota and webhooks; the routes are in the classes beside it.

    `access_token` is a private app's, which never expires; `refresh_token` starts OAuth. Effects: "contact", "company",
    "deal", "product", "line_item" once per object made, keyed by the id property's value that made it (else its first
    unique value, else its id); "<kind>_update" per call that changed values, "<kind>_deletion"; "token_refresh".
    """

    fault_type: ClassVar[type[Fault]] = HubSpotFault

    def __init__(
        self,
        *,
        access_token: str = "pat-sandbox",  # noqa: S107 - a stand-in's, known to all
        client_id: str = "client-id",
        client_secret: str = "client-secret",  # noqa: S107
        token_ttl: timedelta = timedelta(minutes=30),
        rotate: bool = True,
        grace: timedelta = timedelta(0),
        search_lag: timedelta = timedelta(seconds=10),
        ten_secondly: int = 1000,
        daily: int = 650_000,
        portal_id: int = 62515,
    ) -> None:
        self.access_token = access_token
        self.client_id = client_id
        self.client_secret = client_secret
        self.search_lag = search_lag
        self.portal_id = portal_id
        self._token_rules = (token_ttl, rotate, grace)
        self._limits = (ten_secondly, daily)
        super().__init__()

    def reset(self) -> None:
        """An empty portal with HubSpot's own properties, no subscriptions, and the first refresh token."""
        super().reset()
        ttl, rotate, grace = self._token_rules
        self.properties = Properties()
        self.records = Records(self.properties, self.clock.now, self)
        self.batches = Batches(self.records, self.properties, self.clock.now)
        self.associations = Associations(self.records)
        self.tokens = Tokens(self.clock.now, ttl, rotate=rotate, grace=grace)
        self.quota = Quota(*self._limits)
        self.events = Events(self.portal_id, 1160452)
        self.subscriptions: list[Subscription] = []
        self._subscription_numbers = itertools.count(1)

    # ---- what a test does as the portal's owner

    @property
    def refresh_token(self) -> str:
        """The refresh token that was given out last."""
        return self.tokens.current

    @property
    def refreshes(self) -> int:
        """How many refreshes were answered with new tokens."""
        return self.tokens.refreshes

    def add_property(self, kind: str, name: str, *, unique: bool = False, type: str = "string") -> None:
        """Define a property of "contacts", "companies"..."""
        self.properties.add(kind_named(kind), Property(name, type, unique))

    def subscribe(self, url: str, *kinds: str, secret: str | None = None) -> None:
        """Send webhooks of these kinds (all when none is named) to `url`, signed with the app's secret."""
        number = next(self._subscription_numbers)
        self.subscriptions.append(Subscription(number, url, secret or self.client_secret, frozenset(kinds)))

    def make(self, kind: str, values: Mapping[str, str]) -> str:
        """Make an object as a person in HubSpot does; its id. Raises Problem for bad values."""
        return self.records.create(kind_named(kind), dict(values), source="CRM_UI").id

    def change(self, kind: str, id: str, values: Mapping[str, str]) -> None:
        """Change an object as a person in HubSpot does. Raises Problem for bad values and unknown ids."""
        self.records.update(self.records.get(kind_named(kind), id), dict(values), source="CRM_UI")

    # ---- how HubSpot answers

    def authorize(self, call: Call) -> Answer | None:
        """A bearer token that is known and not expired, and quota that is left."""
        if call.path.startswith(_OPEN):
            return None
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or (token != self.access_token and self.tokens.left(token) is None):
            return self.error(401, "unauthorized")
        left = self.tokens.left(token)
        if left is not None and left <= timedelta(0):
            return _expired(-left)
        policy = self.quota.take(self.clock.now())
        return None if policy is None else json_answer(rate_limited(policy), 429)

    def error_body(self, status: int, kind: str) -> Any:
        """HubSpot's error form."""
        if kind == "rate_limited":
            return rate_limited(TEN_SECONDS)
        category, message = BY_KIND.get(kind, BY_KIND["server_error"])
        return Problem(status, category, message).as_json()

    def headers(self, call: Call) -> Mapping[str, str]:
        """The quota, with every answer of the API."""
        return {} if call.path.startswith(_OPEN) else self.quota.headers(self.clock.now())

    def own_refusal(self, fault: Fault) -> Answer | None:
        """HubSpot's own faults."""
        if fault.fault == DAILY_LIMIT:
            return json_answer(rate_limited("DAILY"), 429)
        return _expired(timedelta(minutes=1)) if fault.fault == EXPIRED_TOKEN else None

    # ---- changes: effects and webhooks

    def created(self, record: Record, key: str, source: str) -> None:
        """An object was made: one effect, and its events."""
        self.effect(record.kind.singular, key, also=self._also(record, key), id=record.id, source=source)
        events: list[tuple[str, dict[str, Any]]] = [("creation", {})]
        events += [("propertyChange", _property(name, value)) for name, value in record.values.items()]
        self._tell(record, events, source)

    def changed(self, record: Record, key: str, changes: Mapping[str, str], source: str) -> None:
        """Values changed: one effect, and an event per property."""
        also = self._also(record, key)
        self.effect(
            f"{record.kind.singular}_update",
            key,
            also=also,
            changed=", ".join(sorted(changes)),
            source=source,
        )
        self._tell(
            record, [("propertyChange", _property(name, value)) for name, value in changes.items()], source
        )

    def archived(self, record: Record, source: str) -> None:
        """An object was deleted."""
        self.effect(
            f"{record.kind.singular}_deletion", self.records.key(record), also=(record.id,), source=source
        )
        self._tell(record, [("deletion", {})], source)

    def _also(self, record: Record, key: str) -> tuple[str, ...]:
        values = (record.values.get(name, "") for name in self.properties.unique(record.kind))
        return tuple({value for value in (*values, record.id) if value and value != key})

    def _tell(self, record: Record, changes: list[tuple[str, dict[str, Any]]], source: str) -> None:
        """Send what the subscriptions want: one array per receiver, of 100 events at most."""
        now = self.clock.now()
        told: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for subscription in self.subscriptions:
            for what, details in changes:
                kind = f"{record.kind.singular}.{what}"
                if subscription.wants(kind, details):
                    full = {"objectId": int(record.id), "changeSource": source, **details}
                    event = self.events.made(kind, full, now, subscription.id)
                    told.setdefault((subscription.url, subscription.secret), []).append(event)
        for (url, secret), events in told.items():
            for start in range(0, len(events), _MOST_EVENTS):
                body = body_of(events[start : start + _MOST_EVENTS])
                headers = {"content-type": "application/json", **signature_headers(secret, url, body, now)}
                self.background.soon(_sent(url, body, headers))

    def webhook_body(self, kind: str, object: Mapping[str, Any], now: datetime) -> bytes:
        """One event of `kind` with the details in `object`, or all of `object["events"]` as they are."""
        events = object.get("events")
        return body_of(events if events is not None else [self.events.made(kind, object, now)])

    def sign(self, body: bytes, secret: str, now: datetime, url: str) -> Mapping[str, str]:
        """Signature version 3."""
        return signature_headers(secret, url, body, now)


async def _sent(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    await send(url, body, headers)


def _property(name: str, value: str) -> dict[str, Any]:
    return {"propertyName": name, "propertyValue": value}


def _expired(since: timedelta) -> Answer:
    minutes = int(since.total_seconds() // 60)
    text = f"The OAuth token used to make this call expired {minutes} minute(s) ago."
    return Problem(401, "EXPIRED_AUTHENTICATION", text).answer()
