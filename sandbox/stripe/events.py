"""Events: listed for 30 days, and sent to the webhook endpoints that are registered."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from fnmatch import fnmatchcase

from sandbox.calls import Answer, Call
from sandbox.routes import route
from sandbox.stripe.challenge import Challenges
from sandbox.stripe.errors import invalid
from sandbox.stripe.lists import page
from sandbox.stripe.params import Params
from sandbox.stripe.state import API_VERSION, Object
from sandbox.webhooks import Webhook

_LISTED = timedelta(days=30)


class Events(Challenges):
    """`/v1/events` and `/v1/webhook_endpoints`."""

    def reset(self) -> None:
        """No endpoints, nothing on the way."""
        super().reset()
        self.secrets: dict[str, str] = {}
        self.deliveries: list[tuple[str, str, int]] = []

    @route("GET", "/v1/events/{id}")
    def read_event(self, call: Call) -> Answer:
        """One event."""
        return self.answer(self.get("event", call.params["id"]), Params(call))

    @route("GET", "/v1/events")
    def list_events(self, call: Call) -> Answer:
        """Events of the last 30 days, newest first."""
        params = Params(call)
        wanted = params.raw("types") or ([params.text("type")] if params.text("type") else ["*"])
        oldest = self.timestamp() - _LISTED.total_seconds()
        found = [
            one
            for one in self.newest("event")
            if one["created"] >= oldest and any(fnmatchcase(one["type"], kind) for kind in wanted)
        ]
        return self.answer(page(found, params, "/v1/events"), params)

    @route("POST", "/v1/webhook_endpoints")
    def create_webhook_endpoint(self, call: Call) -> Answer:
        """Send events there from now on; the secret is told in this answer only."""
        params = Params(call)
        url, kinds = params.required("url"), params.raw("enabled_events")
        if not isinstance(kinds, list) or not kinds:
            raise invalid("Missing required param: enabled_events.", "parameter_missing", "enabled_events")
        try:
            Webhook("", {}, url, "")
        except ValueError as error:
            raise invalid(f"Invalid URL: {error}", "url_invalid", "url") from None
        version, description = params.text("api_version"), params.text("description")
        metadata = params.metadata()
        params.done()
        made = self.add(
            "webhook_endpoint",
            {
                "api_version": version or API_VERSION,
                "application": None,
                "description": description,
                "enabled_events": kinds,
                "metadata": metadata,
                "status": "enabled",
                "url": url,
            },
        )
        secret = self.secrets[made["id"]] = f"whsec_{secrets.token_hex(16)}"
        return self.answer({**made, "secret": secret})

    @route("GET", "/v1/webhook_endpoints")
    def list_webhook_endpoints(self, call: Call) -> Answer:
        """All endpoints, without their secrets."""
        params = Params(call)
        return self.answer(page(self.newest("webhook_endpoint"), params, "/v1/webhook_endpoints"), params)

    def event(self, kind: str, about: Object, call: Call | None = None) -> Object:
        """Write an event down and send it to the endpoints that want its kind."""
        made = super().event(kind, about, call)
        wanting = [
            one
            for one in self.objects["webhook_endpoint"].values()
            if any(fnmatchcase(kind, pattern) for pattern in one["enabled_events"])
        ]
        made["pending_webhooks"] = len(wanting)
        for endpoint in wanting:
            self.background.soon(self._deliver(made, endpoint))
        return made

    async def _deliver(self, event: Object, endpoint: Object) -> None:
        frozen = json.loads(json.dumps(event))
        webhook = Webhook(event["type"], frozen, endpoint["url"], self.secrets[endpoint["id"]])
        (status,) = await self.fire_webhook(webhook)
        self.deliveries.append((event["id"], endpoint["url"], status))
        if 200 <= status < 300:
            event["pending_webhooks"] -= 1
