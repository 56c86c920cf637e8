"""The scripts under deploy/, run: secrets are made once; roles and namespace are made on real servers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from runtime.settings import load_settings
from runtime.stack.postgres import EmbeddedPostgres
from runtime.stack.temporal_server import temporal_binary
from runtime.temporal import connect
from storage.encryption import Encryption
from tests.deploy.compose import ROOT, document, mounted_files, one_shot, services

DEPLOY = ROOT / "deploy"
SCRIPTS = sorted(DEPLOY.glob("*.sh"))


def run(script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(DEPLOY / script), *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=90,
    )


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    made = run("make-secrets.sh", str(folder))
    assert made.returncode == 0, made.stderr
    return folder


def test_secrets_are_made_once_and_are_those_that_compose_mounts(secrets: Path) -> None:
    files = {file.name: file.read_bytes() for file in secrets.iterdir()}
    assert set(files) == {Path(each["file"]).name for each in document()["secrets"].values()}
    assert all(files.values())
    assert len(set(files.values())) == len(files)
    again = run("make-secrets.sh", str(secrets))
    assert again.returncode == 0
    assert again.stdout.count("kept") == len(files)
    assert {file.name: file.read_bytes() for file in secrets.iterdir()} == files


def test_nobody_else_on_this_machine_reads_secrets_and_containers_do(secrets: Path) -> None:
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in secrets.iterdir()} == {0o444}


def test_secrets_are_what_settings_and_encryption_take(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("MASTHEAD_SECRET_KEY", raising=False)
    monkeypatch.setenv("DATABASE_URL_FILE", str(secrets / "database_url"))
    monkeypatch.setenv("MASTHEAD_SECRET_KEY_FILE", str(secrets / "masthead_secret_key"))
    settings = load_settings()
    password = (secrets / "masthead_db_password").read_text()
    assert psycopg.conninfo.conninfo_to_dict(settings.database_url or "") == {
        "user": "masthead",
        "password": password,
        "host": "postgres",
        "port": "5432",
        "dbname": "masthead",
    }
    Encryption.of(settings.secret_key).require()


def test_no_secret_can_be_committed() -> None:
    ignored = (DEPLOY / ".gitignore").read_text().split()
    assert {"secrets/", "vendors.env"} <= set(ignored)


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of its own, because roles belong to a whole server."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    try:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(
                "drop database if exists masthead"
            )  # as in an image that has just been started
        yield server
    finally:
        server.stop()


def psql_environment(server: EmbeddedPostgres) -> dict[str, str]:
    parts = psycopg.conninfo.conninfo_to_dict(server.url("postgres"))
    names = {"host": "PGHOST", "port": "PGPORT", "password": "PGPASSWORD"}
    bin_folder = server_binaries(server)
    return {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "POSTGRES_USER": str(parts["user"]),
        **{variable: str(parts[key]) for key, variable in names.items() if key in parts},
    }


def server_binaries(server: EmbeddedPostgres) -> Path:
    """The folder of the running server's programs."""
    with psycopg.connect(server.url("postgres")) as connection:
        row = connection.execute("select setting from pg_config where name = 'BINDIR'").fetchone()
    assert row is not None
    return Path(row[0])


def test_each_server_has_a_role_that_can_do_its_own_only(new_server: EmbeddedPostgres, secrets: Path) -> None:
    made = run("postgres-roles.sh", SECRETS=str(secrets), **psql_environment(new_server))
    assert made.returncode == 0, made.stderr
    password = (secrets / "temporal_db_password").read_text()
    assert password not in made.stdout + made.stderr
    with psycopg.connect(new_server.url("postgres")) as connection:
        roles = connection.execute(
            "select rolname, rolcreatedb, rolsuper, rolcreaterole, rolpassword like 'SCRAM-SHA-256$%' from pg_authid "
            "where rolname in ('masthead', 'temporal') order by 1"
        ).fetchall()
        assert roles == [("masthead", False, False, False, True), ("temporal", True, False, False, True)]
        database = connection.execute(
            "select pg_get_userbyid(datdba), datlocprovider, datlocale, "
            "has_database_privilege('temporal', oid, 'connect') from pg_database where datname = 'masthead'"
        ).fetchone()
        assert database == ("masthead", "b", "C.UTF-8", False)


async def test_the_namespace_is_made_and_then_brought_to_its_retention(temporal_address: str) -> None:
    env = {
        "TEMPORAL_ADDRESS": temporal_address,
        "TEMPORAL_NAMESPACE": "of-the-script",
        "PATH": f"{temporal_binary().parent}{os.pathsep}{os.environ['PATH']}",
    }
    for days in (30, 31):
        done = run("temporal-namespace.sh", MASTHEAD_RETENTION_DAYS=str(days), **env)
        assert done.returncode == 0, done.stderr
        client = await connect(temporal_address, "of-the-script")
        found = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace="of-the-script")
        )
        assert found.config.workflow_execution_retention_ttl.seconds == days * 86_400


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.name)
def test_every_script_stops_at_its_first_failure_and_is_used(script: Path) -> None:
    text = script.read_text("utf-8")
    assert text.startswith("#!/bin/sh\n")
    assert "\nset -eu\n" in text
    assert subprocess.run(["/bin/sh", "-n", str(script)], check=False).returncode == 0
    used_by_compose = {file for each in services().values() for file in mounted_files(each)}
    assert script in used_by_compose or script.name == "make-secrets.sh"


def test_one_shot_services_do_their_work_again_without_harm() -> None:
    """Compose starts them with every `up`: each is a script or command that keeps what is there."""
    names = {name for name, each in services().items() if one_shot(each)}
    assert names == {"temporal-schema", "temporal-namespace", "migrate"}
