"""The reference stand-in on the wire: every answer is a value of its capability, every write happens once a key."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, get_type_hints

import httpx
import pytest
from pydantic import TypeAdapter

from connectors.sdk.capabilities import (
    campaigns,
    crm,
    drm,
    ledger,
    mail,
    payment,
    provisioning,
    publishing,
    shipping,
    support,
    tax,
)
from connectors.sdk.capabilities.capability import Capability, methods_of, writes_of
from connectors.sdk.key import Key
from connectors.sdk.testing import samples
from sandbox.reference.stand_in import CAPABILITIES, ReferenceStandIn
from tests.sandbox import wire

CLASSES: list[type[Capability]] = [
    payment.PaymentGateway,
    payment.PaymentMethods,
    tax.TaxEngine,
    mail.Mailer,
    crm.Crm,
    ledger.GeneralLedger,
    publishing.Cms,
    campaigns.Campaigns,
    shipping.Shipper,
    drm.Drm,
    provisioning.Provisioner,
    support.SupportDesk,
]
WRITES = [(cls, method) for cls in CLASSES for method in writes_of(cls)]
READS = [
    (cls, method)
    for cls in CLASSES
    for method in samples.READS.get(cls.capability, {})
    if method != "changes"
]


class Peer:
    """What a generated connector does: dump the argument, post it, read the answer as the method's type."""

    def __init__(self, capability: type[Capability], url: str) -> None:
        self.capability = capability
        self.http = wire.client(base_url=url, headers={"X-Key": "k"}, timeout=10)
        self.last: httpx.Response | None = None

    def send(self, method: str, request: Any, key: Key | None) -> httpx.Response:
        """Post the JSON of a request."""
        headers = {"Idempotency-Key": str(key)} if key else {}
        body = TypeAdapter(Any).dump_json(request)
        headers["Content-Type"] = "application/json"
        self.last = self.http.post(f"/{self.capability.capability}/{method}", content=body, headers=headers)
        return self.last

    def __getattr__(self, method: str) -> Any:
        async def call(request: Any, key: Key | None = None) -> Any:
            return self.value(method, self.send(method, request, key).raise_for_status())

        return call

    def value(self, method: str, reply: httpx.Response) -> Any:
        """The answer as the type that the capability's method names."""
        answer = get_type_hints(methods_of(self.capability)[method])["return"]
        return TypeAdapter(answer).validate_json(reply.content)


@pytest.fixture(scope="module")
def running() -> Iterator[ReferenceStandIn]:
    with ReferenceStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def reference(running: ReferenceStandIn) -> ReferenceStandIn:
    running.reset()
    return running


def test_it_has_every_method_of_every_capability() -> None:
    for cls in CLASSES:
        wanted = set(methods_of(cls)) - {"changes"}
        assert set(CAPABILITIES[cls.capability]) == wanted, cls.capability
        writes = {name for name, method in CAPABILITIES[cls.capability].items() if method.write}
        assert writes == set(writes_of(cls)), cls.capability
    assert set(CAPABILITIES) == {cls.capability for cls in CLASSES}


@pytest.mark.parametrize(("cls", "method"), WRITES, ids=lambda v: getattr(v, "capability", v))
def test_a_write_answers_the_capabilitys_value_once_a_key(
    cls: type[Capability], method: str, reference: ReferenceStandIn
) -> None:
    peer = Peer(cls, reference.url)
    sample = asyncio.run(samples.WRITES[cls.capability][method](peer, "1"))
    before = reference.count()
    first = peer.send(method, sample.request, sample.key)
    assert peer.value(method, first.raise_for_status())
    assert reference.count() == before + 1
    assert reference.count(key=str(sample.key)) == 1
    again = peer.send(method, sample.request, sample.key)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert reference.count() == before + 1
    assert peer.send(method, sample.request, None).json()["error"]["code"] == "missing_key"
    other = peer.send(method, {"other": 1}, sample.key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "key_reused")


@pytest.mark.parametrize(("cls", "method"), READS, ids=lambda v: getattr(v, "capability", v))
def test_a_read_answers_the_capabilitys_value_and_does_nothing(
    cls: type[Capability], method: str, reference: ReferenceStandIn
) -> None:
    peer = Peer(cls, reference.url)
    (request,) = samples.READS[cls.capability][method]
    if isinstance(request, str):
        name = next(name for name in get_type_hints(methods_of(cls)[method]) if name != "return")
        request = {name: request}
        assert peer.send(method, request, None).json() in (None, "unknown")
    else:
        assert peer.value(method, peer.send(method, request, None).raise_for_status())
    assert reference.count() == 0


