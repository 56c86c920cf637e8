"""HubSpot as a stand-in: the portal with all its calls."""

from __future__ import annotations

from typing import Any, ClassVar

from sandbox.calls import Answer, Call, json_answer
from sandbox.hubspot.associations import default_result, with_labels
from sandbox.hubspot.batches import checked_inputs, checked_pairs
from sandbox.hubspot.errors import Problem, invalid
from sandbox.hubspot.object_routes import count_of
from sandbox.hubspot.properties import KINDS, kind_named
from sandbox.hubspot.records import Record
from sandbox.hubspot.tokens import BadRefreshToken
from sandbox.hubspot.webhook_routes import WebhookRoutes
from sandbox.routes import route

_PAIR = "/crm/v4/associations/{from}/{to}/batch"
_ENDS = "/crm/v4/objects/{type}/{id}/associations"


class HubSpotStandIn(WebhookRoutes):
    """`with HubSpotStandIn() as s: HubSpot(access_token=s.access_token, host=s.url)`.

    Options and effects: see Portal.
    """

    system: ClassVar[str] = "hubspot"
    title: ClassVar[str] = "HubSpot"

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Objects by kind, for the page."""
        return {
            kind.plural: [
                {"id": one.id, **one.values, "updated": one.updated} for one in self.records.all(kind)
            ]
            for kind in KINDS.values()
        }

    # ---- OAuth

    @route("POST", "/oauth/v1/token")
    def _token(self, call: Call) -> Answer:
        """New tokens for a refresh token (rotated or not, as the stand-in was told)."""
        form = dict(call.form())
        if form.get("grant_type") != "refresh_token":
            return _oauth_error("BAD_GRANT_TYPE", "grant_type must be refresh_token here")
        if form.get("client_id") != self.client_id:
            return _oauth_error("BAD_CLIENT_ID", "missing or unknown client id")
        if form.get("client_secret") != self.client_secret:
            return _oauth_error("BAD_CLIENT_SECRET", "missing or invalid client secret")
        try:
            pair = self.tokens.refresh(form.get("refresh_token", ""))
        except BadRefreshToken:
            return _oauth_error("BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        self.effect("token_refresh", f"refresh {self.refreshes}")
        return json_answer(
            {
                "token_type": "bearer",
                "access_token": pair.access_token,
                "refresh_token": pair.refresh_token,
                "expires_in": pair.expires_in,
            }
        )

    @route("GET", "/oauth/v1/access-tokens/{token}")
    def _token_facts(self, call: Call) -> Answer:
        left = self.tokens.left(call.params["token"])
        if left is None:
            return json_answer(Problem(404, "OBJECT_NOT_FOUND", "unknown access token").as_json(), 404)
        return json_answer(
            {
                "token": call.params["token"],
                "hub_id": self.portal_id,
                "hub_domain": "sandbox.invalid",
                "user_id": 1,
                "app_id": 1160452,
                "scopes": ["oauth", "crm.objects.contacts.write"],
                "token_type": "access",
                "expires_in": max(int(left.total_seconds()), 0),
            }
        )

    @route("DELETE", "/oauth/v1/refresh-tokens/{token}")
    def _revoke(self, call: Call) -> Answer:
        self.tokens.revoke(call.params["token"])
        return Answer(204)

    # ---- associations

    @route("PUT", _ENDS + "/default/{to}/{to_id}")
    def _associate_plainly(self, call: Call) -> Answer:
        one, other = self._ends(call)
        self.associations.link(one, other)
        return self._batch([default_result(one, other), default_result(other, one)])

    @route("PUT", _ENDS + "/{to}/{to_id}")
    def _associate(self, call: Call) -> Answer:
        one, other = self._ends(call)
        types = call.json()
        if not isinstance(types, list) or not types:
            raise invalid("the body must be a list of association types", "MISSING_TYPES")
        self.associations.link(one, other, types)
        return json_answer(_labels(one, other), 201)

    @route("DELETE", _ENDS + "/{to}/{to_id}")
    def _dissociate(self, call: Call) -> Answer:
        self.associations.unlink(*self._ends(call))
        return Answer(204)

    @route("GET", _ENDS + "/{to}")
    def _associated_ids(self, call: Call) -> Answer:
        one = self.records.get(kind_named(call.params["type"]), call.params["id"])
        found = with_labels(self.associations.of(one, kind_named(call.params["to"])))
        limit, start = count_of(call, "limit", 500), count_of(call, "after", 0)
        body: dict[str, Any] = {"results": found[start : start + limit]}
        if start + limit < len(found):
            body["paging"] = {"next": {"after": str(start + limit)}}
        return json_answer(body)

    @route("POST", _PAIR + "/associate/default")
    def _associate_many_plainly(self, call: Call) -> Answer:
        results, errors = [], []
        for given in checked_pairs(call.json(), "from", "to"):
            try:
                one, other = self._pair(call, given["from"]["id"], given["to"]["id"])
                self.associations.link(one, other)
            except Problem as problem:
                errors.append(problem.as_record_error([str(given["from"]["id"]), str(given["to"]["id"])]))
                continue
            results += [default_result(one, other), default_result(other, one)]
        # The vendor's description has the errors of this one call under 200.
        return self._batch(results, errors, partly=200)

    @route("POST", _PAIR + "/create")
    def _associate_many(self, call: Call) -> Answer:
        results, errors = [], []
        for given in checked_pairs(call.json(), "from", "to", "types"):
            try:
                one, other = self._pair(call, given["from"]["id"], given["to"]["id"])
                self.associations.link(one, other, given["types"])
            except Problem as problem:
                errors.append(problem.as_record_error([str(given["from"]["id"]), str(given["to"]["id"])]))
                continue
            results.append(_labels(one, other))
        return self._batch(results, errors, 201)

    @route("POST", _PAIR + "/read")
    def _associations_of_many(self, call: Call) -> Answer:
        kind, to = kind_named(call.params["from"]), kind_named(call.params["to"])
        results, errors = [], []
        for given in checked_inputs(call.json(), "id"):
            record = self.records.find(kind, str(given["id"]))
            found = [] if record is None else self.associations.of(record, to)
            if found:
                results.append({"from": {"id": str(given["id"])}, "to": with_labels(found)})
                continue
            text = f"No {to.singular} is associated with {kind.singular} {given['id']}."
            errors.append(Problem(404, "OBJECT_NOT_FOUND", text).as_record_error([str(given["id"])]))
        return self._batch(results, errors)

    @route("POST", _PAIR + "/archive")
    def _dissociate_many(self, call: Call) -> Answer:
        for given in checked_inputs(call.json(), "from", "to"):
            for to in given["to"] if isinstance(given["to"], list) else [given["to"]]:
                self.associations.unlink(*self._pair(call, given["from"]["id"], to["id"]))
        return Answer(204)

    def _ends(self, call: Call) -> tuple[Record, Record]:
        here = self.records.get(kind_named(call.params["type"]), call.params["id"])
        return here, self.records.get(kind_named(call.params["to"]), call.params["to_id"])

    def _pair(self, call: Call, one: str, other: str) -> tuple[Record, Record]:
        here, there = kind_named(call.params["from"]), kind_named(call.params["to"])
        return self.records.get(here, str(one)), self.records.get(there, str(other))

    def _batch(
        self, results: list[Any], errors: list[Any] | None = None, good: int = 200, partly: int = 207
    ) -> Answer:
        now = self.clock.now().isoformat()
        body = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        if not errors:
            return json_answer(body, good)
        return json_answer({**body, "numErrors": len(errors), "errors": errors}, partly)


def _labels(one: Record, other: Record) -> dict[str, Any]:
    return {
        "fromObjectTypeId": one.kind.type_id,
        "fromObjectId": one.id,
        "toObjectTypeId": other.kind.type_id,
        "toObjectId": other.id,
        "labels": [],
    }


def _oauth_error(status: str, message: str) -> Answer:
    """OAuth errors have their name as status."""
    return json_answer({**Problem(400, "BAD_REQUEST", message).as_json(), "status": status}, 400)
