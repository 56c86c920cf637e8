"""The `masthead` command: its groups, and how an error leaves it."""

from __future__ import annotations

import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import typer
from typer.exceptions import Abort, TyperException

from runtime.cli import bench, bill_run, books, catalog, demo, doctor, imports, parked, schedules, up
from runtime.cli.errors import UserError
from runtime.process_exit import leave
from runtime.settings import SettingsError, load_settings
from runtime.stack.errors import StackError
from runtime.stack.home import Home

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="masthead",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Subscription hub for digital media: durable billing, and every system around it kept in step.\n\n"
        "Each command that needs Postgres and Temporal uses the running stack, or starts one for its own time "
        "and stops it again. `masthead up` keeps one running, with the Temporal Web UI and the API. "
        "`masthead doctor` says what works and what does not.\n\n"
        "Data lies in MASTHEAD_HOME (default ./.masthead). DATABASE_URL and TEMPORAL_ADDRESS point to servers "
        "of your own instead.\n\n"
        "Exit codes: 0 done, 1 failed, 2 wrong input or settings, 130 interrupted."
    ),
)

# One line per command or group.
app.command("up")(up.up)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.add_typer(catalog.app, name="catalog")
app.command("import")(imports.import_file)
app.command("bill-run")(bill_run.bill_run)
app.add_typer(bill_run.app, name="runs")
app.command("errors")(parked.errors)
app.command("verify")(books.verify_books)
app.command("trial-balance")(books.show_trial_balance)
app.command("dump")(books.dump_books)
app.add_typer(bench.app, name="bench")
app.add_typer(schedules.app, name="schedules")


@app.command()
def version() -> None:
    """Print the version."""
    import importlib.metadata

    print(importlib.metadata.version("masthead"))


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; every error has been told on stderr."""
    try:
        code = app(args=arguments, standalone_mode=False)
        return code if isinstance(code, int) else OK
    except UserError as error:
        return _tell(error.message, error.remedy, BAD_INPUT)
    except SettingsError as error:
        return _tell(f"bad setting: {error}", "Correct or unset the variable.", BAD_INPUT)
    except StackError as error:
        return _tell(str(error), "`masthead doctor` says more.", FAILED)
    except TyperException as error:
        return _show_usage(error)
    except (Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has left, as `head` does; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        log = _log_unexpected()
        remedy = f"The full trace is in {log}." if log is not None else None
        return _tell(f"unexpected {type(error).__name__}: {error}", remedy, FAILED)


def main() -> None:
    """Entry point of the console script."""
    leave(run())


def _show_usage(error: TyperException) -> int:
    # Errors of usage know how to show themselves with the usage line; help asked for is not an error's text.
    show = getattr(error, "show", None)
    if show is None:
        return _tell(error.format_message(), None, BAD_INPUT)
    show()
    return BAD_INPUT


def _tell(message: str, remedy: str | None, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    if remedy is not None:
        print(remedy, file=sys.stderr)
    return code


def _log_unexpected() -> Path | None:
    try:
        home = Home(load_settings().home)
        home.prepare()
        log = home.open_log("cli")
        try:
            head = f"{datetime.now(UTC).isoformat()} masthead {' '.join(sys.argv[1:2])}\n"
            os.write(log, (head + traceback.format_exc() + "\n").encode())
        finally:
            os.close(log)
        return home.log("cli")
    except (OSError, SettingsError):
        return None


if __name__ == "__main__":
    main()
