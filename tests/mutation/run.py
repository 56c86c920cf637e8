"""The mutation run: `python -m tests.mutation.run`. Exit code 1 below the bar.

Everything happens in a copy in a temporary folder: the sources here are read once and never changed, so that others
may work on them at the same time. Which modules are mutated and which tests have to notice is in pyproject.toml.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from tests.mutation.score import BAR, NotAMeasurement, scores_in, table, together

ROOT = Path(__file__).parents[2]
ROOMS = ("domain", "tests/domain", "tests/mutation")
MUTMUT = str(Path(sys.executable).with_name("mutmut"))


def copy_to(folder: Path) -> list[str]:
    """Copy the rules, their tests and the settings into `folder`; the paths of the modules to mutate.
    tests/conftest.py stays behind: it brings up servers."""
    unwanted = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=unwanted)
    shutil.copy(ROOT / "tests/__init__.py", folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    settings = tomllib.loads((folder / "pyproject.toml").read_text())
    modules: list[str] = settings["tool"]["mutmut"]["only_mutate"]
    return modules


def mutate(folder: Path, workers: int) -> None:
    """Try every mutant in `folder`, with `workers` processes. Raises NotAMeasurement when it does not get that far,
    say because a test fails without any fault put in."""
    log = folder / "mutmut.log"
    with log.open("wb") as out:
        done = subprocess.run(
            [MUTMUT, "run", "--max-children", str(workers)],
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        said = log.read_text(errors="replace").replace("\r", "\n").splitlines()[-40:]
        raise NotAMeasurement("mutmut gave up:\n" + "\n".join(said))


def change_of(folder: Path, mutant: str) -> str:
    """The lines that `mutant` takes out and puts in."""
    shown = subprocess.run(
        [MUTMUT, "show", mutant], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    lines = [line for line in shown.splitlines() if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")]
    return "\n".join(f"    {line}" for line in lines)


def report(folder: Path, modules: list[str]) -> tuple[str, bool]:
    """Survivors and scores as text, and whether the bar is reached."""
    scores = scores_in(folder, modules)
    whole = together(scores)
    survivors = [f"survived: {name}\n{change_of(folder, name)}" for name in whole.survivors]
    verdict = f"{whole.total} mutants, {whole.percent:.1f} % noticed; the bar is {BAR:g} %"
    return "\n".join([*survivors, table(scores), verdict]), whole.percent >= BAR


def main() -> int:
    """The command line: 0 when the bar is reached, 1 when not or when nothing was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="work in this new folder and keep it, for `mutmut show`")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2)
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="mutation-"))
    began = time.monotonic()
    try:
        modules = copy_to(folder)
        sys.stdout.write(
            f"faults put into {len(modules)} modules, one at a time; some 6 minutes on 2 cores\n"
        )
        sys.stdout.flush()
        mutate(folder, arguments.workers)
        text, reached = report(folder, modules)
    except NotAMeasurement as error:
        sys.stdout.write(f"{error}\n")
        return 1
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{text}\nin {time.monotonic() - began:.0f} s\n")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
