"""`masthead up`: what it opens, who may call, and what happens when a part of it is killed."""

from __future__ import annotations

import json
import os
import signal
import stat
import uuid
from pathlib import Path

import psutil
import psycopg
import pytest

from runtime.cli.doctor import Finding, examine
from runtime.settings import load_settings
from runtime.stack.state import ProcessRef
from storage.events import NewEvent, append_events
from tests.conftest import wait_until
from tests.runtime.conftest import Command, Up, environment, get, masthead, nothing_runs, processes_of


def test_everything_listens_on_the_loopback_interface_only(up: Up) -> None:
    listening: dict[str, set[str]] = {}
    # Whoever was started for the home: supervisor, caretaker and all of their children.
    for process in processes_of(up.home):
        for connection in process.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                listening.setdefault(connection.laddr.ip, set()).add(" ".join(process.cmdline())[-80:])
    assert set(listening) == {"127.0.0.1"}, listening
    assert {child.name for child in up.state.children} >= {"postgres", "temporal", "api", "worker-1"}


def test_files_are_private(up: Up) -> None:
    home = up.home
    passing_through = 0o711 if os.geteuid() == 0 else 0o700
    assert stat.S_IMODE(home.root.stat().st_mode) == passing_through
    for folder in (home.logs, home.run, home.temporal_file.parent, home.api_key_file.parent, home.postgres):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    files = [home.state_file, home.stack_lock, home.api_key_file, *home.logs.iterdir(), *home.run.iterdir()]
    for file in (*files, *home.temporal_file.parent.iterdir()):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_health_is_open_and_the_rest_needs_a_key(up: Up) -> None:
    code, body = up.health()
    readers = body.pop("event_readers")
    assert (code, body) == (200, {"status": "ok", "postgres": True, "temporal": True, "writes_held": None})
    assert isinstance(readers, dict)
    assert readers["events_behind"] == 0
    status, body = get(f"{up.state.api_url}/no-such-page")
    assert status == 404
    assert json.loads(body)["type"] == "urn:masthead:problem:not_found"


def test_doctor_and_a_second_up_report_the_running_stack(up: Up) -> None:
    said = masthead(up.env, "doctor", "--json")
    findings = {finding["item"]: finding for finding in json.loads(said.stdout)["findings"]}
    missing = {item for item, finding in findings.items() if not finding["ok"]}
    assert missing == set(), said.stdout
    assert said.returncode == 0
    again = masthead(up.env, "up")
    assert again.returncode == 0
    assert "already up" in again.stdout
    assert str(up.state.api_url) in again.stdout


def test_doctor_names_an_open_transaction_that_holds_readers_back(
    up: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.cli.doctor.LONG_TRANSACTION_SECONDS", 0.2)
    url = up.state.database_url
    assert url is not None

    def found() -> Finding:
        settings = load_settings(home=up.home.root)
        return next(each for each in examine(settings) if each.item == "Event readers")

    assert found().ok
    with psycopg.connect(url) as forgotten:
        forgotten.execute("select pg_current_xact_id()")
        append_events(forgotten, [NewEvent("x", None, str(uuid.uuid4()), 1)])
        wait_until("it is told", lambda: not found().ok)
        assert "pg_stat_activity" in str(found().remedy)
    assert found().ok


def test_a_killed_worker_comes_back(up: Up) -> None:
    _kill_and_expect_back(up, "worker-1", signal.SIGKILL)


def test_a_killed_api_comes_back_on_its_port(up: Up) -> None:
    url = up.state.api_url
    _kill_and_expect_back(up, "api", signal.SIGKILL)
    assert up.state.api_url == url


def test_a_killed_temporal_server_comes_back_on_its_port_with_its_data(up: Up) -> None:
    address = up.state.temporal_address
    _kill_and_expect_back(up, "temporal", signal.SIGKILL)
    assert up.state.temporal_address == address
    findings = json.loads(masthead(up.env, "doctor", "--json").stdout)["findings"]
    assert {"Namespace", "Search attributes"} <= {f["item"] for f in findings if f["ok"]}


def test_postgres_comes_back_after_an_immediate_stop_and_after_a_kill(up: Up) -> None:
    url = up.state.database_url
    assert url is not None
    for number in (signal.SIGQUIT, signal.SIGKILL):
        with psycopg.connect(url) as connection:
            connection.execute("create table if not exists survivors (signal int)")
            connection.execute("insert into survivors values (%s)", (int(number),))
        _kill_and_expect_back(up, "postgres", number)
    with psycopg.connect(url) as connection:
        rows = connection.execute("select signal from survivors order by signal").fetchall()
    assert rows == [(int(signal.SIGQUIT),), (int(signal.SIGKILL),)]


def test_each_restart_is_told_and_logged(up: Up) -> None:
    _kill_and_expect_back(up, "worker-1", signal.SIGKILL)
    events = [json.loads(line) for line in up.home.log("supervisor").read_text().splitlines()]
    death = [event for event in events if event["event"] == "died" and event.get("child") == "worker-1"][-1]
    assert death["exit"] == -signal.SIGKILL
    assert str(up.home.log("worker-1")) in death["message"]
    assert "worker-1 ended (killed by SIGKILL)" in up.output.read_text()


def _kill_and_expect_back(up: Up, name: str, number: signal.Signals) -> None:
    wait_until("ready before the kill", lambda: up.ready)
    before = up.pid(name)
    dead = ProcessRef.of(name, before)
    assert dead is not None
    os.kill(before, number)
    wait_until(f"{name} is gone", lambda: dead.process() is None)
    wait_until(
        f"{name} is back",
        lambda: any(c.name == name and c.pid != before for c in up.state.children) and up.ready,
    )
    wait_until("health is ok", lambda: up.health()[0] == 200)


def test_ctrl_c_stops_all_that_was_started_and_the_next_start_has_the_data(tmp_path: Path) -> None:
    bystander = psutil.Popen(["sleep", "300"], start_new_session=True)
    try:
        env = environment(tmp_path / "home")
        first = Up(env)
        key = first.home.api_key_file.read_text()
        url = first.state.database_url
        assert url is not None
        with psycopg.connect(url) as connection:
            connection.execute("create table kept (value int)")
            connection.execute("insert into kept values (42)")
        children = first.state.children
        assert {child.name for child in children} == {"temporal", "postgres", "worker-1", "api"}
        assert first.stop(signal.SIGINT) == 0
        assert [child.name for child in children if child.process() is not None] == []
        assert nothing_runs(first.home)
        assert not first.home.state_file.exists()
        assert bystander.is_running()

        second = Command(env)
        _, url = second.wait_ready().split()
        with psycopg.connect(url) as connection:
            assert connection.execute("select value from kept").fetchall() == [(42,)]
        assert second.home.api_key_file.read_text() == key
        assert second.finish() == 0
        wait_until("all is gone", lambda: nothing_runs(second.home))
    finally:
        bystander.kill()
        bystander.wait()
