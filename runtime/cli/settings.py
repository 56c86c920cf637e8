"""`masthead settings`: every variable of the environment that Masthead reads, from the one place that defines them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from pydantic.fields import FieldInfo
from rich.table import Table

from runtime.cli.errors import UserError
from runtime.cli.tables import wide_console
from runtime.settings import Settings

# What Temporal's own SDK reads beside TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, for a Temporal of your own only.
OF_THE_SDK = {
    "TEMPORAL_API_KEY": "An API key, as Temporal Cloud gives it; TLS is then on.",
    "TEMPORAL_TLS": "`true` for TLS without a certificate of ours.",
    "TEMPORAL_TLS_CLIENT_CERT_PATH": "Our certificate for mutual TLS; `…_DATA` in place of `…_PATH` holds the text.",
    "TEMPORAL_TLS_CLIENT_KEY_PATH": "The key of our certificate; `…_DATA` likewise.",
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH": "Who signed the server's certificate, where the system does not know; `…_DATA` "
    "likewise.",
    "TEMPORAL_TLS_SERVER_NAME": "The name in the server's certificate, where it is not the address.",
    "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION": "`true` takes any certificate of the server: for trying out only.",
    "TEMPORAL_GRPC_META_*": "A header for every call, named by what follows.",
    "TEMPORAL_CONFIG_FILE": "A TOML file that holds all of these, as a secret that is mounted.",
    "TEMPORAL_PROFILE": "Which profile of that file.",
}
HEAD = """# Settings

Every variable of the environment that Masthead reads; an empty one counts as unset. `masthead settings --markdown`
prints this page from the code.
"""
FILES = """
A name with `_FILE` behind it may name a file that holds the value, as container platforms mount secrets; the variable
itself wins over its file.
"""
READERS = """
`masthead up` is the embedded stack, `masthead` any other command, `worker` is `python worker.py`, `API` is
`python -m runtime.serve_api`. Workers and API of the embedded stack get its addresses from it.
"""
SDK_HEAD = """
## Temporal's own

The SDK of Temporal reads these for a Temporal of your own, in every process. The embedded one leaves them aside.
"""


@dataclass(frozen=True)
class Variable:
    """One variable. default: the value that holds when it is unset, None where `unset` says in words what holds then.
    file: the variable that may name a file with the value, None where none may. read_by: the parts that look at it."""

    name: str
    default: str | None
    unset: str | None
    purpose: str
    read_by: tuple[str, ...]
    file: str | None


def variables() -> list[Variable]:
    """The variables of `runtime.settings.Settings`, in its order."""
    return [_variable(field) for field in Settings.model_fields.values()]


def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/settings.md.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every variable of the environment: what it is for, what holds without it, and which part reads it."""
    if markdown and as_json:
        raise UserError("--markdown and --json exclude each other", remedy="Take one of them.")
    if as_json:
        print(json.dumps({"settings": [asdict(each) for each in variables()], "temporal_sdk": OF_THE_SDK}))
    elif markdown:
        print("\n".join(_page()))
    else:
        _show()


def _variable(field: FieldInfo) -> Variable:
    said = field.json_schema_extra
    if not isinstance(said, dict) or not field.description:
        raise TypeError(f"{field.alias} has no description for its readers")
    unset, read_by = said["unset"], said["read_by"]
    name = str(field.alias)
    return Variable(
        name=name,
        default=_written(field.default) if unset is None else None,
        unset=str(unset) if unset is not None else None,
        purpose=field.description,
        read_by=tuple(str(part) for part in read_by) if isinstance(read_by, list | tuple) else (),
        file=f"{name}_FILE" if said["or_file"] else None,
    )


def _written(value: object) -> str:
    """A default as one would write it into the environment."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _page() -> Iterator[str]:
    yield HEAD
    yield "| variable | what it says | unset | read by |"
    yield "|---|---|---|---|"
    for each in variables():
        names = f"`{each.name}`" + (f", `{each.file}`" if each.file else "")
        readers = ", ".join(f"`{part}`" for part in each.read_by)
        yield f"| {names} | {each.purpose} | {each.unset or f'`{each.default}`'} | {readers} |"
    yield FILES.rstrip()
    yield READERS.rstrip()
    yield SDK_HEAD
    yield "| variable | what it says |"
    yield "|---|---|"
    for name, purpose in OF_THE_SDK.items():
        yield f"| `{name}` | {purpose} |"


def _show() -> None:
    table = Table("variable", "what it says", "unset", "read by")
    for each in variables():
        names = each.name + (f"\n{each.file}" if each.file else "")
        table.add_row(names, each.purpose, each.unset or each.default, "\n".join(each.read_by))
    console = wide_console()
    console.print(table)
    others = Table("of Temporal's SDK", "what it says")
    for name, purpose in OF_THE_SDK.items():
        others.add_row(name, purpose)
    console.print(others)
