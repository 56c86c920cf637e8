"""The `masthead` command: its groups, and how an error leaves it."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import sqlalchemy.exc
import typer
from temporalio.service import RPCError
from typer.exceptions import Abort, TyperException

from runtime.cli import (
    backup,
    bench,
    bill_run,
    books,
    catalog,
    clock,
    codec_server,
    connectors,
    demo,
    doctor,
    dunning,
    entitlements,
    flows,
    imports,
    invoices,
    keys,
    mails,
    migrate,
    parked,
    payment_run,
    payments,
    reconcile,
    refunds,
    rules,
    runs,
    schedules,
    settings,
    simulate,
    subscribers,
    tax,
    up,
)
from runtime.cli.errors import CommandFailed, UserError
from runtime.process_exit import leave
from runtime.settings import SettingsError, load_settings
from runtime.stack.errors import StackError
from runtime.stack.home import Home
from runtime.temporal import TemporalUnavailable

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
app.command("migrate")(migrate.migrate)
app.command("settings")(settings.settings)
app.command("codec-server")(codec_server.codec_server)
app.command("demo")(demo.demo)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("reconcile")(reconcile.reconcile)
app.add_typer(catalog.app, name="catalog")
app.add_typer(rules.app, name="rules")
app.command("simulate")(simulate.simulate)
app.command("import")(imports.import_file)
app.command("bill-run")(bill_run.bill_run)
app.command("payment-run")(payment_run.payment_run)
app.add_typer(payments.app, name="payments")
app.add_typer(dunning.app, name="dunning")
app.add_typer(runs.app, name="runs")
app.add_typer(clock.app, name="clock")
app.add_typer(parked.app, name="errors")
app.add_typer(tax.app, name="tax")
app.command("verify")(books.verify_books)
app.command("trial-balance")(books.show_trial_balance)
app.command("dump")(books.dump_books)
app.add_typer(invoices.app, name="invoice")
app.add_typer(refunds.app, name="refund")
app.add_typer(refunds.disputes_app, name="disputes")
app.add_typer(mails.app, name="mails")
app.add_typer(entitlements.app, name="entitlements")
app.add_typer(connectors.app, name="connectors")
app.add_typer(bench.app, name="bench")
app.add_typer(schedules.app, name="schedules")
app.add_typer(flows.flows_app, name="flows")
app.add_typer(subscribers.subscribers_app, name="webhooks")
app.add_typer(keys.keys_app, name="keys")


@app.command()
def version() -> None:
    """Print the version."""
    import importlib.metadata

    print(importlib.metadata.version("masthead"))


def _flow(group: typer.Typer) -> None:
    """Let each paragraph of help flow to the width of the terminal: Typer keeps the line breaks of the source in all
    but the first."""
    for command in group.registered_commands:
        text = inspect.cleandoc(command.help or (command.callback and command.callback.__doc__) or "")
        command.help = "\n\n".join(paragraph.replace("\n", " ") for paragraph in text.split("\n\n"))
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _flow(inner.typer_instance)


_flow(app)


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; every error has been told on stderr."""
    try:
        code = app(args=arguments, standalone_mode=False)
        return code if isinstance(code, int) else OK
    except UserError as error:
        return _tell(error.message, error.remedy, BAD_INPUT)
    except CommandFailed as error:
        return _tell(error.message, error.remedy, FAILED)
    except SettingsError as error:
        return _tell(f"bad setting: {error}", "Correct or unset the variable.", BAD_INPUT)
    except (StackError, TemporalUnavailable) as error:
        return _tell(str(error), "`masthead doctor` says more.", FAILED)
    except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
        reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        return _tell(f"the database does not answer: {reason}", "`masthead doctor` says more.", FAILED)
    except RPCError as error:
        return _tell(f"Temporal does not answer: {error.message}", "`masthead doctor` says more.", FAILED)
    except TyperException as error:
        return _show_usage(error)
    except (Abort, KeyboardInterrupt, asyncio.CancelledError):
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
