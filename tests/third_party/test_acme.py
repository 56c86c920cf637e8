"""Installed into the environment, a stranger's connector is found, judged and green, in forty lines of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "masthead_acme"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # Built from a copy: a build leaves files beside its sources.
    copy = tmp_path_factory.mktemp("acme")
    for file in PACKAGE.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    pip = [BIN / "uv", "pip", "--quiet"]
    python = ["--python", sys.executable]
    subprocess.run(
        [*pip, "install", *python, "--no-deps", "--no-build-isolation", "--offline", copy], check=True
    )
    yield
    subprocess.run([*pip, "uninstall", *python, "masthead-acme"], check=True)


def test_it_has_at_most_forty_lines() -> None:
    assert len((PACKAGE / "masthead_acme.py").read_text().splitlines()) <= 40


@pytest.mark.usefixtures("_installed")
def test_it_is_found_by_its_entry_point_and_every_cell_is_green() -> None:
    listed = subprocess.run(
        [BIN / "masthead", "connectors", "list", "--json"], capture_output=True, check=True
    )
    found = {connector["name"]: connector for connector in json.loads(listed.stdout)}
    assert found["acme"]["capabilities"] == ["tax"]

    judged = subprocess.run(
        [BIN / "masthead", "connectors", "matrix", "acme", "--json"], capture_output=True, check=False
    )
    told = json.loads(judged.stdout)
    assert judged.returncode == 0, [cell for cell in told["cells"] if cell["result"] == "red"]
    assert told["counts"]["green"] > 90
    assert {cell["group"] for cell in told["cells"]} == {"laws", "capability", "faults"}
