"""`masthead flows`: what is sound, and what is said of what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.cli.app import run
from runtime.flow_source import SHIPPED
from tests.synced import CONTACTS


def test_the_flows_of_the_house_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(str(file) for file in SHIPPED.glob("*.yaml"))
    assert run(["flows", "check", "--json", *files]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {each["flow"] for each in told} == {Path(file).stem for file in files}


def test_everything_wrong_in_several_files_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for no, (old, new) in enumerate((("crm.upsert", "crm.upsrt"), ("status: status", "status: statuss"))):
        (tmp_path / f"{no}.yaml").write_text(CONTACTS.strip().replace(old, new))
    assert run(["flows", "check", str(tmp_path / "0.yaml"), str(tmp_path / "1.yaml")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == (
        f"error: {tmp_path / '0.yaml'}:5: to: crm has no method 'upsrt'; did you mean 'upsert'?"
    )
    assert told[1].startswith(f"{tmp_path / '1.yaml'}:10: map.fields.status: there is no field 'statuss'")
    assert told[2] == "2 problems. Correct them and check again."


def test_a_flow_that_no_connection_carries_out_cannot_be_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["flows", "reset", "crm-contacts", "-c", "sales", "--reason", "why not"]) == 2
    assert "sales carries out no flow crm-contacts" in capsys.readouterr().err
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "bad.yaml").write_text("format: masthead.flow/1\n")
    (tmp_path / "masthead.yaml").write_text("format: masthead.config/1\n")
    assert run(["flows", "list"]) == 2
    assert "bad.yaml" in capsys.readouterr().err
