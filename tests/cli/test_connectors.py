"""`masthead connectors`: what there is, a connector begun, every cell judged, and one that breaks the contract."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.sdk.testing import suite
from masthead.testing import ReferenceStandIn
from runtime.cli.app import run
from runtime.cli.command_line import command_line
from runtime.connector_template import CAPABILITIES, class_name

BIN = Path(sys.executable).parent
RED = """

async def _twice(self, order, key):
    await self.http.post("/tax/commit", json=order, key=key, into=TaxDocument)
    renamed = order.model_copy(update={"code": order.code + "-again"})
    return await self.http.post("/tax/commit", json=renamed, key=Key(key.value + ":b"), into=TaxDocument)


Careless.commit = native(timedelta(hours=24))(_twice)
"""


def _judged(folder: Path, name: str, only: str = "") -> subprocess.CompletedProcess[bytes]:
    """The matrix in a process of its own, for which the package lies on the path as an installed one does."""
    code = "import sys; from runtime.cli.app import run; sys.exit(run(sys.argv[1:]))"
    arguments = ["connectors", "matrix", name, "--json", *(["--only", only] if only else [])]
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        check=False,
        env={"PYTHONPATH": f"{folder}:{Path.cwd()}", "PATH": "/usr/bin:/bin"},
    )


def _begun(tmp_path: Path, name: str, capability: str) -> Path:
    folder = tmp_path / name
    assert run(["connectors", "new", name, "--capability", capability, "--path", str(folder)]) == 0
    # What installing adds: the entry points, found beside the module.
    project = (folder / "pyproject.toml").read_text()
    groups = {
        line.strip()[len("[project.entry-points.") : -1].strip('"')
        for line in project.splitlines()
        if line.startswith("[project.entry-points.")
    }
    assert groups == {"masthead.connectors", "masthead.stand_ins"}
    info = folder / f"masthead_{name}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: masthead-{name}\nVersion: 0.1.0\n")
    points = [
        line for line in project.splitlines() if line.startswith((f"{name} =", "[project.entry-points."))
    ]
    text = "\n".join(
        line.replace('[project.entry-points."', "[").replace('"]', "]").replace('"', "") for line in points
    )
    (info / "entry_points.txt").write_text(text + "\n")
    return folder


def test_a_new_connector_is_green_at_once(tmp_path: Path) -> None:
    judged = _judged(_begun(tmp_path, "fresh", "ledger"), "fresh")
    told = json.loads(judged.stdout)
    assert judged.returncode == 0, [cell for cell in told["cells"] if cell["result"] == "red"]
    assert told["counts"]["green"] > 60
    assert "red" not in told["counts"]


@pytest.mark.parametrize("capability", sorted(CAPABILITIES))
def test_each_capability_can_be_begun(
    tmp_path: Path, capability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(_begun(tmp_path, f"new_{capability}", capability)))
    module = importlib.import_module(f"masthead_new_{capability}")
    connector = getattr(module, class_name(f"new_{capability}"))
    chosen = [case for case in suite.cases(connector) if "same key twice" in case.id]
    assert chosen
    with ReferenceStandIn() as stand_in:
        for case in chosen:
            judged = asyncio.run(suite.judge(case, partial(suite.bench, connector, stand_in)))
            assert judged.outcome == "green", judged


def test_a_connector_that_does_a_write_twice_is_red_and_exit_code_1(tmp_path: Path) -> None:
    folder = _begun(tmp_path, "careless", "tax")
    module = folder / "masthead_careless.py"
    module.write_text(module.read_text() + RED)
    judged = _judged(folder, "careless", only="tax.commit × drop_after")
    told = json.loads(judged.stdout)
    assert judged.returncode == 1
    (cell,) = told["cells"]
    assert cell["result"] == "red"


def test_the_list_shows_ours_with_what_their_writes_declare() -> None:
    printed = CliRunner().invoke(command_line(), ["connectors", "list", "--json"])
    found = {each["name"]: each for each in json.loads(printed.stdout)}
    assert set(found) >= {"adyen", "avalara", "hubspot", "smtp", "stripe"}
    assert found["stripe"]["writes"]["charge"] == "keeps keys for 1 day, 0:00:00"
    assert found["adyen"]["answers_later"] == ["capture", "refund", "void"]
    assert "same key" in found["adyen"]["cannot_answer"]["find"]
    assert found["smtp"]["writes"]["send"] == "never sent again"
    assert found["stripe"]["configuration"]["properties"]["api_key"]["format"] == "secret-reference"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["matrix", "nobody"], "no connector is called nobody"),
        (["new", "Acme", "-c", "tax"], "is no name"),
        (["new", "acme", "-c", "taxes"], "is no capability"),
        (["try", "tax", "quote", "-i", "no-such-file.json"], "cannot be read"),
    ],
)
def test_wrong_input_is_told(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["connectors", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_that_has_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert run(["connectors", "new", "acme", "-c", "tax", "--path", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
