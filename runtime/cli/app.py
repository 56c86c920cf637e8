"""The `masthead` command, and how an error leaves it."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from runtime.collector import uncollected

with uncollected():
    import psycopg
    import sqlalchemy.exc
    from temporalio.service import RPCError
    from typer.exceptions import Abort, TyperException

    from runtime.cli.command_line import command_line
    from runtime.cli.errors import CommandFailed, UserError
    from runtime.process_exit import leave
    from runtime.settings import SettingsError, load_settings
    from runtime.stack.errors import StackError
    from runtime.stack.home import Home
    from runtime.temporal import TemporalUnavailable

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; every error has been told on stderr."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        with uncollected():
            command = command_line(given[0] if given else "")
        code = command(args=arguments, standalone_mode=False)
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
