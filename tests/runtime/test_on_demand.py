"""The stack that a command starts for itself: shared, and gone with its last user."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from runtime.stack.state import read_state
from tests.conftest import PostgresForTests, wait_until
from tests.runtime.conftest import Command, Up, environment, nothing_runs


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


def test_what_a_killed_supervisor_left_is_stopped_by_the_next_start(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    first = Command(env)
    first.wait_ready()
    state = read_state(first.home)
    assert state is not None
    os.kill(state.supervisor.pid, signal.SIGKILL)
    assert first.finish() == 0
    assert any(child.process() is not None for child in state.children)

    second = Command(env)
    second.wait_ready()
    assert [child.name for child in state.children if child.process() is not None] == []
    assert second.finish() == 0
    wait_until("all is gone", lambda: nothing_runs(second.home))
