"""The stack that a command starts for itself: shared, and gone with its last user."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import psutil
import psycopg
import pytest

from runtime.stack.home import Home
from runtime.stack.state import read_state
from tests.conftest import PostgresForTests, wait_until
from tests.runtime.conftest import Command, Up, environment, nothing_runs, processes_of


def test_two_commands_share_one_stack_which_ends_with_the_last(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    one, two = Command(env), Command(env, "workers")
    assert one.wait_ready() == two.wait_ready()
    state = read_state(one.home)
    assert state is not None
    supervisor = state.supervisor
    assert state.workers_ready
    assert one.finish() == 0
    assert supervisor.process() is not None, "the stack ended under a command that still uses it"
    assert two.finish() == 0
    wait_until("the stack has ended", lambda: nothing_runs(two.home))


@pytest.mark.deep
def test_up_waits_for_a_command_and_then_starts(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    command = Command(env)
    command.wait_ready()
    up = Up(env, wait=False)
    wait_until("up says that it waits", lambda: "waiting for it" in up.output.read_text())
    assert command.finish() == 0
    up.wait_ready()
    assert not up.state.on_demand
    assert up.stop() == 0
    wait_until("all is gone", lambda: nothing_runs(up.home))


def test_external_servers_are_used_and_left_alone(
    tmp_path: Path, pg_server: PostgresForTests, temporal_address: str
) -> None:
    url = pg_server.fresh_database("external")
    env = environment(tmp_path / "home", DATABASE_URL=url, TEMPORAL_ADDRESS=temporal_address)
    up = Up(env)
    assert {child.name for child in up.state.children} == {"worker-1", "api"}
    assert (up.state.database_url, up.state.temporal_address) == (url, temporal_address)
    assert up.health()[0] == 200
    assert up.stop() == 0
    assert pg_server.server.ping() is None

    command = Command({**env, "MASTHEAD_WORKERS": "0"}, "workers")
    assert command.wait_ready().split() == [temporal_address, url]
    assert not up.home.state_file.exists(), "a supervisor was started with nothing to do"
    assert command.finish() == 0


def test_ports_that_are_taken_are_replaced_and_a_killed_command_leaves_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = str(squatter.getsockname()[1])
        names = ("MASTHEAD_API_PORT", "MASTHEAD_TEMPORAL_PORT", "MASTHEAD_TEMPORAL_UI_PORT")
        command = Command(environment(tmp_path / "home", **dict.fromkeys(names, taken)), "workers")
        command.wait_ready()
        state = read_state(command.home)
        assert state is not None
        places = [state.temporal_address, state.temporal_ui, state.api_url]
        chosen = {str(place).rpartition(":")[2] for place in places}
        assert len(chosen) == 3
        assert taken not in chosen
        os.kill(command.process.pid, signal.SIGKILL)
        command.process.communicate()
        wait_until("all is gone", lambda: nothing_runs(command.home))


def caretaker(home: Home) -> psutil.Process | None:
    """The process that watches over the supervisor of `home`."""
    found = [each for each in processes_of(home) if "runtime.stack.caretaker" in each.cmdline()]
    return found[0] if found else None


@pytest.mark.deep
def test_what_a_killed_supervisor_started_ends_with_it_and_the_next_start_goes_on(tmp_path: Path) -> None:
    first = Up(environment(tmp_path / "home"))
    url = first.state.database_url
    assert url is not None
    with psycopg.connect(url) as connection:
        connection.execute("create table kept (value int)")
        connection.execute("insert into kept values (42)")
    dead = caretaker(first.home)
    assert dead is not None
    dead.kill()
    wait_until("there is another caretaker", lambda: caretaker(first.home) not in (None, dead))
    children = first.state.children
    assert {child.name for child in children} == {"temporal", "postgres", "worker-1", "api"}

    first.process.kill()
    first.process.wait()
    wait_until("nothing is left", lambda: nothing_runs(first.home))
    assert [child.name for child in children if child.process() is not None] == []
    last = json.loads(first.home.log("supervisor").read_text().splitlines()[-1])
    assert last["event"] == "orphans stopped"
    assert "database system is shut down" in (first.home.postgres / "log").read_text(), "an orderly end"

    second = Command(first.env)
    _, url = second.wait_ready().split()
    with psycopg.connect(url) as connection:
        assert connection.execute("select value from kept").fetchall() == [(42,)]
    assert second.finish() == 0
    wait_until("all is gone", lambda: nothing_runs(second.home))


@pytest.mark.deep
def test_what_a_supervisor_left_that_was_killed_with_its_caretaker_is_stopped_by_the_next_start(
    tmp_path: Path,
) -> None:
    env = environment(tmp_path / "home")
    first = Command(env)
    first.wait_ready()
    state = read_state(first.home)
    watching = caretaker(first.home)
    assert state is not None
    assert watching is not None
    supervisor = state.supervisor.process()
    assert supervisor is not None
    supervisor.suspend()  # so that it cannot start another
    watching.kill()
    supervisor.kill()
    assert first.finish() == 0
    assert any(child.process() is not None for child in state.children)

    second = Command(env)
    second.wait_ready()
    assert [child.name for child in state.children if child.process() is not None] == []
    assert second.finish() == 0
    wait_until("all is gone", lambda: nothing_runs(second.home))
