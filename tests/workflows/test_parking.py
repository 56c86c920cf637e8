"""A call as a durable process: what a person decides about it, by whichever way and in whichever order it comes."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.connectors import ConnectorActivities
from activities.parked import ParkedActivities
from connectors.sdk.methods import method
from contracts.connector_call import CallOutcome, CallRef, CallStatus
from contracts.names import CALL_QUEUE, STATUS, TASK_QUEUE
from contracts.parked import RESOLVE, Action, Decided, Resolve
from operations.parked.authorised import retry_unauthorised
from operations.parked.decide import Decision, decide
from runtime.temporal import connect
from storage.database import make_engine, transaction
from tests.activities.acme import SECRET, Opener, Vendor, running_vendor
from tests.activities.calling import MAIL, NAME, STREET, prepare
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from workflows.call_starts import CallHandle, start_call, tell
from workflows.connector_call import ConnectorCallWorkflow

CANARIES = (SECRET, NAME, MAIL, STREET, "Quillfeather", "Canary Wharf")


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("parking")


@pytest.fixture(scope="module")
def engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with running_vendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
async def client(temporal_address: str, engine: Engine, vendor: Vendor) -> AsyncIterator[Client]:
    """A client, beside workers of both queues."""
    client = await connect(temporal_address, NAMESPACE)
    calls = ConnectorActivities(engine, Opener(vendor.url))
    with ThreadPoolExecutor(4) as threads:
        async with (
            Worker(
                client,
                task_queue=TASK_QUEUE,
                workflows=[ConnectorCallWorkflow],
                activities=ParkedActivities(engine).all(),
                activity_executor=threads,
            ),
            Worker(client, task_queue=CALL_QUEUE, activities=calls.all()),
        ):
            yield client


@pytest.fixture(autouse=True)
def _quiet(vendor: Vendor) -> None:
    vendor.faults.clear()


async def parked(url: str, ref: CallRef) -> str:
    """Wait until the call is parked; the park's id."""

    def found() -> str | None:
        with psycopg.connect(url) as connection:
            row = connection.execute(
                "select id::text from parked where call_id = %s and resolved_at is null", (ref.call_id,)
            ).fetchone()
        return row[0] if row else None

    deadline = time.monotonic() + 20
    while (park := await asyncio.to_thread(found)) is None:
        assert time.monotonic() < deadline, "it was not parked"
        await asyncio.sleep(0.03)
    return park


async def waits(handle: CallHandle) -> None:
    """Wait until the workflow knows that it is parked: its search attribute says so."""
    deadline = time.monotonic() + 20
    while (await handle.describe()).typed_search_attributes.get(STATUS) != "parked":
        assert time.monotonic() < deadline, "the workflow shows nothing parked"
        await asyncio.sleep(0.03)


async def rejected(
    client: Client, engine: Engine, vendor: Vendor, to: str = "ship", **more: Any
) -> CallHandle:
    """A call that the vendor refuses."""
    vendor.faults = ["422"]
    prepared = prepare(engine, to, **more)
    return await start_call(client, prepared.ref)


def commit(engine: Engine, park: str, action: Action, changes: Any = None, **more: Any) -> Decided:
    """The decision as the API and the command line commit it."""
    decision = Decision(action, "ops@desk", "as agreed", changes, **more)
    with transaction(engine) as connection:
        return decide(connection, park, decision, check=lambda name, payload: method(name).problems(payload))


def order(action: Action, park: str | None = None, **more: Any) -> Resolve:
    return Resolve(action=action, actor="ops", reason="as agreed", park_id=park, **more)


async def outcome(handle: CallHandle) -> CallOutcome:
    async with asyncio.timeout(30):
        return await handle.result()


def audits(url: str, park: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select action, actor from audit where subject = %s", (f"parked/{park}",)
        ).fetchall()


async def ref_of(handle: CallHandle) -> CallRef:
    history = await handle.fetch_history()
    (payload,) = history.events[0].workflow_execution_started_event_attributes.input.payloads
    return CallRef.model_validate_json(payload.data)


