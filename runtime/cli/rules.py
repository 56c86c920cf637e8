"""`masthead rules`: check a rule book, load it, show the one that holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from connectors.sdk.capabilities.payment import PaymentGateway
from domain.gateway_routing import unknown_gateways
from domain.rule_book import RuleBook
from operations.rule_books import DEFAULT_RULE_BOOK, RuleBookRefused, load_rule_book, read_rule_books
from runtime.cli.errors import UserError
from runtime.connections import configured
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from runtime.yaml_source import DocumentError, load_document
from storage.database import make_engine, transaction

app = typer.Typer(
    no_args_is_help=True, help="The rule book: policy, coupons, delivery days and gateways of the publisher."
)

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A rule book (YAML): policy, coupons, delivery, gateways.")
]
Name = Annotated[str, typer.Option("--name", help="Of the rule book; accounts that name none have this one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def check(file: File) -> None:
    """Read FILE and report everything that is wrong with it. Needs no database."""
    rules = _read(file)
    print(f"{file} is sound: {len(rules.coupons)} coupons, policy: {_told(rules)}")


@app.command()
def load(file: File, name: Name = DEFAULT_RULE_BOOK) -> None:
    """Load FILE as the newest version of the rule book; loading it again changes nothing. What is billed already stays
    as it is."""
    rules = _read(file)
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            version = load_rule_book(engine, rules, name)
        except RuleBookRefused as refused:
            raise UserError(f"{file}: {refused}", remedy="Nothing was loaded.") from None
        finally:
            engine.dispose()
    if version is None:
        print(f"rule book {name!r} says this already; nothing changed")
    else:
        print(f"rule book {name!r}, version {version}: {_told(rules)}")


@app.command()
def show(name: Name = DEFAULT_RULE_BOOK, as_json: AsJson = False) -> None:
    """Show the rule book that holds, with its defaults filled in (--json), or what differs from them."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            with transaction(engine) as connection:
                books = read_rule_books(connection)
        finally:
            engine.dispose()
    if name != DEFAULT_RULE_BOOK and name not in books:
        raise UserError(f"there is no rule book {name!r}", remedy=f"There are: {', '.join(books) or 'none'}")
    rules = books.get(name) or RuleBook()
    if as_json:
        print(json.dumps(rules.model_dump(mode="json", by_alias=True), ensure_ascii=False))
    else:
        print(f"rule book {name!r}: {_told(rules)}")


def _read(file: Path) -> RuleBook:
    try:
        rules = load_document(file, RuleBook)
    except DocumentError as error:
        raise UserError(str(error), remedy="Nothing was loaded. Correct the file.") from None
    _check_gateways(file, rules)
    return rules


def _check_gateways(file: Path, rules: RuleBook) -> None:
    """Each gateway that the rules name is a connection that can charge. Raises UserError with all that are not."""
    if not rules.gateways.rules:
        return
    try:
        specs = configured(load_settings()).values()
    except DocumentError as error:
        raise UserError(str(error), remedy="Nothing was loaded. Correct the connections first.") from None
    charging = [spec.name for spec in specs if spec.enabled and issubclass(spec.connector, PaymentGateway)]
    found = [
        f"{file}: gateways.{'.'.join(map(str, each.path))}: {each.message}"
        for each in unknown_gateways(rules.gateways, charging)
    ]
    if found:
        raise UserError("\n".join(found), remedy="Nothing was loaded. Name connections of masthead.yaml.")


def _told(rules: RuleBook) -> str:
    given = rules.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return json.dumps(given, ensure_ascii=False) if given else "all defaults"
