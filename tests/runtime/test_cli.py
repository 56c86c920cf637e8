"""The command line: help, exit codes, messages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.runtime.conftest import CHECKOUT, environment, masthead


def test_help_names_the_commands(tmp_path: Path) -> None:
    said = masthead(environment(tmp_path / "home"), "--help")
    assert said.returncode == 0
    for word in ("up", "doctor", "version", "MASTHEAD_HOME", "Exit codes"):
        assert word in said.stdout


def test_an_unknown_command_is_wrong_input(tmp_path: Path) -> None:
    said = masthead(environment(tmp_path / "home"), "no-such-command")
    assert said.returncode == 2
    assert "no-such-command" in said.stderr


def test_a_bad_setting_is_named_with_exit_code_2(tmp_path: Path) -> None:
    said = masthead(environment(tmp_path / "home", MASTHEAD_WORKERS="many"), "up")
    assert said.returncode == 2
    assert "MASTHEAD_WORKERS" in said.stderr


def test_doctor_without_a_stack_fails_with_remedies_and_starts_nothing(tmp_path: Path) -> None:
    said = masthead(environment(tmp_path / "home"), "doctor")
    assert said.returncode == 1
    assert said.stdout.count("Start the stack with `masthead up`") == 1
    assert "Stack, Postgres, Temporal, Temporal Web UI, API: Start the stack" in said.stdout
    assert not (tmp_path / "home").exists()


def test_doctor_names_an_external_server_that_does_not_answer(tmp_path: Path) -> None:
    env = environment(
        tmp_path / "home", DATABASE_URL="postgresql://me:hush@127.0.0.1:1/x", TEMPORAL_ADDRESS="127.0.0.1:1"
    )
    said = masthead(env, "doctor")
    assert said.returncode == 1
    assert "TEMPORAL_ADDRESS" in said.stdout
    assert "DATABASE_URL" in said.stdout
    assert "hush" not in said.stdout + said.stderr


def test_a_command_says_what_it_starts_and_starts_no_workers_in_vain(tmp_path: Path) -> None:
    said = masthead(environment(tmp_path / "home"), "runs", "list")
    assert (said.returncode, said.stdout) == (0, "No bill run yet.\n")
    assert said.stderr == "starting Postgres, Temporal …\n"


def test_a_folder_with_other_content_is_not_taken_as_home(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    mode = tmp_path.stat().st_mode
    said = masthead(environment(tmp_path), "up")
    assert said.returncode == 1
    assert "not a Masthead home" in said.stderr
    assert tmp_path.stat().st_mode == mode
    assert os.listdir(tmp_path) == ["letters.txt"]


def test_a_worker_without_a_stack_says_what_to_do(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "worker.py"],
        env=environment(tmp_path / "home"),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert said.returncode == 2
    assert "masthead up" in said.stderr
