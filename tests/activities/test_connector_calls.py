"""What a call does in every kind of trouble: how often the other system did it, and where the call then stands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import Engine
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.call_attempt import Patience
from activities.errors import pause_after
from connectors.sdk.errors import RateLimited
from connectors.sdk.idempotency import Never, idempotency_of
from connectors.sdk.methods import all_methods
from contracts.connector_call import CallOutcome, CallRef, CallStatus
from operations.calls.prepare import CallOrder, KeyConflict, prepare_call
from storage.database import make_engine, transaction
from tests.activities.acme import CONNECTORS, SECRET, AcmeMail, Vendor, running_vendor
from tests.activities.calling import CHARGE, MAIL, NAME, STREET, Tries, prepare
from tests.conftest import PostgresForTests, wait_until

CANARIES = (SECRET, NAME, MAIL, STREET, "Quillfeather", "12345")


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("calls")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with running_vendor() as vendor:
        yield vendor


@pytest.fixture
def tries(engine: Engine, vendor: Vendor) -> Tries:
    return Tries(engine, vendor.url)


def row(url: str, ref: CallRef) -> dict[str, Any]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        found = connection.execute("select * from connector_call where id = %s", (ref.call_id,)).fetchone()
    assert found is not None
    return found


def park_of(url: str, ref: CallRef) -> dict[str, Any] | None:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(
            "select * from parked where call_id = %s and resolved_at is null", (ref.call_id,)
        ).fetchone()


def set_back(url: str, ref: CallRef, by: timedelta) -> None:
    """As if the call had been sent longer ago."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "update connector_call set first_sent_at = first_sent_at - %s, last_sent_at = last_sent_at - %s"
            " where id = %s",
            (by, by, ref.call_id),
        )


