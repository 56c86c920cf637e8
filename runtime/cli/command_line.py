"""The commands and groups of `masthead`. A command line that names one imports that one: all together take more than
a second, which nobody waits for who asks for one."""

from __future__ import annotations

import inspect
from functools import cache
from importlib import import_module

import typer

_HELP = (
    "Subscription hub for digital media: durable billing, and every system around it kept in step.\n\n"
    "Each command that needs Postgres and Temporal uses the running stack, or starts one for its own time "
    "and stops it again. `masthead up` keeps one running, with the Temporal Web UI and the API. "
    "`masthead doctor` says what works and what does not.\n\n"
    "Data lies in MASTHEAD_HOME (default ./.masthead). DATABASE_URL and TEMPORAL_ADDRESS point to servers "
    "of your own instead.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong input or settings, 130 interrupted."
)
# Each command or group: the module of this folder, and what stands for it there.
COMMANDS = {
    "up": ("up", "up"),
    "doctor": ("doctor", "doctor"),
    "migrate": ("migrate", "migrate"),
    "settings": ("settings", "settings"),
    "codec-server": ("codec_server", "codec_server"),
    "demo": ("demo", "demo"),
    "backup": ("backup", "backup"),
    "restore": ("backup", "restore"),
    "reconcile": ("reconcile", "reconcile"),
    "catalog": ("catalog", "app"),
    "rules": ("rules", "app"),
    "simulate": ("simulate", "simulate"),
    "import": ("imports", "import_file"),
    "bill-run": ("bill_run", "bill_run"),
    "payment-run": ("payment_run", "payment_run"),
    "payments": ("payments", "app"),
    "dunning": ("dunning", "app"),
    "runs": ("runs", "app"),
    "clock": ("clock", "app"),
    "errors": ("parked", "app"),
    "tax": ("tax", "app"),
    "verify": ("books", "verify_books"),
    "trial-balance": ("books", "show_trial_balance"),
    "dump": ("books", "dump_books"),
    "invoice": ("invoices", "app"),
    "refund": ("refunds", "app"),
    "disputes": ("refunds", "disputes_app"),
    "mails": ("mails", "app"),
    "entitlements": ("entitlements", "app"),
    "connectors": ("connectors", "app"),
    "bench": ("bench", "app"),
    "schedules": ("schedules", "app"),
    "flows": ("flows", "flows_app"),
    "webhooks": ("subscribers", "subscribers_app"),
    "keys": ("keys", "keys_app"),
}


def command_line(first: str = "") -> typer.Typer:
    """The command line whose first word is `first`: what that names, or all commands where it names none."""
    return _of(first if first in COMMANDS else "")


@cache
def _of(name: str) -> typer.Typer:
    app = typer.Typer(
        name="masthead",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help=_HELP,
    )
    for each in [name] if name else COMMANDS:
        module, attribute = COMMANDS[each]
        found = getattr(import_module(f"runtime.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=each)
        else:
            app.command(each)(found)
    app.command()(version)
    _flow(app)
    return app


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
