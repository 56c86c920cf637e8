"""Recorded histories replayed by today's code: what would break a workflow that is open is found here."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator
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
WORKFLOWS = Path(__file__).parents[2] / "workflows"
# Patches of which no history has the new side, by why that is so.
NOT_RECORDED: dict[str, str] = {}


def read(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"recorded/{file.stem}", file.read_text())


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
async def test_today_s_code_replays_it(file: Path) -> None:
    replayer = Replayer(workflows=registry.WORKFLOWS, plugins=[MastheadPlugin()])
    await replayer.replay_workflow(read(file))


def test_no_history_names_files_of_the_machine_that_recorded_it() -> None:
    assert [file.stem for file in HISTORIES if "stackTrace" in file.read_text()] == []


def test_every_workflow_has_a_history() -> None:
    recorded = {
        read(file).events[0].workflow_execution_started_event_attributes.workflow_type.name
        for file in HISTORIES
    }
    registered = {workflow._Definition.must_from_class(each).name for each in registry.WORKFLOWS}
    assert registered == recorded


def patches(file: Path) -> Iterator[str]:
    """The ids that the module in `file` hands to workflow.patched, by name or as they are."""
    tree = ast.parse(file.read_text())
    constants = {
        target.id: each.value.value
        for each in tree.body
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "workflow.patched":
            (named,) = call.args
            yield constants[named.id] if isinstance(named, ast.Name) else ast.literal_eval(named)


def test_the_new_side_of_every_patch_is_replayed() -> None:
    markers = (
        event.marker_recorded_event_attributes
        for file in HISTORIES
        for event in read(file).events
        if event.marker_recorded_event_attributes.marker_name == "core_patch"
    )
    recorded = {json.loads(marker.details["patch-data"].payloads[0].data)["id"] for marker in markers}
    asked = {each for file in WORKFLOWS.glob("*.py") for each in patches(file)}
    assert asked
    assert asked - recorded == set(NOT_RECORDED)


def test_both_sides_of_going_on_as_new_are_replayed() -> None:
    modules = {
        workflow._Definition.must_from_class(each).name: sys.modules[each.__module__]
        for each in registry.WORKFLOWS
    }
    ended, begun = set(), set()
    for file in HISTORIES:
        first, *_, last = read(file).events
        began = first.workflow_execution_started_event_attributes
        if last.HasField("workflow_execution_continued_as_new_event_attributes"):
            ended.add(modules[began.workflow_type.name])
        if began.continued_execution_run_id:
            begun.add(modules[began.workflow_type.name])
    go_on = {each for each in modules.values() if "workflow.continue_as_new(" in inspect.getsource(each)}
    assert ended == begun == go_on


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
