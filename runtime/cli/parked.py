"""`masthead errors`: the work that could not go on, with reason and remedy, and what a person decides about it."""

from __future__ import annotations

import asyncio
import getpass
import json
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import psycopg.errors
import typer
from rich.markup import escape
from rich.table import Table
from temporalio.service import RPCError

from connectors.sdk.methods import method
from connectors.sdk.redaction import MAIL, PERSONAL, SECRET, redact_value
from contracts.parked import Action, Decided
from operations.parked.decide import CannotDecide, Decision, NoSuchPark, decide
from runtime.cli.errors import UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import Stack, ensure_stack
from runtime.temporal import TemporalUnavailable, connect
from storage.database import make_engine, transaction
from storage.parked import grouped_parks, one_park, open_parks
from workflows.call_starts import tell

MASKS = (SECRET, PERSONAL, MAIL)

# What Postgres calls an error, as those see it who look after accounts and plans.
_WORDS = {
    "NumericValueOutOfRange": (
        "an amount is larger than the books can hold (some 92 quadrillion in a currency with cents); look for a price, "
        "a quantity or a usage count with too many digits"
    ),
    "UniqueViolation": "it clashes with a row that is there already",
    "ForeignKeyViolation": "it refers to a row that is not there",
    "CheckViolation": "a value is outside of what the books allow",
    "NotNullViolation": "a value is missing",
    "CharacterNotInRepertoire": "it holds characters that the books cannot keep",
    "UntranslatableCharacter": "it holds characters that the books cannot keep",
    "StringDataRightTruncation": "a text is too long",
}

app = typer.Typer(
    invoke_without_command=True,
    help="List parked work: what happened, and what to do. Then retry, edit, skip or fail it.",
)

Park = Annotated[str, typer.Argument(metavar="ID", help="The id, as `masthead errors` prints it.")]
Reason = Annotated[str, typer.Option(help="Why; it goes into the audit table.")]
Actor = Annotated[str, typer.Option(help="Who; your login name by default.")]
NotApplied = Annotated[
    bool,
    typer.Option(
        "--not-applied", help="I have seen at the other system that nothing was done: send it anew."
    ),
]


def in_words(error_kind: str, message: str) -> str:
    """What happened, without the database's jargon in front; what the database said stays in brackets."""
    if (words := _WORDS.get(error_kind)) is not None:
        return f"{words} ({message})"
    if isinstance(known := getattr(psycopg.errors, error_kind, None), type) and issubclass(
        known, psycopg.Error
    ):
        return f"the database refused it ({error_kind}: {message})"
    return f"{error_kind}: {message}"


@app.callback()
def errors(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, oldest first.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    group: Annotated[
        bool, typer.Option("--group", help="One line for each cause, the largest first.")
    ] = False,
    connection: Annotated[str, typer.Option(help="Only what this connection could not do.")] = "",
    error_kind: Annotated[str, typer.Option("--kind", help="Only one kind of error, as in rejected.")] = "",
) -> None:
    """List what is parked, unless a command says what to do about it."""
    if context.invoked_subcommand is not None:
        return
    filters = {
        name: value for name, value in (("connection", connection), ("error_kind", error_kind)) if value
    }
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        with transaction(engine) as database:
            found = (grouped_parks if group else open_parks)(database, limit, filters)
        engine.dispose()
    told = [each | {"words": in_words(each["error_kind"], each["message"])} for each in found]
    if as_json:
        print(json.dumps(told, default=str))
    elif not told:
        wide_console().print("Nothing is parked.")
    else:
        wide_console().print(_groups(told) if group else _list(told))


def _list(parks: list[dict[str, Any]]) -> Table:
    calls = any(park["call_id"] for park in parks)
    head = ["account", "since", "times", "what happened", "what to do"]
    table = Table(title=f"{len(parks)} parked")
    if calls:
        table.add_column("id", no_wrap=True, overflow="fold", min_width=36)
        table.add_column("call")
    for name in head:
        table.add_column(name)
    for park in parks:
        call = [park["id"], f"{park['connection']}: {park['method']}" if park["call_id"] else park["kind"]]
        cells = [str(park["account"]), str(park["opened_at"])[:16], str(park["times"]), park["words"]]
        # What stands in brackets is text, and no markup.
        table.add_row(*map(escape, [*(call if calls else []), *cells, str(park["remedy"])]))
    return table