def test_what_was_made_is_found_again(reference: ReferenceStandIn) -> None:
    def found(cls: type[Capability], method: str, **by: str) -> Any:
        peer = Peer(cls, reference.url)
        return peer.value(method, peer.send(method, by, None).raise_for_status())

    gateway = Peer(payment.PaymentGateway, reference.url)
    paid = asyncio.run(samples.charged(gateway, "1"))
    assert found(payment.PaymentGateway, "find", reference=paid.reference) == paid
    shipper = Peer(shipping.Shipper, reference.url)
    label = asyncio.run(shipper.buy(samples.parcel("1"), Key("k-label")))
    assert found(shipping.Shipper, "find", order="ship-1") == label
    assert found(shipping.Shipper, "track", label=label.id) is shipping.TrackingStatus.IN_TRANSIT
    licence = asyncio.run(Peer(drm.Drm, reference.url).grant(samples.licence("1"), Key("k-licence")))
    assert found(drm.Drm, "status", reference="lic-1") == licence
    assert found(shipping.Shipper, "track", label="none") is shipping.TrackingStatus.UNKNOWN


def test_payments_keep_the_laws_of_money(reference: ReferenceStandIn) -> None:
    gateway = Peer(payment.PaymentGateway, reference.url)
    keys = (Key(f"k-{n}") for n in itertools.count())
    held = asyncio.run(samples.held(gateway, "1"))
    assert (held.status, held.captured) == ("authorized", 0)
    over = gateway.send("capture", {"payment": held.id, "amount": 1251}, next(keys))
    assert (over.status_code, over.json()["error"]["fields"]) == (
        422,
        {"amount": "is more than what is held"},
    )
    assert gateway.send("capture", {"payment": held.id, "amount": 500}, next(keys)).json()["captured"] == 500
    back = {"reference": "r", "payment": held.id, "amount": 501, "currency": "USD"}
    assert gateway.send("refund", back, next(keys)).json()["error"]["code"] == "amount_too_large"
    assert gateway.send("refund", {**back, "amount": 500}, next(keys)).json()["status"] == "succeeded"
    assert gateway.send("void", {"payment": held.id}, next(keys)).status_code == 409
    declined = asyncio.run(
        gateway.charge(samples.charge("2", method="pm_card_chargeDeclinedLostCard"), next(keys))
    )
    assert (declined.status, declined.decline.code) == ("failed", "lost_card")
    assert reference.count("charge") == 1
    challenged = samples.charge("3", method="pm_card_threeDSecure2Required", off_session=False)
    waiting = asyncio.run(gateway.charge(challenged, next(keys)))
    assert waiting.status == "requires_action"
    assert wire.get(waiting.next_action_url).status_code == 200
    assert gateway.send("find", {"reference": "pay-3"}, None).json()["status"] == "succeeded"


def test_after_a_day_a_key_is_forgotten_and_a_charge_is_made_twice(reference: ReferenceStandIn) -> None:
    gateway = Peer(payment.PaymentGateway, reference.url)
    for day in (0, 1):
        reference.advance(timedelta(days=day))
        asyncio.run(gateway.charge(samples.charge("1"), Key("k")))
    assert reference.count("charge", "pay-1") == 2


def test_tax_sums_is_contained_where_it_is_inclusive_and_is_given_back_once(
    reference: ReferenceStandIn,
) -> None:
    engine = Peer(tax.TaxEngine, reference.url)
    order = samples.tax_order("1")
    quote = asyncio.run(engine.quote(order))
    assert [line.amount for line in quote.lines] == [
        80 + 90 + 7,
        20 + 23 + 2,
    ]  # 4 %, 4.5 %, 0.375 % of 1999 and 501
    assert quote.total == 222
    german = order.model_copy(
        update={
            "ship_to": samples.address("DE").model_copy(update={"region": ""}),
            "lines": (tax.TaxOrderLine(number="1", amount=1190, inclusive=True),),
        }
    )
    assert asyncio.run(engine.quote(german)).total == 190
    assert asyncio.run(engine.quote(german.model_copy(update={"exemption": "church"}))).total == 0
    made = asyncio.run(engine.commit(order, Key("k-1")))
    assert asyncio.run(engine.commit(order, Key("k-2"))) == made
    part = tax.TaxRefund(code="CN-1", of=made.code, on=samples.DAY, lines=("2",))
    assert asyncio.run(engine.refund(part, Key("k-3"))).total == -45
    again = engine.send("refund", part.model_copy(update={"code": "CN-2"}), Key("k-4"))
    assert (again.status_code, again.json()["error"]["code"]) == (422, "already_refunded")
    assert (reference.count("commit"), reference.count("refund")) == (1, 1)


