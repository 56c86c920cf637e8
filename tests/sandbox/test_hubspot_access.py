"""HubSpot's stand-in on the wire: tokens, quotas and webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

import httpx
import pytest
from hubspot import HubSpot
from hubspot.oauth.exceptions import ApiException
from hubspot.utils.signature import Signature

from sandbox.calls import Answer, Call
from sandbox.hubspot.events import signature
from sandbox.hubspot.stand_in import HubSpotStandIn
from sandbox.routes import route
from sandbox.stand_in import StandIn

LIST = "/crm/v3/objects/contacts"


class Receiver(StandIn):
    """Takes webhooks and keeps them."""

    system: ClassVar[str] = "receiver"

    @route("POST", "/{path:rest}")
    def take(self, call: Call) -> Answer:
        return Answer(204)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as stand_in:
        yield stand_in


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def refresh(hubspot: HubSpotStandIn, token: str) -> Any:
    api = HubSpot(host=hubspot.url).oauth.tokens_api
    return api.create(
        grant_type="refresh_token",
        refresh_token=token,
        client_id=hubspot.client_id,
        client_secret=hubspot.client_secret,
    )


def test_access_tokens_expire_by_the_stand_ins_clock() -> None:
    with HubSpotStandIn() as hubspot:
        given = refresh(hubspot, hubspot.refresh_token)
        assert given.expires_in == 1800
        assert httpx.get(hubspot.url + LIST, headers=bearer(given.access_token)).status_code == 200
        hubspot.advance(timedelta(minutes=31))
        late = httpx.get(hubspot.url + LIST, headers=bearer(given.access_token))
        assert (late.status_code, late.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
        unknown = httpx.get(hubspot.url + LIST, headers=bearer("made-up"))
        assert (unknown.status_code, unknown.json()["category"]) == (401, "INVALID_AUTHENTICATION")
        assert httpx.get(hubspot.url + LIST).status_code == 401
        assert httpx.get(hubspot.url + LIST, headers=bearer(hubspot.access_token)).status_code == 200


def test_refresh_tokens_rotate_and_the_old_one_is_dead() -> None:
    with HubSpotStandIn() as hubspot:
        old = hubspot.refresh_token
        first = refresh(hubspot, old)
        assert first.refresh_token == hubspot.refresh_token != old
        with pytest.raises(ApiException) as refused:
            refresh(hubspot, old)
        assert (refused.value.status, json.loads(refused.value.body)["status"]) == (400, "BAD_REFRESH_TOKEN")
        refresh(hubspot, first.refresh_token)
        assert (hubspot.refreshes, hubspot.count("token_refresh")) == (2, 2)


def test_with_grace_the_old_refresh_token_is_good_for_a_while() -> None:
    with HubSpotStandIn(grace=timedelta(minutes=1)) as hubspot:
        old = hubspot.refresh_token
        refresh(hubspot, old)
        again = refresh(hubspot, old)
        assert httpx.get(hubspot.url + LIST, headers=bearer(again.access_token)).status_code == 200
        hubspot.advance(timedelta(minutes=2))
        with pytest.raises(ApiException):
            refresh(hubspot, old)
        assert hubspot.refreshes == 2


def test_without_rotation_the_refresh_token_stays_until_it_is_revoked() -> None:
    with HubSpotStandIn(rotate=False) as hubspot:
        token = hubspot.refresh_token
        given = refresh(hubspot, token)
        assert refresh(hubspot, token).refresh_token == token
        told = HubSpot(access_token=given.access_token, host=hubspot.url).oauth.access_tokens_api
        assert told.get(given.access_token).hub_id == 62515
        HubSpot(host=hubspot.url).oauth.refresh_tokens_api.archive(token)
        with pytest.raises(ApiException):
            refresh(hubspot, token)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"client_secret": "wrong"}, "BAD_CLIENT_SECRET"),
        ({"client_id": "wrong"}, "BAD_CLIENT_ID"),
        ({"grant_type": "password"}, "BAD_GRANT_TYPE"),
    ],
)
def test_refreshes_need_the_apps_own_credentials(change: dict[str, str], status: str) -> None:
    with HubSpotStandIn() as hubspot:
        form = {
            "grant_type": "refresh_token",
            "client_id": "client-id",
            "client_secret": "client-secret",
            "refresh_token": hubspot.refresh_token,
        }
        reply = httpx.post(f"{hubspot.url}/oauth/v1/token", data={**form, **change})
        assert (reply.status_code, reply.json()["status"]) == (400, status)
        assert hubspot.refreshes == 0


def test_ten_secondly_quota_runs_out_and_comes_back() -> None:
    with HubSpotStandIn(ten_secondly=3) as hubspot, httpx.Client(headers=bearer(hubspot.access_token)) as web:
        left = [web.get(hubspot.url + LIST).headers["x-hubspot-ratelimit-remaining"] for _ in range(3)]
        assert left == ["2", "1", "0"]
        refused = web.get(hubspot.url + LIST)
        assert (refused.status_code, refused.json()["policyName"]) == (429, "TEN_SECONDLY_ROLLING")
        assert refused.headers["x-hubspot-ratelimit-interval-milliseconds"] == "10000"
        hubspot.advance(timedelta(seconds=11))
        assert web.get(hubspot.url + LIST).status_code == 200


def test_daily_quota_comes_back_the_next_day_only() -> None:
    with HubSpotStandIn(daily=1) as hubspot, httpx.Client(headers=bearer(hubspot.access_token)) as web:
        assert web.get(hubspot.url + LIST).headers["x-hubspot-ratelimit-daily-remaining"] == "0"
        refused = web.get(hubspot.url + LIST)
        assert (refused.status_code, refused.json()["policyName"]) == (429, "DAILY")
        hubspot.advance(timedelta(days=1))
        assert web.get(hubspot.url + LIST).status_code == 200


def test_the_two_limits_can_be_injected() -> None:
    with HubSpotStandIn() as hubspot, httpx.Client(headers=bearer(hubspot.access_token)) as web:
        hubspot.inject("rate_limited_seconds", after=7)
        hubspot.inject("daily_limit")
        soon, not_today = web.get(hubspot.url + LIST), web.get(hubspot.url + LIST)
        assert (soon.json()["policyName"], soon.headers["retry-after"]) == ("TEN_SECONDLY_ROLLING", "7")
        assert not_today.json()["policyName"] == "DAILY"
        assert "retry-after" not in not_today.headers


def test_changes_are_told_in_signed_arrays(receiver: Receiver) -> None:
    with HubSpotStandIn() as hubspot:
        url = f"{receiver.url}/hooks/hubspot?account=a%40b"
        hubspot.subscribe(url, "contact.propertyChange", "contact.creation")
        ada = hubspot.make("contacts", {"email": "ada@example.com"})
        hubspot.change("contacts", ada, {"firstname": "Ada", "lastname": "Byron"})
        hubspot.make("companies", {"name": "nobody asked"})
        body = {"properties": {"firstname": "Augusta"}}
        httpx.patch(f"{hubspot.url}{LIST}/{ada}", json=body, headers=bearer(hubspot.access_token))
        hubspot.settle()
    events = [json.loads(one.body) for one in receiver.requests]
    told = [
        [(one["subscriptionType"], one.get("propertyName"), one["changeSource"]) for one in batch]
        for batch in events
    ]
    assert told == [
        [("contact.creation", None, "CRM_UI"), ("contact.propertyChange", "email", "CRM_UI")],
        [("contact.propertyChange", "firstname", "CRM_UI"), ("contact.propertyChange", "lastname", "CRM_UI")],
        [("contact.propertyChange", "firstname", "INTEGRATION")],
    ]
    assert {event["objectId"] for batch in events for event in batch} == {int(ada)}
    assert len({event["eventId"] for batch in events for event in batch}) == 5
    for one in receiver.requests:
        assert Signature.is_valid(
            one.headers["x-hubspot-signature-v3"],
            "client-secret",
            one.body.decode(),
            f"{receiver.url}/hooks/hubspot?account=a@b",
            signature_version="v3",
            timestamp=one.headers["x-hubspot-request-timestamp"],
        )


def test_a_webhook_can_be_fired_twice_and_late(receiver: Receiver) -> None:
    with HubSpotStandIn() as hubspot:
        change = {"objectId": 101, "propertyName": "email", "propertyValue": "new@example.com"}
        statuses = hubspot.fire(
            "contact.propertyChange", change, url=receiver.url + "/h", secret="other", duplicate=1, late=600
        )
    assert statuses == [204, 204]
    first, second = receiver.requests
    assert first.body == second.body
    (event,) = json.loads(first.body)
    assert (event["subscriptionType"], event["propertyValue"]) == (
        "contact.propertyChange",
        "new@example.com",
    )
    made = int(first.headers["x-hubspot-request-timestamp"])
    assert first.at.timestamp() * 1000 - made >= 600_000
    assert first.headers["x-hubspot-signature-v3"] == signature(
        "other", "POST", receiver.url + "/h", first.body, made
    )


def test_the_signature_is_the_published_one() -> None:
    body = b"{'example_field':'example_value'}"
    secret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
    signed = signature(secret, "POST", "https://www.example.com/webhook_uri", body, 1693657560000)
    assert signed == "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="


def test_subscriptions_can_be_made_over_the_api(receiver: Receiver) -> None:
    with HubSpotStandIn() as hubspot, httpx.Client(headers=bearer(hubspot.access_token)) as web:
        app = f"{hubspot.url}/webhooks/v3/1160452"
        assert web.post(f"{app}/subscriptions", json={"eventType": "contact.creation"}).status_code == 400
        elsewhere = web.put(f"{app}/settings", json={"targetUrl": "https://hub.example/hook"})
        assert elsewhere.json()["errors"][0]["code"] == "INVALID_TARGET_URL"
        assert web.put(f"{app}/settings", json={"targetUrl": f"{receiver.url}/hook"}).status_code == 200
        assert web.post(f"{app}/subscriptions", json={"eventType": "contact.sneeze"}).status_code == 400
        for wanted in (
            {"eventType": "contact.creation"},
            {"eventType": "contact.propertyChange", "propertyName": "phone"},
        ):
            web.post(f"{app}/subscriptions", json=wanted)
        web.post(hubspot.url + LIST, json={"properties": {"firstname": "Ada", "phone": "1"}})
        first, _ = web.get(f"{app}/subscriptions").json()["results"]
        web.delete(f"{app}/subscriptions/{first['id']}")
        web.post(hubspot.url + LIST, json={"properties": {"firstname": "Bob"}})
        hubspot.settle()
    (told,) = [json.loads(one.body) for one in receiver.requests]
    assert [(one["subscriptionId"], one["subscriptionType"]) for one in told] == [
        (1, "contact.creation"),
        (2, "contact.propertyChange"),
    ]
