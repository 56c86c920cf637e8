"""The help of every command, as a terminal of 80 columns shows it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import typer.main
from typer.testing import CliRunner

from runtime.cli.app import app

WIDTH = 80


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command and group, as they are typed."""
    yield path
    for name, inner in getattr(group, "commands", {}).items():
        yield from commands(inner, (*path, name))


def help_of(words: tuple[str, ...]) -> str:
    said = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(WIDTH), "TERM": "dumb"})
    assert said.exit_code == 0, said.output
    return said.output


@pytest.mark.parametrize("words", list(commands(typer.main.get_command(app))), ids=" ".join)
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