def left_as_sent(url: str, ref: CallRef, ago: timedelta = timedelta()) -> None:
    """As a worker leaves it that is killed between the commit of `sent` and that of the outcome."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "update connector_call set status = 'sent', attempts = 1, first_sent_at = now() - %s,"
            " last_sent_at = now() - %s where id = %s",
            (ago, ago, ref.call_id),
        )


async def failed(tries: Tries, ref: CallRef, **more: Any) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await tries.once(ref, **more)
    return caught.value


async def test_a_call_that_goes_well(url: str, engine: Engine, vendor: Vendor, tries: Tries) -> None:
    ref = prepare(engine, "pay").ref
    outcome = await tries.once(ref)
    assert outcome.status is CallStatus.SUCCEEDED
    assert outcome.answer["amount"] == 1290
    assert outcome.answer["status"] == "succeeded"
    # A link that lets its bearer in stays in the row.
    assert "token-1" not in outcome.model_dump_json()
    stored = row(url, ref)
    assert stored["answer"]["next_action_url"] == "https://x/token-1"
    assert stored["ended_at"] is not None
    assert await tries.once(ref) == outcome
    assert vendor.count("charge") == 1
    assert vendor.requests["POST /charge"] == 1


def test_the_same_key_is_one_call_and_another_request_under_it_is_refused(url: str, engine: Engine) -> None:
    first, again = prepare(engine, "pay", "charge:inv-1:1"), prepare(engine, "pay", "charge:inv-1:1")
    assert (first.created, again.created, first.ref) == (True, False, again.ref)
    with pytest.raises(KeyConflict, match=r"charge:inv-1:1.*another request"):
        prepare(engine, "pay", "charge:inv-1:1", amount=1291)
    assert row(url, first.ref)["request"]["amount"] == 1290
    with transaction(engine) as connection, pytest.raises(ValueError, match=r"payment\.charge"):
        prepare_call(connection, CallOrder("pay", "charge", "k", CHARGE))


@pytest.mark.parametrize(
    ("fault", "kind", "delay", "category"),
    [
        ("503", "Transient", 1, ApplicationErrorCategory.UNSPECIFIED),
        ("429 7", "RateLimited", 7, ApplicationErrorCategory.BENIGN),
        ("429", "RateLimited", 1, ApplicationErrorCategory.BENIGN),
    ],
)
@pytest.mark.parametrize("to", ["pay", "ship", "mail"])
async def test_what_was_surely_not_done_is_tried_again(
    url: str,
    engine: Engine,
    vendor: Vendor,
    tries: Tries,
    to: str,
    fault: str,
    kind: str,
    delay: float,
    category: ApplicationErrorCategory,
) -> None:
    ref = prepare(engine, to).ref
    vendor.faults = [fault]
    error = await failed(tries, ref)
    assert (error.type, error.non_retryable, error.category) == (kind, False, category)
    assert error.next_retry_delay == timedelta(seconds=delay)
    stored = row(url, ref)
    assert (stored["status"], stored["first_sent_at"]) == ("intent", None)
    assert (await tries.once(ref)).status is CallStatus.SUCCEEDED
    assert len(vendor.effects) == 1


async def test_a_vendor_that_is_away_for_too_long_parks_the_call(
    url: str, engine: Engine, tries: Tries
) -> None:
    tries.opener.url = "http://127.0.0.1:1"
    ref = prepare(engine, "mail").ref
    delays = [(await failed(tries, ref, attempt=number)).next_retry_delay for number in (1, 2, 5, 50)]
    assert delays == sorted(delays)  # type: ignore[type-var]
    assert delays[-1] == timedelta(minutes=5)
    outcome = await tries.once(ref, attempt=60, waited=timedelta(hours=24))
    assert (outcome.status, outcome.error_kind) == (CallStatus.PARKED, "transient")
    park = park_of(url, ref)
    assert park is not None
    assert str(park["id"]) == outcome.park_id
    assert "masthead errors retry" in park["remedy"]


@pytest.mark.parametrize("fault", ["dropped", "dropped after", "500", "html"])
async def test_native_the_same_key_goes_out_again_and_it_is_done_once(
    url: str, engine: Engine, vendor: Vendor, tries: Tries, fault: str
) -> None:
    ref = prepare(engine, "pay").ref
    vendor.faults = [fault, fault]
    pauses = []
    for _ in range(2):
        outcome = await tries.once(ref)
        assert outcome.status is CallStatus.UNKNOWN
        assert outcome.again_at is not None
        pauses.append(outcome.again_at - row(url, ref)["last_sent_at"])
    assert timedelta(seconds=1) < pauses[0] < pauses[1]
    assert (await tries.once(ref)).status is CallStatus.SUCCEEDED
    assert vendor.count("charge") == 1
    assert vendor.requests["POST /charge"] == 3


async def test_native_a_key_that_may_be_forgotten_is_never_sent_again(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    ref = prepare(engine, "pay").ref
    vendor.faults = ["dropped after"]
    await tries.once(ref)
    set_back(url, ref, timedelta(hours=23, minutes=31))
    outcome = await tries.once(ref)
    assert (outcome.status, outcome.error_kind) == (CallStatus.PARKED, "unknown")
    park = park_of(url, ref)
    assert park is not None
    assert "forgotten the key" in park["message"]
    assert "--not-applied" in park["remedy"]
    assert await tries.once(ref) == outcome
    assert vendor.requests["POST /charge"] == 1


async def test_a_refusal_of_the_second_send_does_not_hide_that_the_first_may_have_been_done(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    ref = prepare(engine, "pay").ref
    vendor.faults = ["dropped after", "503", "422"]
    assert (await tries.once(ref)).status is CallStatus.UNKNOWN
    first = row(url, ref)["first_sent_at"]
    await failed(tries, ref)
    assert (row(url, ref)["status"], row(url, ref)["first_sent_at"]) == ("unknown", first)
    assert (await tries.once(ref)).error_kind == "rejected"
    assert row(url, ref)["first_sent_at"] == first


async def test_by_find_what_was_done_is_found(url: str, engine: Engine, vendor: Vendor, tries: Tries) -> None:
    ref = prepare(engine, "ship").ref
    vendor.faults = ["dropped after"]
    outcome = await tries.once(ref)
    assert outcome.status is CallStatus.UNKNOWN
    found = await tries.once(ref)
    assert (found.status, found.answer["id"]) == (CallStatus.SUCCEEDED, "label-1")
    assert (vendor.count("label"), vendor.requests["POST /label"]) == (1, 1)


async def test_by_find_not_found_counts_only_after_the_lag(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    ref = prepare(engine, "ship").ref
    vendor.faults = ["dropped"]
    await tries.once(ref)
    # Asked at once: the search may not show it yet.
    early = await tries.once(ref)
    assert early.status is CallStatus.UNKNOWN
    assert vendor.requests["POST /label"] == 1
    set_back(url, ref, timedelta(seconds=1))
    done = await tries.once(ref)
    assert done.status is CallStatus.SUCCEEDED
    assert (vendor.count("label"), vendor.requests["POST /label"]) == (1, 2)


async def test_by_find_a_look_up_that_fails_is_tried_again_and_nothing_is_sent(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    ref = prepare(engine, "ship").ref
    vendor.faults = ["dropped after", "503"]
    await tries.once(ref)
    assert (await failed(tries, ref)).type == "Transient"
    assert row(url, ref)["status"] == "unknown"
    vendor.faults = ["422"]
    assert (await tries.once(ref)).error_kind == "rejected"
    assert row(url, ref)["first_sent_at"] is not None
    assert vendor.requests["POST /label"] == 1


async def test_never_is_not_sent_again(url: str, engine: Engine, vendor: Vendor, tries: Tries) -> None:
    ref = prepare(engine, "mail").ref
    vendor.faults = ["dropped after"]
    outcome = await tries.once(ref)
    assert (outcome.status, outcome.error_kind) == (CallStatus.PARKED, "unknown")
    assert await tries.once(ref) == outcome
    assert vendor.requests["POST /mail"] == 1


@pytest.mark.parametrize(
    ("to", "path", "status", "sends"),
    [
        ("pay", "charge", CallStatus.SUCCEEDED, 1),
        ("ship", "label", CallStatus.UNKNOWN, 0),
        ("mail", "mail", CallStatus.PARKED, 0),
    ],
)
async def test_a_send_whose_worker_was_lost_is_never_repeated_blindly(
    url: str, engine: Engine, vendor: Vendor, tries: Tries, to: str, path: str, status: CallStatus, sends: int
) -> None:
    ref = prepare(engine, to).ref
    left_as_sent(url, ref)
    outcome = await tries.once(ref)
    assert outcome.status is status
    assert vendor.requests[f"POST /{path}"] == sends
    if to == "ship":
        # It may still be on its way for as long as a send may take; only then "not found" means not done.
        assert (await tries.once(ref)).status is CallStatus.UNKNOWN
        assert vendor.requests["POST /label"] == 0
        set_back(url, ref, Patience().send + timedelta(seconds=1))
        assert (await tries.once(ref)).status is CallStatus.SUCCEEDED
        assert vendor.count("label") == 1


async def test_a_read_is_just_asked_again(url: str, engine: Engine, vendor: Vendor, tries: Tries) -> None:
    vendor.apply("charge", CHARGE, None)
    with transaction(engine) as connection:
        ref = prepare_call(connection, CallOrder("pay", "payment.find", "find:pay-1:1", "pay-1")).ref
    left_as_sent(url, ref)
    vendor.faults = ["dropped", "500"]
    assert [(await failed(tries, ref)).type for _ in range(2)] == ["Transient"] * 2
    outcome = await tries.once(ref)
    assert (outcome.status, outcome.answer["reference"]) == (CallStatus.SUCCEEDED, "pay-1")


async def test_what_is_refused_is_parked_with_what_is_wrong_with_it(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    ref = prepare(engine, "ship", account_id=None).ref
    vendor.faults = ["422"]
    outcome = await tries.once(ref)
    assert (outcome.status, outcome.error_kind, outcome.code) == (CallStatus.PARKED, "rejected", "bad_amount")
    park = park_of(url, ref)
    assert park is not None
    assert (park["connection"], park["method"], park["error_code"]) == ("ship", "shipping.buy", "bad_amount")
    assert park["fields"] == {"amount": "too small"}
    # The vendor repeated the whole request in its message.
    told = f"{park} {row(url, ref)['message']} {outcome}"
    assert not [canary for canary in CANARIES if canary in told]
    assert "ship-1" in park["message"]


async def test_refused_credentials_park_and_mark_the_connection(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into connection (name, connector, mode, enabled, config_fingerprint)"
            " values ('mail', 'acme-mail', 'live', true, 'x')"
        )
    ref = prepare(engine, "mail").ref
    vendor.faults = ["401"]
    assert (await tries.once(ref)).error_kind == "unauthorized"
    with psycopg.connect(url) as connection:
        marked = connection.execute(
            "select needs_authorisation from connection where name = 'mail'"
        ).fetchone()
    assert marked is not None
    assert marked[0].startswith("refused")
    assert SECRET not in marked[0]


async def test_a_connector_that_fails_by_itself_parks_and_what_it_sent_stays_in_doubt(
    url: str, engine: Engine, tries: Tries, caplog: pytest.LogCaptureFixture
) -> None:
    ref = prepare(engine, "pay", description="poison", reference=NAME).ref
    with caplog.at_level(logging.DEBUG):
        outcome = await tries.once(ref)
    assert outcome.error_kind == "broken"
    park = park_of(url, ref)
    assert park is not None
    assert "KeyError in charge" in park["message"]
    assert NAME not in f"{park} {caplog.text}"
    assert row(url, ref)["first_sent_at"] is not None


async def test_what_cannot_be_sent_as_it_is_configured_or_written_is_parked_before_it_is_sent(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    for key, change in (("amount", -5), ("currency", "dollars")):
        wrong = prepare(engine, "pay", **{key: change}).ref
        assert (await tries.once(wrong)).code == "invalid_request"
        park = park_of(url, wrong)
        assert park is not None
        assert list(park["fields"]) == [key]
    with transaction(engine) as connection:
        nowhere = prepare_call(connection, CallOrder("elsewhere", "payment.charge", "k", CHARGE)).ref
    assert (await tries.once(nowhere)).error_kind == "definition"
    with transaction(engine) as connection:
        unable = prepare_call(connection, CallOrder("mail", "payment.charge", "k", CHARGE)).ref
    assert (await tries.once(unable)).error_kind == "definition"
    tries.opener.mode = "live"
    with transaction(engine) as connection:
        played = prepare_call(connection, CallOrder("pay", "payment.charge", "k", CHARGE, mode="test")).ref
    assert (await tries.once(played)).error_kind == "definition"
    tries.opener.secrets = {}
    keyless = prepare(engine, "pay").ref
    assert (await tries.once(keyless)).error_kind == "definition"
    assert vendor.effects == []
    tries.opener.secrets = {"ACME_KEY": SECRET}


async def test_an_answer_that_comes_late_counts_though_the_call_is_parked(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    """The worker that was given up is alive, and its answer comes after another has parked the call."""
    ref = prepare(engine, "mail").ref
    vendor.gate.clear()
    slow = asyncio.create_task(tries.once(ref))
    await asyncio.to_thread(wait_until, "the vendor has it", lambda: vendor.count("mail"))
    assert (await tries.once(ref)).status is CallStatus.PARKED
    vendor.gate.set()
    assert (await slow).status is CallStatus.SUCCEEDED
    assert park_of(url, ref) is None
    assert vendor.count("mail") == 1


async def test_a_canceled_try_writes_down_what_came_of_its_send(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    ref = prepare(engine, "mail").ref
    vendor.gate.clear()
    going = asyncio.create_task(tries.once(ref))
    await asyncio.to_thread(wait_until, "the vendor has it", lambda: vendor.count("mail"))
    going.cancel()
    asyncio.get_running_loop().call_later(0.05, vendor.gate.set)
    with pytest.raises(asyncio.CancelledError):
        await going
    assert row(url, ref)["status"] == "succeeded"


async def test_a_newer_success_settles_older_parks_about_the_same(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    about = {"trace_key": "user/acct-1"}
    old = prepare(engine, "users", "put:acct-1:1", **about).ref
    other = prepare(engine, "users", "put:acct-2:1", trace_key="user/acct-2").ref
    vendor.faults = ["422", "422"]
    for ref in (old, other):
        assert (await tries.once(ref)).status is CallStatus.PARKED
    new = prepare(engine, "users", "put:acct-1:2", active=False, **about).ref
    assert (await tries.once(new)).status is CallStatus.SUCCEEDED
    assert (park_of(url, old), row(url, old)["status"]) == (None, "skipped")
    assert row(url, other)["status"] == "parked"
    assert (await tries.once(old)).status is CallStatus.SKIPPED


async def test_an_older_state_of_a_record_is_not_sent_after_a_newer_one(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    about = {"trace_key": "users/people/acct-7"}
    old = prepare(engine, "users", "sync:people:acct-7:1:aa", **about).ref
    new = prepare(engine, "users", "sync:people:acct-7:2:bb", active=False, **about).ref
    other = prepare(engine, "users", "sync:people:acct-8:1:cc", trace_key="users/people/acct-8").ref
    assert (await tries.once(old)).status is CallStatus.SKIPPED
    assert vendor.requests.total() == 0
    for ref in (new, other):
        assert (await tries.once(ref)).status is CallStatus.SUCCEEDED
    assert (await tries.once(old)).status is CallStatus.SKIPPED
    assert row(url, old)["ended_at"] is not None


@pytest.mark.parametrize("key", ["charge:inv-7", "sync:people:acct-9"])
async def test_calls_that_count_each_and_those_in_doubt_are_sent_though_newer_ones_share_their_trace_key(
    url: str, engine: Engine, vendor: Vendor, tries: Tries, key: str
) -> None:
    old = prepare(engine, "pay", f"{key}:1", trace_key="pay/people/inv-7").ref
    prepare(engine, "pay", f"{key}:2", trace_key="pay/people/inv-7")
    if key.startswith("sync"):
        left_as_sent(url, old)
    assert (await tries.once(old)).status is CallStatus.SUCCEEDED
    assert vendor.count("charge") == 1


async def test_a_long_wait_that_is_asked_for_is_looked_at_again_within_the_hour() -> None:
    asked = RateLimited("later", after=timedelta(days=20))
    assert pause_after(asked, 1) == timedelta(hours=1)


async def test_what_postgres_cannot_keep_of_an_answer_costs_neither_the_answer_nor_a_second_send(
    url: str, engine: Engine, vendor: Vendor, tries: Tries
) -> None:
    ref = prepare(engine, "pay").ref
    vendor.faults = ["nul"]
    assert (await tries.once(ref)).status is CallStatus.SUCCEEDED
    assert row(url, ref)["answer"]["method"] == "pmx"


async def test_what_nobody_foresaw_is_told_without_its_words(
    url: str, engine: Engine, tries: Tries, caplog: pytest.LogCaptureFixture
) -> None:
    ref = prepare(engine, "ship").ref
    with psycopg.connect(url) as connection:
        # A refusal of the database that quotes the row.
        connection.execute("alter table connector_call add constraint odd check (attempts < 1) not valid")
    try:
        error = await failed(tries, ref)
    finally:
        with psycopg.connect(url) as connection:
            connection.execute("alter table connector_call drop constraint odd")
    assert (error.type, error.non_retryable) == ("CheckViolation", False)
    assert not [
        canary for canary in CANARIES if canary in f"{error!r} {error} {error.__cause__} {caplog.text}"
    ]


async def test_a_key_that_can_be_none_and_a_call_that_is_none(url: str, engine: Engine, tries: Tries) -> None:
    odd = prepare(engine, "pay", "charge for äöü").ref
    assert (await tries.once(odd)).error_kind == "definition"
    gone = odd.model_copy(update={"call_id": "01a20598-8471-7649-bcce-fed23e51adf2"})
    error = await failed(tries, gone)
    assert (error.type, error.non_retryable) == ("UnknownCall", True)


async def test_two_tries_at_once_send_once(url: str, engine: Engine, vendor: Vendor, tries: Tries) -> None:
    ref = prepare(engine, "mail").ref
    found = await asyncio.gather(*(tries.once(ref) for _ in range(4)), return_exceptions=True)
    assert vendor.count("mail") == 1
    assert all(isinstance(each, CallOutcome | ApplicationError) for each in found)
    assert row(url, ref)["status"] == "succeeded"


async def test_what_stays_unknown_for_ever_is_parked(url: str, engine: Engine, vendor: Vendor) -> None:
    tries = Tries(engine, vendor.url, Patience(sends=3))
    ref = prepare(engine, "users").ref
    vendor.faults = ["dropped"] * 3
    outcomes = [(await tries.once(ref)).status for _ in range(3)]
    assert outcomes == [CallStatus.UNKNOWN, CallStatus.UNKNOWN, CallStatus.PARKED]


def test_every_method_of_every_capability_has_its_activity(engine: Engine, vendor: Vendor) -> None:
    names = {
        activity.__temporal_activity_definition.name
        for activity in Tries(engine, vendor.url).activities.all()
    }  # type: ignore[attr-defined]
    assert names == set(all_methods())
    assert {"payment.charge", "tax.quote", "shipping.buy", "crm.upsert", "ledger.post"} <= names
    assert isinstance(idempotency_of(AcmeMail.send), Never)
    assert set(CONNECTORS) == {"pay", "ship", "mail", "users"}
