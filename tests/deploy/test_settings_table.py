"""`masthead settings`: nothing left out, nothing that nobody reads, and the page in docs as the code prints it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from temporalio.envconfig import ClientConfig

from runtime.cli.app import run
from runtime.cli.settings import OF_THE_SDK, variables
from runtime.settings import Settings, SettingsError, load_settings
from tests.deploy.compose import ROOT

ROOMS = (
    "activities",
    "api",
    "connectors",
    "domain",
    "operations",
    "runtime",
    "sandbox",
    "storage",
    "workflows",
)


def test_the_page_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["settings", "--markdown"]) == 0
    written = (ROOT / "docs/settings.md").read_text("utf-8")
    assert capsys.readouterr().out == written, "masthead settings --markdown > docs/settings.md"


def test_every_setting_is_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["settings", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in printed["settings"]] == [
        field.alias for field in Settings.model_fields.values()
    ]
    for each in printed["settings"]:
        assert each["purpose"]
        assert each["read_by"]
        assert (each["default"] is None) != (each["unset"] is None)
    assert run(["settings"]) == 0
    shown = capsys.readouterr().out
    assert [each.name for each in variables() if each.name not in shown] == []
    assert run(["settings", "--json", "--markdown"]) == 2


def test_the_defaults_told_are_those_that_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {each.name: each.default for each in variables() if each.default is not None}
    for each in variables():
        monkeypatch.delenv(each.name, raising=False)
    bare = load_settings().environment()
    for name, default in told.items():
        monkeypatch.setenv(name, default)
    assert load_settings().environment() == bare


def test_no_part_reads_a_variable_that_the_page_does_not_have() -> None:
    read = re.compile(r"""environ(?:\.get\(|\[)["'](\w+)["']""")
    found = {
        name
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        for name in read.findall(file.read_text("utf-8"))
    }
    # The first kills a process at a chosen place, in tests; the second is Python's; the third is only written.
    assert found - {"MASTHEAD_FAIL_POINT", "PYTHONPATH", "LC_ALL"} <= {each.name for each in variables()}


def set_for(name: str, folder: Path) -> dict[str, str]:
    """The variables with which the SDK must see `name`."""
    (folder / "temporal.toml").write_text('[profile.other]\naddress = "named.example:7233"\n', "utf-8")
    (folder / "pem").write_text("-----BEGIN", "utf-8")
    pem, file = str(folder / "pem"), str(folder / "temporal.toml")
    pair = {"TEMPORAL_TLS_CLIENT_CERT_PATH": pem, "TEMPORAL_TLS_CLIENT_KEY_PATH": pem}
    chosen = {"TEMPORAL_CONFIG_FILE": file, "TEMPORAL_PROFILE": "other"}
    single = {
        "TEMPORAL_API_KEY": "key",
        "TEMPORAL_TLS": "true",
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH": pem,
        "TEMPORAL_TLS_SERVER_NAME": "temporal.example",
        "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION": "true",
    }
    if name == "TEMPORAL_GRPC_META_*":
        return {"TEMPORAL_GRPC_META_TENANT": "one"}
    return pair if name in pair else chosen if name in chosen else {name: single[name]}


@pytest.mark.parametrize("name", OF_THE_SDK)
def test_the_sdk_reads_what_is_said_of_it(name: str, tmp_path: Path) -> None:
    def seen(variables: dict[str, str]) -> Any:
        profile = ClientConfig.load_client_connect_config(
            profile=variables.get("TEMPORAL_PROFILE"), override_env_vars=variables
        )
        return {key: vars(value) if hasattr(value, "__dict__") else value for key, value in profile.items()}

    with_it = set_for(name, tmp_path)
    without = {key: value for key, value in with_it.items() if key != name and name != "TEMPORAL_GRPC_META_*"}
    if name in ("TEMPORAL_TLS_CLIENT_CERT_PATH", "TEMPORAL_TLS_CLIENT_KEY_PATH", "TEMPORAL_CONFIG_FILE"):
        without = {}
    assert seen(with_it) != seen(without)


SECRET = "postgresql://masthead:hush@db.example/masthead"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for each in variables():
        monkeypatch.delenv(each.name, raising=False)
        if each.file:
            monkeypatch.delenv(each.file, raising=False)
    return monkeypatch


def test_a_secret_may_be_in_a_file(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{SECRET}\n", "utf-8")
    (tmp_path / "key").write_text("c2VjcmV0", "utf-8")
    bare.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    bare.setenv("MASTHEAD_SECRET_KEY_FILE", str(tmp_path / "key"))
    assert load_settings().database_url == SECRET
    assert load_settings().secret_key == "c2VjcmV0"
    assert "hush" not in repr(load_settings())
    # An empty variable is none; one that is set wins; a caller wins over both.
    bare.setenv("DATABASE_URL", "")
    assert load_settings().database_url == SECRET
    bare.setenv("DATABASE_URL", "postgresql://other.example/masthead")
    assert load_settings().database_url == "postgresql://other.example/masthead"
    assert load_settings(database_url="postgresql://third/x").database_url == "postgresql://third/x"


def test_only_secrets_are_read_from_files(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "port").write_text("1234", "utf-8")
    bare.setenv("MASTHEAD_API_PORT_FILE", str(tmp_path / "port"))
    assert load_settings().api_port == 8484


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe\x00"])
def test_a_file_that_holds_no_secret_is_refused_by_name(
    bare: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "url").write_bytes(content)
    bare.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    with pytest.raises(SettingsError, match=r"DATABASE_URL_FILE: .*/url "):
        load_settings()


def test_what_stands_in_a_file_is_checked_and_not_repeated(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("mysql://me:hush@db.example/x", "utf-8")
    bare.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    with pytest.raises(SettingsError, match="DATABASE_URL: must start with") as refused:
        load_settings()
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0:8484", ""])
def test_the_api_listens_on_an_address(bare: pytest.MonkeyPatch, host: str) -> None:
    bare.setenv("MASTHEAD_API_HOST", host)
    if not host:
        assert load_settings().api_host == "127.0.0.1"
        return
    with pytest.raises(SettingsError, match="MASTHEAD_API_HOST"):
        load_settings()
