"""The help of every command, as a terminal of 80 columns shows it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer.main
from typer.testing import CliRunner

from runtime.cli.command_line import COMMANDS, command_line

WIDTH = 80


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command and group, as they are typed."""
    yield path
    for name, inner in getattr(group, "commands", {}).items():
        yield from commands(inner, (*path, name))


def help_of(words: tuple[str, ...], first: str = "") -> str:
    said = CliRunner().invoke(
        command_line(first), [*words, "--help"], env={"COLUMNS": str(WIDTH), "TERM": "dumb"}
    )
    assert said.exit_code == 0, said.output
    return said.output


@pytest.mark.parametrize("words", list(commands(typer.main.get_command(command_line()))), ids=" ".join)
def test_no_line_of_prose_ends_before_it_is_full(words: tuple[str, ...]) -> None:
    prose = help_of(words).split("╭")[0]
    lines = [line.strip() for line in prose.splitlines()]
    for line, following in itertools.pairwise(lines):
        if line and following:
            # A margin of one column on each side; the next line's first word did not fit.
            assert len(f"{line} {following.split()[0]}") > WIDTH - 2, line


def test_required_and_optional_arguments_are_named_as_such() -> None:
    assert "masthead dump [OPTIONS] [FILE]" in " ".join(help_of(("dump",)).split())
    assert "masthead runs pause [OPTIONS] {RUN}" in help_of(("runs", "pause"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_the_same_alone_and_among_all(name: str) -> None:
    assert help_of((name,), first=name) == help_of((name,))


def test_a_command_waits_for_no_other_s_imports() -> None:
    asked = (
        "import sys; from runtime.cli.app import run; run(['doctor', '--help']);"
        " sys.exit('runtime.cli.doctor' not in sys.modules or 'runtime.cli.bill_run' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", asked], stdout=subprocess.DEVNULL).returncode == 0