def test_journals_balance_and_reversals_are_the_opposite(reference: ReferenceStandIn) -> None:
    books = Peer(ledger.GeneralLedger, reference.url)
    posted = samples.journal("1").model_dump(mode="json")
    posted["lines"][0]["debit"] = 1251
    refused = books.send("post", posted, Key("k-1"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unbalanced")
    asyncio.run(books.post(samples.journal("1"), Key("k-2")))
    reversal = ledger.JournalReversal(number="REV-1", of="JRN-1", on=samples.DAY)
    back = asyncio.run(books.reverse(reversal, Key("k-3")))
    assert (back.debit, back.credit, back.reverses) == (1250, 1250, "JRN-1")


def test_one_bad_record_fails_alone(reference: ReferenceStandIn) -> None:
    sales = Peer(crm.Crm, reference.url)
    records = [
        samples.contact("1"),
        samples.contact("2", email="nowhere"),
        samples.contact("3", no_such_field="1"),
    ]
    first, second, third = asyncio.run(sales.upsert(records, Key("k")))
    assert (first.status, second.status, third.status) == ("written", "rejected", "rejected")
    assert second.fields == {"email": "is no address"}
    assert third.message == "no_such_field is unknown"
    assert reference.count("upsert") == 1


def test_changes_page_to_the_whole_from_any_cursor(reference: ReferenceStandIn) -> None:
    sales = Peer(crm.Crm, reference.url)
    many = [samples.contact(str(n)) for n in range(230)]
    asyncio.run(sales.upsert(many, Key("k-1")))
    asyncio.run(sales.upsert(many[:1], Key("k-2")))

    def walk(cursor: str | None) -> Iterator[tuple[list[str], str | None]]:
        while True:
            params = {"kind": "contact"} | ({"cursor": cursor} if cursor else {})
            page = sales.http.get("/crm/changes", params=params).raise_for_status().json()
            cursor = page["next"]
            yield [item["key"] for item in page["items"]], cursor
            if cursor is None:
                return

    pages = list(walk(None))
    whole = [key for keys, _ in pages for key in keys]
    assert len(whole) == len(set(whole)) == 230
    assert whole[-1] == "acct-0"
    assert [key for keys, _ in walk(pages[0][1]) for key in keys] == whole[100:]
    assert sales.http.get("/crm/changes", params={"kind": "company"}).json() == {"items": [], "next": None}
    assert sales.http.get("/crm/changes", params={"cursor": "x"}).status_code == 422


def test_a_told_event_is_told_once_whatever_the_key(reference: ReferenceStandIn) -> None:
    news = Peer(campaigns.Campaigns, reference.url)
    event = campaigns.CampaignEvent(key="e-1", profile="p", name="renewed", at=samples.UNTIL)
    for n in (1, 2):
        (outcome,) = asyncio.run(news.track([event], Key(f"k-{n}")))
        assert outcome.status == "written"
    assert reference.count("track", "e-1") == 1


def test_errors_and_faults_are_of_one_form(reference: ReferenceStandIn) -> None:
    assert wire.get(f"{reference.url}/health").status_code == 401
    gateway = Peer(payment.PaymentGateway, reference.url)
    assert gateway.http.get("/health").json() == {"ok": True}
    assert gateway.send("dance", {}, None).json()["error"]["code"] == "not_found"
    lacking = gateway.send("charge", {"reference": "r"}, Key("k")).json()["error"]
    assert set(lacking["fields"]) == {"amount", "currency", "method"}
    for fault, status, code in (
        ("conflict", 409, "in_progress"),
        ("rejected", 422, "rejected"),
        ("greylist", 503, "unavailable"),
        ("error_in_200", 200, "error_in_200"),
    ):
        reference.inject(fault)
        reply = gateway.send("charge", samples.charge("1"), Key("k"))
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert reference.count() == 0
