"""HubSpot's stand-in on the wire: objects, batches, search and associations, with HubSpot's own SDK and with httpx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hubspot import HubSpot
from hubspot.crm import contacts as crm_contacts
from urllib3.exceptions import MaxRetryError, ProtocolError
from urllib3.util.retry import Retry

from sandbox.hubspot.stand_in import HubSpotStandIn

KEY = "masthead_account"


@pytest.fixture
def hubspot() -> Iterator[HubSpotStandIn]:
    with HubSpotStandIn() as stand_in:
        stand_in.add_property("contacts", KEY, unique=True)
        yield stand_in


@pytest.fixture
def sdk(hubspot: HubSpotStandIn) -> Any:
    return HubSpot(access_token=hubspot.access_token, host=hubspot.url, retry=Retry(0)).crm


@pytest.fixture
def web(hubspot: HubSpotStandIn) -> Iterator[httpx.Client]:
    bearer = {"authorization": f"Bearer {hubspot.access_token}"}
    with httpx.Client(base_url=hubspot.url, headers=bearer, timeout=5) as client:
        yield client


def contact(key: str, **properties: str) -> dict[str, Any]:
    return {"id": key, "idProperty": KEY, "properties": properties}


def upsert(web: httpx.Client, *inputs: dict[str, Any]) -> httpx.Response:
    return web.post("/crm/v3/objects/contacts/batch/upsert", json={"inputs": list(inputs)})


def test_create_read_update_and_archive_with_the_sdk(hubspot: HubSpotStandIn, sdk: Any) -> None:
    api = sdk.contacts.basic_api
    wanted = {"email": "Ada@example.com", "firstname": "Ada", KEY: "acc-1"}
    made = api.create({"properties": wanted})
    assert (made.properties["email"], made.properties["hs_object_id"]) == ("Ada@example.com", made.id)
    api.update(made.id, {"properties": {"firstname": "Augusta", "phone": ""}})
    read = api.get_by_id("acc-1", id_property=KEY, properties=["firstname", "phone", KEY])
    assert (read.id, read.properties["firstname"], read.properties["phone"]) == (made.id, "Augusta", None)
    assert api.get_by_id("ada@EXAMPLE.com", id_property="email").id == made.id
    assert hubspot.count("contact", "acc-1") == 1
    assert hubspot.count("contact", "Ada@example.com") == 1
    assert hubspot.count("contact_update", "acc-1") == 1
    api.archive(made.id)
    with pytest.raises(crm_contacts.ApiException) as gone:
        api.get_by_id(made.id)
    assert (gone.value.status, json.loads(gone.value.body)["category"]) == (404, "OBJECT_NOT_FOUND")


@pytest.mark.parametrize("kind", ["contacts", "companies", "deals", "products", "line_items"])
def test_every_kind_of_object_has_the_calls(hubspot: HubSpotStandIn, web: httpx.Client, kind: str) -> None:
    hubspot.add_property(kind, "hub_key", unique=True)
    made = web.post(f"/crm/v3/objects/{kind}", json={"properties": {"hub_key": "k-1"}})
    assert made.status_code == 201
    again = web.post(f"/crm/v3/objects/{kind}", json={"properties": {"hub_key": "k-1"}})
    assert (again.status_code, again.json()["category"]) == (409, "CONFLICT")
    assert made.json()["id"] in again.json()["message"]
    found = web.get(f"/crm/v3/objects/{kind}/k-1", params={"idProperty": "hub_key", "properties": "hub_key"})
    assert found.json()["properties"]["hub_key"] == "k-1"
    assert hubspot.count(key="k-1") == 1


def test_a_property_that_does_not_exist_is_named(web: httpx.Client) -> None:
    reply = web.post("/crm/v3/objects/contacts", json={"properties": {"favourite_colour": "red"}})
    body = reply.json()
    assert (reply.status_code, body["status"], body["category"]) == (400, "error", "VALIDATION_ERROR")
    assert body["correlationId"]
    (detail,) = body["errors"]
    assert (detail["code"], detail["context"]) == (
        "PROPERTY_DOESNT_EXIST",
        {"propertyName": ["favourite_colour"]},
    )


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"email": "nobody"}, "INVALID_EMAIL"),
        ({"firstname": 5}, "NOT_A_STRING"),
        ({"createdate": "2026-01-01"}, "READ_ONLY_VALUE"),
    ],
)
def test_bad_values_are_refused(
    hubspot: HubSpotStandIn, web: httpx.Client, properties: Any, code: str
) -> None:
    reply = web.post("/crm/v3/objects/contacts", json={"properties": properties})
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (400, code)
    assert hubspot.count() == 0


def test_all_values_come_back_as_strings_or_null(web: httpx.Client) -> None:
    reply = web.post("/crm/v3/objects/deals", json={"properties": {"dealname": "Year", "amount": "99.00"}})
    deal = web.get(f"/crm/v3/objects/deals/{reply.json()['id']}").json()
    assert deal["properties"]["amount"] == "99.00"
    assert all(value is None or isinstance(value, str) for value in deal["properties"].values())
    bad = web.post("/crm/v3/objects/deals", json={"properties": {"amount": "much"}})
    assert bad.json()["errors"][0]["code"] == "INVALID_LONG"


def test_upsert_twice_is_one_record(hubspot: HubSpotStandIn, sdk: Any) -> None:
    api = sdk.contacts.batch_api
    batch = {"inputs": [contact("acc-1", email="a@example.com"), contact("acc-2", email="b@example.com")]}
    first = api.upsert(batch)
    second = api.upsert(batch)
    assert [one.new for one in first.results] == [True, True]
    assert [(one.id, one.new) for one in second.results] == [(one.id, False) for one in first.results]
    assert (hubspot.count("contact", "acc-1"), hubspot.count("contact_update")) == (1, 0)
    api.upsert({"inputs": [contact("acc-1", firstname="Ada")]})
    assert hubspot.count("contact_update", "acc-1") == 1


def test_one_bad_record_does_not_fail_its_batch(hubspot: HubSpotStandIn, sdk: Any) -> None:
    api = sdk.contacts.batch_api
    api.upsert({"inputs": [contact("acc-9", email="taken@example.com")]})
    bad = {**contact("acc-2", email="nobody"), "objectWriteTraceId": "row-2"}
    told = api.upsert({"inputs": [contact("acc-1"), bad, contact("acc-3", email="taken@example.com")]})
    assert (told.status, told.num_errors) == ("COMPLETE", 2)
    assert [one.properties["hs_object_id"] for one in told.results] == [one.id for one in told.results]
    assert [(error.category, error.context["ids"]) for error in told.errors] == [
        ("VALIDATION_ERROR", ["acc-2"]),
        ("CONFLICT", ["acc-3"]),
    ]
    assert told.errors[0].context["objectWriteTraceId"] == ["row-2"]
    assert [hubspot.count("contact", f"acc-{number}") for number in (1, 2, 3)] == [1, 0, 0]


def test_an_unknown_property_fails_the_whole_batch_and_names_the_records(
    hubspot: HubSpotStandIn, web: httpx.Client
) -> None:
    reply = upsert(web, contact("acc-1", firstname="Ada"), contact("acc-2", colour="red"))
    assert reply.status_code == 400
    (detail,) = reply.json()["errors"]
    assert detail["code"] == "PROPERTY_DOESNT_EXIST"
    assert detail["context"] == {"propertyName": ["colour"], "ids": ["acc-2"]}
    assert hubspot.count() == 0


def test_batches_have_limits(hubspot: HubSpotStandIn, web: httpx.Client) -> None:
    assert upsert(web, *(contact(f"acc-{number}") for number in range(101))).status_code == 400
    assert upsert(web).status_code == 400
    assert "Duplicate IDs" in upsert(web, contact("acc-1"), contact("ACC-1")).json()["message"]
    assert upsert(web, {"id": "x", "properties": {}}).json()["errors"][0]["code"] == "MISSING_ID_PROPERTY"
    not_unique = {"id": "x", "idProperty": "firstname", "properties": {}}
    assert upsert(web, not_unique).json()["errors"][0]["code"] == "INVALID_ID_PROPERTY"
    assert hubspot.count() == 0
    assert upsert(web, *(contact(f"acc-{number}") for number in range(100))).status_code == 200


def test_batch_create_update_read_and_archive(hubspot: HubSpotStandIn, sdk: Any) -> None:
    api = sdk.contacts.batch_api
    made = api.create({"inputs": [{"properties": {KEY: "acc-1"}}, {"properties": {KEY: "acc-1"}}]})
    assert (len(made.results), made.errors[0].category) == (1, "CONFLICT")
    changed = api.update(
        {"inputs": [contact("acc-1", firstname="Ada"), contact("acc-7", firstname="Nobody")]}
    )
    assert [one.properties["firstname"] for one in changed.results] == ["Ada"]
    assert (changed.errors[0].category, changed.errors[0].context["ids"]) == ("OBJECT_NOT_FOUND", ["acc-7"])
    query = {"idProperty": KEY, "properties": ["firstname"], "propertiesWithHistory": []}
    read = api.read({**query, "inputs": [{"id": "acc-1"}, {"id": "acc-7"}, {"id": "acc-8"}]})
    assert [one.properties["firstname"] for one in read.results] == ["Ada"]
    assert read.errors[0].context["ids"] == ["acc-7", "acc-8"]
    api.archive({"inputs": [{"id": made.results[0].id}]})
    assert hubspot.count("contact_deletion", "acc-1") == 1


def test_the_search_lags_and_a_list_does_not(hubspot: HubSpotStandIn, sdk: Any) -> None:
    sdk.contacts.batch_api.upsert({"inputs": [contact("acc-1", email="a@example.com", firstname="Ada")]})
    wanted = {"propertyName": KEY, "operator": "EQ", "value": "acc-1"}
    query = {"filterGroups": [{"filters": [wanted]}], "properties": ["firstname"]}
    assert sdk.contacts.search_api.do_search(query).total == 0
    assert len(sdk.contacts.basic_api.get_page().results) == 1
    hubspot.advance(timedelta(seconds=11))
    assert sdk.contacts.search_api.do_search(query).total == 1
    sdk.contacts.batch_api.upsert({"inputs": [contact("acc-1", firstname="Augusta")]})
    (old,) = sdk.contacts.search_api.do_search(query).results
    assert old.properties["firstname"] == "Ada"
    hubspot.advance(timedelta(seconds=11))
    (new,) = sdk.contacts.search_api.do_search(query).results
    assert new.properties["firstname"] == "Augusta"


def test_search_filters_sorts_and_pages(hubspot: HubSpotStandIn, web: httpx.Client) -> None:
    for number in (2, 10, 1):
        hubspot.make("deals", {"dealname": f"Deal {number}", "amount": str(number), "dealstage": "won"})
    hubspot.advance(timedelta(seconds=11))

    def names(*filters: dict[str, Any], **more: Any) -> list[str]:
        body = {"filterGroups": [{"filters": list(filters)}] if filters else [], "sorts": ["amount"], **more}
        reply = web.post("/crm/v3/objects/deals/search", json=body)
        return [one["properties"]["dealname"] for one in reply.json()["results"]]

    assert names() == ["Deal 1", "Deal 2", "Deal 10"]
    assert names({"propertyName": "amount", "operator": "GT", "value": "1"}) == ["Deal 2", "Deal 10"]
    between = {"propertyName": "amount", "operator": "BETWEEN", "value": "2", "highValue": "9"}
    assert names(between) == ["Deal 2"]
    assert names({"propertyName": "amount", "operator": "IN", "values": ["1", "10"]}) == ["Deal 1", "Deal 10"]
    assert names({"propertyName": "closedate", "operator": "HAS_PROPERTY"}) == []
    assert names(query="deal 10") == ["Deal 10"]
    assert names(limit=2) == ["Deal 1", "Deal 2"]
    assert names(limit=2, after="2") == ["Deal 10"]
    bad = {"filterGroups": [{"filters": [{"propertyName": "colour", "operator": "EQ", "value": "red"}]}]}
    assert web.post("/crm/v3/objects/deals/search", json=bad).status_code == 400


def test_pages_concatenate_to_the_whole(sdk: Any, web: httpx.Client) -> None:
    upsert(web, *(contact(f"acc-{number}") for number in range(25)))
    seen: list[str] = []
    after = None
    while True:
        page = sdk.contacts.basic_api.get_page(limit=10, after=after, properties=[KEY])
        seen += [one.properties[KEY] for one in page.results]
        if page.paging is None:
            break
        after = page.paging.next.after
    assert seen == [f"acc-{number}" for number in range(25)]
    assert [one.id for one in sdk.contacts.get_all()] == [str(number) for number in range(101, 126)]


def test_associations_are_seen_from_both_sides(hubspot: HubSpotStandIn, sdk: Any, web: httpx.Client) -> None:
    ada = hubspot.make("contacts", {"firstname": "Ada"})
    firm = hubspot.make("companies", {"name": "Engines Ltd"})
    plain = sdk.associations.v4.basic_api.create_default("contact", ada, "company", firm)
    assert {one.association_spec.association_type_id for one in plain.results} == {279, 280}
    (seen,) = sdk.associations.v4.basic_api.get_page("companies", firm, "contacts").results
    assert (str(seen.to_object_id), seen.association_types[0].type_id) == (ada, 280)
    spec = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]
    deal = web.post(
        "/crm/v3/objects/deals",
        json={"properties": {"dealname": "Year"}, "associations": [{"to": {"id": ada}, "types": spec}]},
    ).json()
    read = sdk.deals.basic_api.get_by_id(deal["id"], associations=["contacts"])
    assert [one.id for one in read.associations["contacts"].results] == [ada]
    sdk.associations.v4.basic_api.archive("contacts", ada, "companies", firm)
    assert sdk.associations.v4.basic_api.get_page("companies", firm, "contacts").results == []


def test_a_create_call_whose_association_is_bad_makes_nothing(
    hubspot: HubSpotStandIn, web: httpx.Client
) -> None:
    spec = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]
    body = {"properties": {"dealname": "Year"}, "associations": [{"to": {"id": "999"}, "types": spec}]}
    assert web.post("/crm/v3/objects/deals", json=body).status_code == 404
    assert hubspot.count("deal") == 0


def test_associations_in_batches(hubspot: HubSpotStandIn, sdk: Any) -> None:
    deal = hubspot.make("deals", {"dealname": "Year"})
    lines = [hubspot.make("line_items", {"name": f"Line {number}"}) for number in (1, 2)]
    api = sdk.associations.v4.batch_api
    pairs = [{"from": {"id": deal}, "to": {"id": line}} for line in (*lines, "999")]
    told = api.create_default("deals", "line_items", {"inputs": pairs})
    assert (len(told.results), told.errors[0].context["ids"]) == (4, [deal, "999"])
    read = api.get_page("deals", "line_items", {"inputs": [{"id": deal}]})
    assert [str(one.to_object_id) for one in read.results[0].to] == lines
    typed = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 19}]
    again = api.create("deals", "line_items", {"inputs": [{**pairs[0], "types": typed}]})
    assert again.results[0].to_object_type_id == "0-8"
    api.archive("deals", "line_items", {"inputs": [{"from": {"id": deal}, "to": [{"id": lines[0]}]}]})
    assert len(sdk.associations.v4.basic_api.get_page("deals", deal, "line_items").results) == 1


def test_properties_can_be_defined_over_the_api(sdk: Any, web: httpx.Client) -> None:
    new = {
        "name": "tier",
        "label": "Tier",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
    }
    made = sdk.properties.core_api.create("contacts", {**new, "hasUniqueValue": False})
    assert made.name == "tier"
    assert web.post("/crm/v3/properties/contacts", json=new).status_code == 409
    assert sdk.properties.core_api.get_by_name("contacts", KEY).has_unique_value is True
    names = [one.name for one in sdk.properties.core_api.get_all("contacts").results]
    assert {"tier", KEY, "email", "lifecyclestage"} <= set(names)
    assert web.get("/crm/v3/properties/contacts/colour").status_code == 404


@pytest.mark.parametrize(
    ("fault", "status", "category", "applied"),
    [
        ("rate_limited_seconds", 429, "RATE_LIMITS", 0),
        ("daily_limit", 429, "RATE_LIMITS", 0),
        ("unavailable", 503, "SERVICE_UNAVAILABLE", 0),
        ("server_error", 500, "INTERNAL_ERROR", 0),
        ("server_error_after", 500, "INTERNAL_ERROR", 1),
        ("unauthorized_once", 401, "INVALID_AUTHENTICATION", 0),
        ("expired_token", 401, "EXPIRED_AUTHENTICATION", 0),
        ("conflict", 409, "CONFLICT", 0),
    ],
)
def test_faults_answer_in_hubspots_form(
    hubspot: HubSpotStandIn, sdk: Any, fault: str, status: int, category: str, applied: int
) -> None:
    hubspot.inject(fault, method="POST")
    with pytest.raises(crm_contacts.ApiException) as raised:
        sdk.contacts.batch_api.upsert({"inputs": [contact("acc-1")]})
    body = json.loads(raised.value.body)
    assert (raised.value.status, body["status"], body["category"]) == (status, "error", category)
    assert hubspot.count("contact", "acc-1") == applied


@pytest.mark.parametrize(("fault", "applied"), [("drop_before", 0), ("drop_after", 1)])
def test_dropped_connections(hubspot: HubSpotStandIn, sdk: Any, fault: str, applied: int) -> None:
    hubspot.inject(fault, path="*/batch/upsert")
    with pytest.raises((ProtocolError, MaxRetryError)):
        sdk.contacts.batch_api.upsert({"inputs": [contact("acc-1")]})
    assert hubspot.count("contact", "acc-1") == applied


def test_the_page_shows_the_objects(hubspot: HubSpotStandIn) -> None:
    hubspot.make("contacts", {KEY: "acc-1", "email": "ada@example.com"})
    page = httpx.get(f"{hubspot.url}/_page").text
    assert "ada@example.com" in page
    assert "daily_limit" in page


@pytest.mark.parametrize("bad", [None, [], {}, "x", 5, True, [1], [{}]], ids=str)
def test_bodies_of_a_wrong_shape_are_refused_and_do_not_crash(
    hubspot: HubSpotStandIn, web: httpx.Client, bad: Any
) -> None:
    objects = "/crm/v3/objects/contacts"
    batches = [f"{objects}/batch/{verb}" for verb in ("read", "create", "update", "upsert", "archive")]
    batches += [
        f"/crm/v4/associations/contacts/companies/batch/{verb}" for verb in ("read", "create", "archive")
    ]
    good = {
        "id": "1",
        "idProperty": KEY,
        "properties": {},
        "from": {"id": "1"},
        "to": {"id": "1"},
        "types": [],
    }
    for path in batches:
        for body in (bad, {"inputs": bad}, *({"inputs": [{**good, name: bad}]} for name in good)):
            assert web.post(path, json=body).status_code in (200, 201, 204, 207, 400, 404), (path, body)
    for name in ("filterGroups", "sorts", "limit", "after", "properties"):
        assert web.post(f"{objects}/search", json={name: bad}).status_code in (200, 400), name
    for body in (bad, {"properties": bad}, {"properties": {}, "associations": bad}):
        assert web.post(objects, json=body).status_code in (201, 400), body
