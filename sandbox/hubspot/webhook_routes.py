"""The calls that say where an app's webhooks go and what they tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.calls import Answer, Call, json_answer
from sandbox.hubspot.errors import Problem, invalid
from sandbox.hubspot.events import Subscription
from sandbox.hubspot.object_routes import ObjectRoutes, body_of_call
from sandbox.hubspot.properties import KINDS
from sandbox.routes import route

_APP = "/webhooks/v3/{app}"
_WHAT = ("creation", "propertyChange", "deletion")


class WebhookRoutes(ObjectRoutes):
    """`/webhooks/v3/{appId}`: one target for the app, and a subscription per kind of event (and property)."""

    def reset(self) -> None:
        """No target."""
        super().reset()
        self.target = ""

    @route("PUT", _APP + "/settings")
    def _set_target(self, call: Call) -> Answer:
        target = str(body_of_call(call).get("targetUrl") or "")
        try:
            self.subscriptions = [replace(one, url=target) for one in self.subscriptions]
            Subscription(0, target, "")
        except ValueError as error:
            raise invalid(str(error), "INVALID_TARGET_URL") from None
        self.target = target
        return self._settings(call)

    @route("GET", _APP + "/settings")
    def _settings(self, call: Call) -> Answer:
        if not self.target:
            raise Problem(404, "OBJECT_NOT_FOUND", "No settings: PUT a targetUrl first.")
        return json_answer({"targetUrl": self.target, "throttling": {"maxConcurrentRequests": 1}})

    @route("POST", _APP + "/subscriptions")
    def _subscribe_to(self, call: Call) -> Answer:
        given = body_of_call(call)
        kind = str(given.get("eventType") or "")
        alone, _, what = kind.partition(".")
        if alone not in {one.singular for one in KINDS.values()} or what not in _WHAT:
            raise invalid(f"eventType {kind!r} is not known", "INVALID_EVENT_TYPE")
        if not self.target:
            raise invalid("PUT a targetUrl to the settings first", "MISSING_TARGET_URL")
        name = given.get("propertyName") or None
        number = next(self._subscription_numbers)
        made = Subscription(number, self.target, self.client_secret, frozenset({kind}), name)
        self.subscriptions.append(made)
        return json_answer(_as_json(made), 201)

    @route("GET", _APP + "/subscriptions")
    def _list_subscriptions(self, call: Call) -> Answer:
        return json_answer({"results": [_as_json(one) for one in self.subscriptions]})

    @route("DELETE", _APP + "/subscriptions/{id}")
    def _unsubscribe(self, call: Call) -> Answer:
        self.subscriptions = [one for one in self.subscriptions if str(one.id) != call.params["id"]]
        return Answer(204)


def _as_json(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": str(subscription.id),
        "eventType": ",".join(sorted(subscription.kinds)),
        "propertyName": subscription.property,
        "active": True,
    }
