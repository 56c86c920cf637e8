"""The guide of mails: its rule book and connections can be read, its template works, its table leaves nothing out."""

from __future__ import annotations

import re
from pathlib import Path

from documents.letters import Letters
from documents.samples import sample_facts
from documents.shelf import Shelf
from domain.mail_templates import TEMPLATES
from domain.rule_book import RuleBook
from operations.mails.compose import REASONS
from runtime.connection_source import Surroundings, read_connections
from runtime.yaml_source import load_document

GUIDE = (Path(__file__).parents[2] / "docs" / "mails.md").read_text("utf-8")


def block(mark: str) -> str:
    (found,) = re.findall(rf"^```{mark}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_rule_book_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(block("yaml rule-book"))
    publisher = load_document(tmp_path / "rules.yaml", RuleBook).publisher
    assert publisher.mails.off == ("receipt",)
    assert publisher.name == "The Harbor Courier"


def test_the_connection_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "masthead.yaml").write_text(block("yaml connections"))
    assert (
        read_connections(tmp_path / "masthead.yaml", Surroundings(secrets=_AnySecret()))["post"].mode
        == "live"
    )


class _AnySecret:
    def resolve(self, reference: str) -> str:
        return "secret"


def test_the_template_works(tmp_path: Path) -> None:
    (tmp_path / "mails" / "en").mkdir(parents=True)
    (tmp_path / "mails" / "en" / "receipt.txt").write_text(block("jinja mail"))
    letter = Letters(Shelf(tmp_path)).write("receipt", sample_facts("en-US", "USD"))
    assert letter.subject == "Your receipt for $119.00"
    assert letter.html.count('class="button"') == 1


def test_the_table_has_every_template() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*?) \| `(.*?)` \|$", GUIDE, re.MULTILINE)
    assert rows == [(each.name, each.about, each.on) for each in TEMPLATES]
    assert all(f"`{reason}`" in GUIDE for reason in REASONS)
