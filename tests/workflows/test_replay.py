"""Recorded histories replayed by today's code: what would break a workflow that is open is found here."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from contracts.subscription import EpisodeRequest, EpisodeResult
from runtime import registry
from runtime.temporal import MastheadPlugin
from workflows.subscription import SubscriptionWorkflow

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*.json"))


def read(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"recorded/{file.stem}", file.read_text())


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
async def test_today_s_code_replays_it(file: Path) -> None:
    replayer = Replayer(workflows=registry.WORKFLOWS, plugins=[MastheadPlugin()])
    await replayer.replay_workflow(read(file))


def test_every_workflow_has_a_history() -> None:
    recorded = {
        read(file).events[0].workflow_execution_started_event_attributes.workflow_type.name
        for file in HISTORIES
    }
    registered = {workflow._Definition.must_from_class(each).name for each in registry.WORKFLOWS}
    assert registered == recorded


@workflow.defn(name="Subscription", sandboxed=False)
class Hasty(SubscriptionWorkflow):
    """Settles without a look."""

    @workflow.init
    def __init__(self, request: EpisodeRequest) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: EpisodeRequest) -> EpisodeResult:
        await self._settle()
        return await super().run(request)


async def test_a_workflow_that_goes_another_way_is_found() -> None:
    replayer = Replayer(workflows=[Hasty], plugins=[MastheadPlugin()])
    history = next(file for file in HISTORIES if file.stem == "subscription_trial_to_end")
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(read(history))