def _groups(groups: list[dict[str, Any]]) -> Table:
    table = Table(
        "how many", "about", "connection", "call", "since", "what happened", "the oldest", title="by cause"
    )
    for each in groups:
        cells = [
            f"{each['count']:,}",
            f"{each['traces']:,}",
            each["connection"] or "",
            each["method"] or each["kind"],
            str(each["since"])[:16],
            f"{each['words']} [{each['code']}]" if each["code"] else each["words"],
            each["sample"],
        ]
        table.add_row(*map(escape, cells))
    return table


@app.command()
def show(park: Park) -> None:
    """One, as JSON, with what was sent; what is about a person is masked."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            with transaction(engine) as database:
                found = one_park(database, _id(park))
        finally:
            engine.dispose()
    if found is None:
        raise _unknown(park)
    found["payload"] = redact_value(found["payload"])
    found["in_doubt"] = found.pop("first_sent_at") is not None
    print(json.dumps(found, default=str, indent=2, ensure_ascii=False))


@app.command()
def retry(park: Park, reason: Reason, actor: Actor = "", not_applied: NotApplied = False) -> None:
    """Try it again as it is."""
    _act(Action.RETRY, park, reason, actor, not_applied=not_applied)


@app.command()
def edit(
    park: Park,
    reason: Reason,
    file: Annotated[
        Path, typer.Option(help="JSON: the fields of the payload to change; null takes one away.")
    ],
    actor: Actor = "",
    not_applied: NotApplied = False,
) -> None:
    """Change what is sent, and try again. What the file leaves out stays as it is."""
    _act(Action.EDIT, park, reason, actor, changes=_read(file), not_applied=not_applied)


@app.command()
def skip(park: Park, reason: Reason, actor: Actor = "") -> None:
    """Go on without it."""
    _act(Action.SKIP, park, reason, actor)


@app.command()
def fail(park: Park, reason: Reason, actor: Actor = "") -> None:
    """Let it fail, and with it what waits for it."""
    _act(Action.FAIL, park, reason, actor)


def _act(
    action: Action, park: str, reason: str, actor: str, *, changes: Any = None, not_applied: bool = False
) -> None:
    if not reason.strip():
        raise UserError("--reason is empty", remedy="Say in a few words why.")
    decision = Decision(
        action, actor.strip() or getpass.getuser(), reason.strip(), changes, not_applied=not_applied
    )
    with ensure_stack(load_settings(), workers=False) as stack:
        decided = _commit(stack, _id(park), decision)
        told = asyncio.run(_tell(stack, decided))
    before = " before" if decided.repeated else ""
    later = "" if told or decided.call is None else "; whoever waits for it finds out within some minutes"
    print(f"{decided.park_id}: {action.value}, decided{before}{later}")


def _commit(stack: Stack, park: str, decision: Decision) -> Decided:
    engine = make_engine(stack.database_url)
    try:
        with transaction(engine) as database:
            return decide(
                database,
                park,
                decision,
                check=lambda name, payload: method(name).problems(payload),
                masks=MASKS,
            )
    except NoSuchPark:
        raise _unknown(park) from None
    except CannotDecide as error:
        raise UserError(str(error), remedy=f"See how it stands: masthead errors show {park}") from None
    finally:
        engine.dispose()


async def _tell(stack: Stack, decided: Decided) -> bool:
    try:
        client = await connect(stack.temporal_address, stack.namespace, deadline_seconds=5)
        return await tell(client, decided)
    except (RPCError, TemporalUnavailable):
        return False  # the decision is committed, and the row is looked at without being told


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}", remedy="Name a JSON file.") from None
    except ValueError as error:
        raise UserError(f"{file} is no JSON: {error}", remedy="Correct it, or name another file.") from None


def _id(park: str) -> str:
    try:
        return str(UUID(park))
    except ValueError:
        raise UserError(
            f"{park!r} is not the id of parked work", remedy="`masthead errors` shows the ids."
        ) from None


def _unknown(park: str) -> UserError:
    return UserError(f"there is no parked work {park}", remedy="`masthead errors` shows what there is.")
