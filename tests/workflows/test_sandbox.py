"""What workflow modules import is loaded once per process, not once per workflow.

A module of ours or of the package index that is forgotten in PASSED_THROUGH is loaded anew in each workflow's
sandbox: three times slower at best, and a worker that hangs when it is a large one.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from temporalio import workflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.worker.workflow_sandbox._importer import Importer
from temporalio.worker.workflow_sandbox._restrictions import RestrictionContext

import workflows
from runtime.temporal import PASSED_THROUGH, WORKFLOW_RUNNER

CHECKOUT = Path(__file__).parents[2]
MODULES = sorted(f"workflows.{found.name}" for found in pkgutil.iter_modules(workflows.__path__))


def restrictions() -> SandboxRestrictions:
    assert isinstance(WORKFLOW_RUNNER, SandboxedWorkflowRunner)
    return WORKFLOW_RUNNER.restrictions


@contextmanager
def block_without_effect() -> Iterator[None]:
    yield


def loaded_anew(module: str, allowed: SandboxRestrictions, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Modules that the sandbox loads for itself when a workflow imports `module`. The block that passes imports
    through in the workflow files is without effect here, so that only the runner's own list counts: an import
    outside of such a block, or inside a function, gets nothing else."""
    importlib.import_module(module)
    monkeypatch.setattr(workflow.unsafe, "imports_passed_through", block_without_effect)
    importer = Importer(allowed, RestrictionContext())
    with importer.applied():
        importlib.import_module(module)
        inside: dict[str, ModuleType] = dict(sys.modules)
    return {name for name, found in inside.items() if sys.modules.get(name) is not found}


def foreign(names: set[str]) -> set[str]:
    """Without the workflows themselves, which are meant to be fresh, and the standard library, of which the sandbox
    has guarded copies."""
    return {
        name
        for name in names
        if name.split(".")[0] not in {"workflows", "__main__", *sys.stdlib_module_names}
    }


@pytest.mark.parametrize("module", MODULES)
def test_nothing_but_the_workflow_itself_is_loaded_anew(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert foreign(loaded_anew(module, restrictions(), monkeypatch)) == set()


def test_a_forgotten_room_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten = SandboxRestrictions.default.with_passthrough_modules(*set(PASSED_THROUGH) - {"contracts"})
    found = foreign(loaded_anew("workflows.subscription", forgotten, monkeypatch))
    assert "contracts.subscription" in found


def test_every_room_that_workflows_reach_is_passed_through() -> None:
    """Also those that are reached only through other rooms: an import at run time, inside of a workflow, must find
    them loaded."""
    look = (
        "import importlib, json, sys\n"
        f"for name in {MODULES}: importlib.import_module(name)\n"
        "print(json.dumps([[n, m.__file__] for n, m in sys.modules.items() if getattr(m, '__file__', None)]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", look],
        cwd=CHECKOUT,
        env={"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    reached = {
        name.split(".")[0]
        for name, file in json.loads(answer.stdout)
        if Path(file).is_relative_to(CHECKOUT) and not Path(file).is_relative_to(Path(sys.prefix))
    }
    assert {"contracts", "domain", "activities"} <= reached
    assert reached - {"workflows"} <= set(PASSED_THROUGH)
