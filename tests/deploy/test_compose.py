"""docker-compose.yml: what compose would accept, and what our rules ask of it. It is read here, not run."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.cli.settings import OF_THE_SDK, variables
from runtime.connection_source import Surroundings, read_connections
from runtime.connections import secrets_of_this_process
from runtime.settings import Settings
from tests.deploy.compose import FILE, ROOT, document, mounted_files, one_shot, ours, services

EACH = [pytest.param(name, each, id=name) for name, each in services().items()]
EACH_OF_OURS = [pytest.param(name, each, id=name) for name, each in ours().items()]
EACH_RUNNING = [pytest.param(each, id=name) for name, each in services().items() if not one_shot(each)]
KNOWN = {each.name for each in variables()} | {each.file for each in variables()} | set(OF_THE_SDK)


def schema_says(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_it_fits_the_schema_of_compose_files(tmp_path: Path) -> None:
    assert schema_says(FILE).returncode == 0, schema_says(FILE).stdout
    misspelt = tmp_path / "docker-compose.yml"
    misspelt.write_text(FILE.read_text("utf-8").replace("    depends_on:", "    depends_upon:", 1), "utf-8")
    refused = schema_says(misspelt)
    assert refused.returncode == 1
    assert "depends_upon" in refused.stdout


@pytest.mark.parametrize(("name", "service"), EACH)
def test_what_a_service_names_is_there(name: str, service: dict[str, Any]) -> None:
    whole = document()
    for other, how in service.get("depends_on", {}).items():
        waits_for_the_end = how["condition"] == "service_completed_successfully"
        assert waits_for_the_end == one_shot(whole["services"][other])
        assert waits_for_the_end or "healthcheck" in whole["services"][other]
    mode = service.get("network_mode", "")
    assert not mode or mode.removeprefix("service:") in whole["services"]
    assert set(service.get("networks", ())) <= set(whole["networks"])
    assert set(service.get("secrets", ())) <= set(whole["secrets"])
    for file in mounted_files(service):
        assert file.exists(), file
    named = [
        volume.split(":")[0] for volume in service.get("volumes", ()) if not volume.startswith(("./", "/"))
    ]
    assert set(named) <= set(whole["volumes"])


def test_nothing_waits_in_a_circle() -> None:
    waiting = {name: set(each.get("depends_on", ())) for name, each in services().items()}
    while free := {name for name, others in waiting.items() if not others & waiting.keys()}:
        waiting = {name: others for name, others in waiting.items() if name not in free}
    assert not waiting


@pytest.mark.parametrize(("name", "service"), EACH_OF_OURS)
def test_our_containers_get_variables_that_we_read(name: str, service: dict[str, Any]) -> None:
    assert set(service.get("environment", ())) <= KNOWN


def test_our_containers_get_values_that_settings_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("postgresql://masthead:hush@postgres:5432/masthead\n", "utf-8")
    for service in ours().values():
        with monkeypatch.context() as patch:
            for variable in os.environ:
                if variable in KNOWN:
                    patch.delenv(variable)
            for variable, value in service.get("environment", {}).items():
                patch.setenv(variable, str(secret) if variable.endswith("_FILE") else filled(value))
            settings = Settings()
        if "database_url" in service.get("secrets", ()):
            assert settings.database_url == "postgresql://masthead:hush@postgres:5432/masthead"
            assert settings.temporal_address == "temporal:7233"
            assert (
                settings.temporal_namespace
                == services()["temporal-namespace"]["environment"]["TEMPORAL_NAMESPACE"]
            )


def filled(value: str) -> str:
    """A value with the defaults of its `${NAME:-default}`."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


@pytest.mark.parametrize("service", EACH_RUNNING)
def test_what_keeps_running_says_whether_it_is_well_and_comes_back(service: dict[str, Any]) -> None:
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize(("name", "service"), EACH)
def test_images_are_pinned_and_ports_are_on_this_machine(name: str, service: dict[str, Any]) -> None:
    tag = filled(service["image"]).rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+", tag), service["image"]
    for port in service.get("ports", ()):
        assert filled(port).startswith("127.0.0.1:")


def test_servers_cannot_be_reached_from_outside() -> None:
    assert document()["networks"]["inside"]["internal"] is True
    for name in ("postgres", "temporal"):
        assert services()[name]["networks"] == ["inside"]
        assert "ports" not in services()[name]


@pytest.mark.parametrize(("name", "service"), EACH_OF_OURS)
def test_our_containers_may_do_little(name: str, service: dict[str, Any]) -> None:
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_workers_can_be_as_many_as_one_likes() -> None:
    worker = services()["worker"]
    assert not {"container_name", "ports", "hostname"} & worker.keys()
    home = worker["environment"]["MASTHEAD_HOME"]
    assert any(mount.startswith(f"{home}:") for mount in worker["tmpfs"])
    assert "/health/ready" in worker["healthcheck"]["test"][-1]
    assert not any(home == volume.split(":")[1] for volume in worker["volumes"])


def test_no_secret_stands_in_the_file() -> None:
    whole = document()
    assert all(each["file"].startswith("deploy/secrets/") for each in whole["secrets"].values())
    named = itertools.chain.from_iterable(each.get("environment", {}) for each in whole["services"].values())
    secret = [name for name in named if re.search("PASSWORD|PWD|SECRET|KEY|DATABASE_URL", name)]
    assert [name for name in secret if not name.endswith("_FILE")] == []


def test_tools_and_server_of_temporal_have_one_version() -> None:
    versions = {
        each["image"].rpartition(":")[2]
        for each in services().values()
        if each["image"].startswith(("temporalio/server", "temporalio/admin-tools"))
    }
    assert len(versions) == 1


def test_the_connections_that_are_mounted_can_be_read() -> None:
    assert (
        read_connections(
            ROOT / "deploy/config/masthead.yaml", Surroundings(secrets=secrets_of_this_process())
        )
        == {}
    )
