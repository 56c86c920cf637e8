"""Record the histories that replay tests run against: `python -m tests.histories.record [NAME ...]`.

A history that was recorded by released code is kept as it is: code that cannot replay it would break workflows that
are open. Record a new path under a new name; record an old one anew only while its workflow was never released.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import psycopg
from temporalio.client import Client, WorkflowHistory

from runtime.process_exit import leave
from runtime.stack.postgres import EmbeddedPostgres
from storage.migrate import upgrade
from tests.histories.cast import IDENTITY, Handle, Story, playing
from tests.histories.going_on import GoingOnStories, forgetful
from tests.workflows.skipping import time_skipping

FOLDER = Path(__file__).parent


async def executions(client: Client, handle: Handle) -> dict[str, WorkflowHistory]:
    """What a workflow left behind, by the end of its file's name; of one that went on in new executions the first
    and the last."""
    last = await handle.fetch_history()
    began = last.events[0].workflow_execution_started_event_attributes
    if began.original_execution_run_id == began.first_execution_run_id:
        return {"": last}
    first = client.get_workflow_handle(handle.id, run_id=began.first_execution_run_id)
    return {"": await first.fetch_history(), "_to_its_end": last}


def without_stack_traces(said: Any) -> Any:
    """A history without what names files of the machine that recorded it; no workflow reads that."""
    if isinstance(said, dict):
        return {key: without_stack_traces(each) for key, each in said.items() if key != "stackTrace"}
    return [without_stack_traces(each) for each in said] if isinstance(said, list) else said


async def write(client: Client, stories: Mapping[str, Story], wanted: Set[str]) -> None:
    """Play the stories (`wanted` by name, or all) and write their histories."""
    for name, story in stories.items():
        if wanted and name not in wanted:
            continue
        handle = await story()
        await handle.result()
        for end, history in (await executions(client, handle)).items():
            said = without_stack_traces(history.to_json_dict())
            (FOLDER / f"{name}{end}.json").write_text(json.dumps(said, indent=1) + "\n")
            print(f"{name}{end}: {len(history.events)} events")  # noqa: T201


async def record(url: str, url_of_others: str, wanted: Set[str]) -> None:
    """Record what is wanted: most on the server that skips time, the long ones on one of their own."""
    if not wanted or wanted - set(GoingOnStories.NAMES):
        async with time_skipping(identity=IDENTITY) as environment, playing(environment, url) as cast:
            await write(environment.client, cast.stories(), wanted)
    if not wanted or wanted & set(GoingOnStories.NAMES):
        async with forgetful() as environment, playing(environment, url_of_others) as cast:
            await write(environment.client, GoingOnStories(cast).stories(), wanted)


def main() -> int:
    """Record what the command line names, or everything."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        try:
            with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
                connection.execute("create database others template template0")
            urls = server.url("postgres"), server.url("others")
            for url in urls:
                upgrade(url)
            asyncio.run(record(*urls, frozenset(sys.argv[1:])))
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    leave(main())
