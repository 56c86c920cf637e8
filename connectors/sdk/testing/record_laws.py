"""Laws of capabilities that keep records in step: sales, mail, delivery, licences, users, offers, support."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from connectors.sdk.capabilities import campaigns, crm, drm, provisioning, publishing, shipping
from connectors.sdk.errors import Rejected, Transient
from connectors.sdk.key import Key
from connectors.sdk.testing import samples
from connectors.sdk.testing.case import Bench, Case
from connectors.sdk.testing.faults import effects_of_one
from connectors.sdk.values import RecordStatus

MANY = 230


async def _records_answer_one_by_one(bench: Bench) -> None:
    records = [samples.contact(f"many-{i}") for i in range(MANY)]
    before = bench.stand_in.count()
    outcomes = await bench.connector.upsert(records, Key.of("crm", "many"))
    assert [outcome.key for outcome in outcomes] == [record.key for record in records], (
        "not one outcome a record"
    )
    assert all(outcome.status is RecordStatus.WRITTEN for outcome in outcomes)
    _written(bench, "crm.upsert", MANY, before)


async def _one_bad_record_fails_alone(bench: Bench) -> None:
    bad = bench.samples.get("bad_record") or samples.contact("bad", no_such_field_of_ours="1")
    records = [samples.contact("good-1"), bad, samples.contact("good-2")]
    before = bench.stand_in.count()
    outcomes = {o.key: o for o in await bench.connector.upsert(records, Key.of("crm", "bad"))}
    assert outcomes[bad.key].status is RecordStatus.REJECTED, "the bad record was taken"
    assert outcomes[bad.key].message, "the bad record was refused without a word"
    good = [outcomes[record.key].status for record in records if record is not bad]
    assert good == [RecordStatus.WRITTEN] * 2, "a bad record failed its batch"
    _written(bench, "crm.upsert", 2, before)


def _written(bench: Bench, method: str, records: int, before: int) -> None:
    """What is told as written was written, by the stand-in's own count."""
    counted = bench.stand_in.count() - before
    right = records * effects_of_one(bench, method)
    assert counted == right, f"{records} records told as written, and the stand-in counted {counted}"


async def _a_second_upsert_is_the_same_record(bench: Bench) -> None:
    first = await bench.connector.upsert([samples.contact("same")], Key.of("crm", "same-1"))
    changed = samples.contact("same", firstname="Changed")
    second = await bench.connector.upsert([changed], Key.of("crm", "same-2"))
    assert first[0].vendor_id, "no id of the other system's"
    assert first[0].vendor_id == second[0].vendor_id, "a second state of a record made a second record"


async def _changes_page_to_the_whole(bench: Bench) -> None:
    records = [samples.contact(f"page-{i}") for i in range(MANY)]
    await bench.connector.upsert(records, Key.of("crm", "pages"))
    whole, cursors = await _walk(bench.connector, None)
    assert len(whole) == len(set(whole)), "a page repeats what another told"
    assert len(whole) >= MANY, f"{MANY} records were written, and all pages tell of {len(whole)}"
    for cursor, told_before in cursors:
        rest, _ = await _walk(bench.connector, cursor)
        missing = set(whole[told_before:]) - set(rest)
        assert not missing, f"from its page {cursor!r} on, {len(missing)} records are missing"


async def _walk(connector: Any, cursor: str | None) -> tuple[list[str], list[tuple[str, int]]]:
    told: list[str] = []
    cursors: list[tuple[str, int]] = []
    seen = {cursor}
    for _ in range(1000):
        page = await connector.changes(crm.CrmKind.CONTACT, cursor)
        told += [change.vendor_id for change in page.items]
        if page.next is None or (not page.items and page.next == cursor):
            return told, cursors
        assert page.next not in seen, "its pages do not end: one leads back to one before it"
        seen.add(page.next)
        cursor = page.next
        cursors.append((cursor, len(told)))
        if not page.items:
            return told, cursors
    raise AssertionError("its pages do not end")


CRM = [
    Case("capability", "crm: an outcome for each record", _records_answer_one_by_one),
    Case("capability", "crm: one bad record fails alone", _one_bad_record_fails_alone),
    Case("capability", "crm: upsert twice is one record", _a_second_upsert_is_the_same_record),
    Case("capability", "crm: pages make the whole, from any cursor", _changes_page_to_the_whole),
]


async def _refusals_for_now_and_for_good(bench: Bench) -> None:
    for fault, kind in (("greylist", Transient), ("rejected", Rejected)):
        bench.stand_in.inject(fault)
        sample = await samples.WRITES["mail"]["send"](bench.connector, fault)
        try:
            await bench.connector.send(sample.request, sample.key)
        except kind:
            continue
        raise AssertionError(f"{fault} is not {kind.__name__}")


MAIL = [Case("capability", "mail: 4yz is Transient, 5yz is Rejected", _refusals_for_now_and_for_good)]


