"""Calls whose process is gone are found; those that go on, that are young, or that another waits for are left alone."""

from __future__ import annotations

import asyncio
import uuid

import psycopg

from contracts.connector_call import CallRef
from contracts.names import connector_call_id
from runtime.call_keeper import keep_calls
from runtime.temporal import connect
from storage.database import make_engine
from tests.activities.calling import prepare
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from workflows.call_starts import start_call


def _id(ref: CallRef) -> str:
    return connector_call_id(ref.connection, ref.method, ref.key)


async def test_only_calls_that_lost_their_process_are_started(
    pg_server: PostgresForTests, temporal_address: str
) -> None:
    url = pg_server.fresh_database("call_keeper")
    engine = make_engine(url)
    client = await connect(temporal_address, NAMESPACE)
    refs = {name: prepare(engine, "pay").ref for name in ("never", "ended", "going", "young", "settled")}
    refs["others"] = prepare(engine, "pay", workflow_id=f"bill-run/{uuid.uuid4()}").ref
    old = [ref.call_id for name, ref in refs.items() if name != "young"]
    with psycopg.connect(url) as connection:
        connection.execute(
            "update connector_call set created_at = now() - interval '1 h' where id = any(%s::uuid[])", (old,)
        )
        for name, status in (("ended", "sent"), ("settled", "failed")):
            connection.execute(
                "update connector_call set status = %s, attempts = 1, first_sent_at = now() - interval '1 h',"
                " last_sent_at = now() - interval '1 h', workflow_id = %s where id = %s",
                (status, _id(refs[name]), refs[name].call_id),
            )
    ended = await start_call(client, refs["ended"])
    await ended.terminate()
    going = await start_call(client, refs["going"])
    length = (await going.describe()).history_length
    keeper = asyncio.create_task(keep_calls(engine, client))

    async def ids() -> set[tuple[str, str | None]]:
        return {
            (each.id, each.run_id) async for each in client.list_workflows("WorkflowType = 'ConnectorCall'")
        }

    try:
        mine = {_id(ref): name for name, ref in refs.items()}
        async with asyncio.timeout(30):
            while True:
                runs = {(mine[i], run) for i, run in await ids() if i in mine}
                if len(runs) >= 4:
                    break
                await asyncio.sleep(0.1)
        # `ended` has its ended run and a new one.
        assert sorted(name for name, _ in runs) == ["ended", "ended", "going", "never"]
        assert (await going.describe()).history_length == length
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        for name in ("never", "ended", "going"):
            await client.get_workflow_handle(_id(refs[name])).terminate()
        engine.dispose()
