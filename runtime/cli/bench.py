"""`masthead bench`: measurements that print JSON and compare with a floor taken in the same run."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from runtime.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Measure this installation; each bench prints JSON.")


@app.callback()
def group() -> None:
    """Measure this installation; each bench prints JSON."""


@app.command("bill-run")
def bill_run(
    accounts: Annotated[
        int, typer.Option(min=100, max=5_000_000, help="How many accounts to build and bill.")
    ] = 10_000,
    cold: Annotated[
        bool,
        typer.Option(
            "--cold", help="Bill as the first thing that the workers do, without the preview that warms them."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Bill a fleet through Temporal, and compare with plain SQL writing the same rows.

    The workers are warm, as the plain SQL is: they have shown a preview of the day after, which writes nothing.

    Works in a home of its own under MASTHEAD_HOME, which is thrown away afterwards. Exit code 1 when the books
    do not verify.
    """
    # Only the bench command needs the benches.
    from bench.bill_run import bench_bill_run

    figures = bench_bill_run(load_settings(), accounts, lambda text: print(text, file=sys.stderr), cold=cold)
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        for name in (
            "accounts",
            "invoices_per_s",
            "floor_invoices_per_s",
            "ratio",
            "reference_floor_per_s",
            "books_ok",
        ):
            print(f"{name:24} {figures[name]}")
    if not figures["books_ok"]:
        raise typer.Exit(1)


@app.command("payment-run")
def payment_run(
    accounts: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="How many accounts to bill and charge.")
    ] = 4_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Charge a fleet through Temporal at the gateway's stand-in, and compare with a bare client making the same calls.

    Works in a home of its own under MASTHEAD_HOME, which is thrown away afterwards. Exit code 1 when the books do not
    verify, or the stand-in's own count is not one charge a payment.
    """
    from bench.payment_run import bench_payment_run

    figures = bench_payment_run(load_settings(), accounts, lambda text: print(text, file=sys.stderr))
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        for name in ("payments", "payments_per_s", "ceiling_per_s", "ratio", "temporal_events_per_payment"):
            print(f"{name:28} {figures[name]}")
    if not (figures["books_ok"] and figures["charged_once"]):
        raise typer.Exit(1)


@app.command("checkout-wait")
def checkout_wait(
    accounts: Annotated[
        int, typer.Option(min=100, max=5_000_000, help="How many accounts the run bills.")
    ] = 20_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Post single invoices, as a checkout does, alone and beside a bill run; print how long they wait.

    Works in a home of its own under MASTHEAD_HOME, which is thrown away afterwards. Exit code 1 when the books
    do not verify.
    """
    from bench.checkout_wait import bench_checkout_wait

    figures = bench_checkout_wait(load_settings(), accounts, lambda text: print(text, file=sys.stderr))
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        for name in ("alone", "during_run"):
            print(f"{name:12} " + "  ".join(f"{what} {value:g}" for what, value in figures[name].items()))
    if not figures["books_ok"]:
        raise typer.Exit(1)


@app.command("commands")
def commands(
    changes: Annotated[
        int, typer.Option(min=50, max=100_000, help="How many changes of plan a window has.")
    ] = 1_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Change plans through the API, and compare with a bare handler writing the same rows; again without Temporal.

    Works on a Postgres and a Temporal of its own under MASTHEAD_HOME, which are thrown away afterwards. Exit code 1
    when the bar is missed.
    """
    from bench.commands import bench_commands

    figures = bench_commands(load_settings(), changes, lambda text: print(text, file=sys.stderr))
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        for name in ("per_s", "bare_per_s", "ratio", "bar", "ms", "temporal_away", "follow_ups"):
            print(f"{name:24} {figures[name]}")
    if not figures["reached"]:
        raise typer.Exit(1)


@app.command("rating")
def rating(
    rounds: Annotated[
        int, typer.Option(min=1, max=10_000, help="How often the two take turns; the best round counts.")
    ] = 400,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Rate one ordinary subscription again and again, and compare with a bare loop.

    Needs neither Postgres nor Temporal. Exit code 1 when a rating takes more than 20 times as long as the bare loop.
    """
    from bench.rating import bench_rating

    figures = bench_rating(rounds)
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        for name in ("us_per_rating", "us_bare", "ratio", "bar"):
            print(f"{name:24} {figures[name]}")
    if not figures["reached"]:
        raise typer.Exit(1)


@app.command("webhooks")
def webhooks(
    deliveries: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="How many deliveries a window has.")
    ] = 10_000,
    backlog: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="How many facts wait to be applied.")
    ] = 10_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Take webhooks in and apply them, and compare with a bare handler and a bare loop writing the same rows.

    Works on a Postgres of its own under MASTHEAD_HOME, which is thrown away afterwards. Exit code 1 when a bar is
    missed.
    """
    from bench.webhooks import bench_webhooks

    figures = bench_webhooks(load_settings(), deliveries, backlog, lambda text: print(text, file=sys.stderr))
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        for name in (
            "intake_per_s",
            "bare_per_s",
            "ratio",
            "bar",
            "intake_ms",
            "to_effect",
            "backlog",
            "one_event",
        ):
            print(f"{name:24} {figures[name]}")
    if not figures["reached"]:
        raise typer.Exit(1)


@app.command("entitlements")
def entitlements(
    grants: Annotated[
        int, typer.Option(min=100, max=10_000_000, help="How many grants there are.")
    ] = 1_000_000,
    checks: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="How many checks a window has.")
    ] = 5_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Ask whether readers may read, and compare with a bare handler that reads one row by its primary key.

    Works on a Postgres of its own under MASTHEAD_HOME, which is thrown away afterwards. Exit code 1 when the bar is
    missed.
    """
    from bench.entitlements import bench_entitlements

    figures = bench_entitlements(load_settings(), grants, checks, lambda text: print(text, file=sys.stderr))
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        for name in ("checks_per_s", "bare_per_s", "ratio", "bar", "check_ms", "bare_ms"):
            print(f"{name:24} {figures[name]}")
    if not figures["reached"]:
        raise typer.Exit(1)