async def _one_label_an_order(bench: Bench) -> None:
    parcel = samples.parcel("one")
    bought = await bench.connector.buy(parcel, Key.of("label", "one"))
    found = await bench.connector.find(parcel.order)
    assert found is not None, "the label is not found by our order"
    assert found.id == bought.id
    voided = await bench.connector.void(shipping.LabelVoid(label=bought.id), Key.of("label-void", "one"))
    assert voided.id == bought.id


SHIPPING = [Case("capability", "shipping: one label an order, found by it", _one_label_an_order)]


async def _a_licence_ends_when_it_is_paid_through(bench: Bench) -> None:
    order = samples.licence("end")
    granted = await bench.connector.grant(order, Key.of("licence", "end"))
    assert granted.until <= order.until, "it lasts longer than is paid"
    later = order.until + timedelta(days=30)
    extended = await bench.connector.extend(
        drm.LicenceExtension(licence=granted.id, until=later), Key.of("extension", "end")
    )
    assert order.until < extended.until <= later
    revocation = drm.LicenceRevocation(licence=granted.id)
    for attempt in (1, 2):
        ended = await bench.connector.revoke(revocation, Key.of("revocation", "end", attempt))
        assert ended.status in (drm.LicenceStatus.REVOKED, drm.LicenceStatus.EXPIRED)


DRM = [
    Case(
        "capability",
        "drm: ends when it is paid through, revoked once",
        _a_licence_ends_when_it_is_paid_through,
    )
]


async def _a_user_is_one(bench: Bench) -> None:
    user = samples.user("one")
    made = await bench.connector.put(user, Key.of("user", "one-1"))
    again = await bench.connector.put(user.model_copy(update={"features": ()}), Key.of("user", "one-2"))
    assert again.id == made.id, "a second state of a user made a second user"
    assert again.features == (), "a feature that was taken away is still there"
    for attempt in (1, 2):
        gone = await bench.connector.deactivate(
            provisioning.UserDeactivation(external_id=user.external_id),
            Key.of("deactivation", "one", attempt),
        )
        assert not gone.active


PROVISIONING = [Case("capability", "provisioning: one user an id, deactivated once", _a_user_is_one)]


async def _an_offer_is_one(bench: Bench) -> None:
    offering = publishing.Offering(code="plan-one", title="One")
    made = await bench.connector.publish(offering, Key.of("offering", "one-1"))
    changed = offering.model_copy(update={"title": "Two"})
    again = await bench.connector.publish(changed, Key.of("offering", "one-2"))
    assert again.id == made.id, "a second state of an offer made a second offer"
    for attempt in (1, 2):
        off = await bench.connector.withdraw(
            publishing.OfferingWithdrawal(code=offering.code), Key.of("withdrawal", "one", attempt)
        )
        assert not off.published


CMS = [Case("capability", "cms: one offer a code, withdrawn once", _an_offer_is_one)]


async def _profiles_answer_one_by_one(bench: Bench) -> None:
    profiles = [samples.profile(f"many-{i}") for i in range(MANY)]
    outcomes = await bench.connector.upsert_profiles(profiles, Key.of("profile", "many"))
    assert [outcome.key for outcome in outcomes] == [profile.key for profile in profiles]


async def _one_bad_profile_fails_alone(bench: Bench) -> None:
    bad = bench.samples.get("bad_profile") or campaigns.Profile(key="acct-bad", email="no address")
    profiles = [samples.profile("good-1"), bad, samples.profile("good-2")]
    before = bench.stand_in.count()
    outcomes = {o.key: o for o in await bench.connector.upsert_profiles(profiles, Key.of("profile", "bad"))}
    assert outcomes[bad.key].status is RecordStatus.REJECTED, "the bad profile was taken"
    good = [outcomes[profile.key].status for profile in profiles if profile is not bad]
    assert good == [RecordStatus.WRITTEN] * 2, "a bad profile failed its batch"
    _written(bench, "campaigns.upsert_profiles", 2, before)


async def _an_event_is_told_once(bench: Bench) -> None:
    sample = await samples.WRITES["campaigns"]["track"](bench.connector, "once")
    await bench.connector.track(sample.request, Key.of("event", "once-1"))
    before = bench.stand_in.count()
    await bench.connector.track(sample.request, Key.of("event", "once-2"))
    assert bench.stand_in.count() == before, "an event that was told came again as another one"


CAMPAIGNS = [
    Case("capability", "campaigns: an outcome for each profile", _profiles_answer_one_by_one),
    Case("capability", "campaigns: one bad profile fails alone", _one_bad_profile_fails_alone),
    Case("capability", "campaigns: an event is told once, by its own key", _an_event_is_told_once),
]


async def _a_customer_is_one(bench: Bench) -> None:
    sample = await samples.WRITES["support"]["upsert_view"](bench.connector, "one")
    made = await bench.connector.upsert_view(sample.request, Key.of("view", "one-1"))
    again = await bench.connector.upsert_view(sample.request, Key.of("view", "one-2"))
    assert made.id == again.id, "a second view of a customer made a second customer"


SUPPORT = [Case("capability", "support: one customer a key", _a_customer_is_one)]