async def test_an_edited_payload_is_sent_and_stands_in_no_history(
    url: str, client: Client, engine: Engine, vendor: Vendor
) -> None:
    before = vendor.count("label")
    handle = await rejected(client, engine, vendor)
    park = await parked(url, await ref_of(handle))
    await waits(handle)
    shown = await handle.describe()
    assert f"masthead errors show|retry|edit|skip|fail {park}" in await details(handle)
    decided = commit(engine, park, Action.EDIT, {"to": {"line1": "2 New Road"}, "weight": 250})
    assert await tell(client, decided)
    done = await outcome(handle)
    assert done.status is CallStatus.SUCCEEDED
    assert vendor.count("label") == before + 1
    sent = vendor.effects[-1]
    assert (sent["weight"], sent["to"]["line1"], sent["to"]["city"]) == (250, "2 New Road", "Springfield")
    assert audits(url, park) == [("edit", "ops@desk")]
    told = await readable(handle) + str(shown.raw_description)
    assert not [canary for canary in (*CANARIES, "2 New Road") if canary in told]
    end = await handle.describe()
    assert end.typed_search_attributes.get(STATUS) is None


async def details(handle: CallHandle) -> str:
    """What the Temporal UI shows of the workflow now."""
    found = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return str(found.current_details)


async def readable(handle: CallHandle) -> str:
    """The history as text, with what its payloads say."""
    said: list[str] = []

    def unpack(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(data := node.get("data"), str):
                said.append(base64.b64decode(data).decode())
            for each in node.values():
                unpack(each)
        elif isinstance(node, list):
            for each in node:
                unpack(each)

    history = (await handle.fetch_history()).to_json_dict()
    unpack(history)
    return json.dumps(history, ensure_ascii=False) + "\n".join(said)


@pytest.mark.parametrize("action", [Action.SKIP, Action.FAIL, Action.RETRY])
async def test_the_update_decides(
    url: str, client: Client, engine: Engine, vendor: Vendor, action: Action
) -> None:
    handle = await rejected(client, engine, vendor)
    park = await parked(url, await ref_of(handle))
    await waits(handle)
    decided = await handle.execute_update(RESOLVE, order(action), result_type=Decided)
    assert (decided.park_id, decided.action, decided.repeated) == (park, action, False)
    expected = {
        Action.SKIP: CallStatus.SKIPPED,
        Action.FAIL: CallStatus.FAILED,
        Action.RETRY: CallStatus.SUCCEEDED,
    }
    assert (await outcome(handle)).status is expected[action]
    assert audits(url, park) == [(action.value, "ops")]


async def test_decided_in_postgres_and_never_told_the_workflow_looks_by_itself(
    url: str, engine: Engine, vendor: Vendor, skipping: WorkflowEnvironment
) -> None:
    calls = ConnectorActivities(engine, Opener(vendor.url))
    async with (
        Worker(skipping.client, task_queue=TASK_QUEUE, workflows=[ConnectorCallWorkflow]),
        Worker(skipping.client, task_queue=CALL_QUEUE, activities=calls.all()),
    ):
        vendor.faults = ["422"]
        ref = prepare(engine, "ship").ref
        handle = await start_call(skipping.client, ref)
        commit(engine, await parked(url, ref), Action.EDIT, {"weight": 20})
        assert (await outcome(handle)).status is CallStatus.SUCCEEDED
    assert vendor.effects[-1]["weight"] == 20


async def test_both_ways_in_both_orders_are_one_decision(
    url: str, client: Client, engine: Engine, vendor: Vendor
) -> None:
    first = await rejected(client, engine, vendor)
    park = await parked(url, await ref_of(first))
    await waits(first)
    # Committed by the API; before its signal comes, another person sends the update.
    by_api = commit(engine, park, Action.SKIP)
    with pytest.raises(WorkflowUpdateFailedError) as other:
        await first.execute_update(RESOLVE, order(Action.FAIL, park))
    assert "resolved before: skip" in str(other.value.cause)
    same = await first.execute_update(RESOLVE, order(Action.SKIP, park), result_type=Decided)
    assert same.repeated
    await tell(client, by_api)
    assert (await outcome(first)).status is CallStatus.SKIPPED
    assert audits(url, park) == [("skip", "ops@desk")]

    second = await rejected(client, engine, vendor)
    park = await parked(url, await ref_of(second))
    await waits(second)
    await second.execute_update(RESOLVE, order(Action.SKIP))
    repeated = commit(engine, park, Action.SKIP)
    assert repeated.repeated
    await tell(client, repeated)
    assert (await outcome(second)).status is CallStatus.SKIPPED
    assert audits(url, park) == [("skip", "ops")]


async def test_an_update_that_does_not_fit_is_refused_and_leaves_no_trace(
    url: str, client: Client, engine: Engine, vendor: Vendor
) -> None:
    handle = await rejected(client, engine, vendor)
    ref = await ref_of(handle)
    await parked(url, ref)
    await waits(handle)
    length = (await handle.describe()).history_length
    for wrong, words in (
        (order(Action.EDIT), "would stand in this history"),
        (order(Action.SKIP, str(uuid4())), "nothing is parked here as"),
    ):
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await handle.execute_update(RESOLVE, wrong)
        assert words in str(caught.value.cause)
    assert (await handle.describe()).history_length == length
    await handle.execute_update(RESOLVE, order(Action.FAIL))
    assert (await outcome(handle)).status is CallStatus.FAILED


async def test_all_that_waits_for_a_connection_is_tried_again_together(
    url: str, client: Client, engine: Engine, vendor: Vendor
) -> None:
    vendor.faults = ["401"] * 3
    handles = [await start_call(client, prepare(engine, "users").ref) for _ in range(3)]
    for handle in handles:
        await parked(url, await ref_of(handle))
    with transaction(engine) as connection:
        decided = retry_unauthorised(connection, "users", actor="ops")
    assert len(decided) == 3
    for each in decided:
        await tell(client, each)
    assert [(await outcome(handle)).status for handle in handles] == [CallStatus.SUCCEEDED] * 3


async def test_a_decision_about_a_call_whose_workflow_is_gone_opens_one(
    url: str, client: Client, engine: Engine, vendor: Vendor
) -> None:
    handle = await rejected(client, engine, vendor)
    ref = await ref_of(handle)
    park = await parked(url, ref)
    await handle.terminate("lost")
    assert await tell(client, commit(engine, park, Action.RETRY))
    again = client.get_workflow_handle(handle.id, result_type=CallOutcome)
    async with asyncio.timeout(30):
        assert (await again.result()).status is CallStatus.SUCCEEDED


async def test_an_unknown_outcome_is_found_out_by_itself(
    url: str, client: Client, engine: Engine, vendor: Vendor
) -> None:
    charges, labels = vendor.count("charge"), vendor.count("label")
    vendor.faults = ["dropped after", "dropped after"]
    handles = [await start_call(client, prepare(engine, to).ref) for to in ("pay", "ship")]
    assert [(await outcome(handle)).status for handle in handles] == [CallStatus.SUCCEEDED] * 2
    assert (vendor.count("charge"), vendor.count("label")) == (charges + 1, labels + 1)


async def test_no_history_holds_a_secret_or_a_person(
    url: str, client: Client, engine: Engine, vendor: Vendor
) -> None:
    vendor.faults = ["503", "401", "422"]
    handles = [
        await start_call(client, prepare(engine, to, note=NAME).ref)
        for to in ("mail", "users", "ship", "pay")
    ]
    told = ""
    for handle in handles:
        ref = await ref_of(handle)
        deadline = time.monotonic() + 20
        while (found := await asyncio.to_thread(status_of, url, ref)) not in ("succeeded", "parked"):
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)
        if found == "parked":
            await waits(handle)
            await handle.execute_update(RESOLVE, order(Action.FAIL))
        await outcome(handle)
        history = await readable(handle)
        assert ref.key in history
        told += history + str((await handle.describe()).raw_description)
    assert not [canary for canary in CANARIES if canary in told]


def status_of(url: str, ref: CallRef) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("select status from connector_call where id = %s", (ref.call_id,)).fetchone()
    assert row is not None
    return str(row[0])
