"""The block `tax:` of masthead.yaml: who taxes in which mode, and every mistake at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.tax_orders import WhenAway
from connectors.avalara.connector import Avalara
from connectors.sdk.memory import EnvSecrets
from connectors.sdk.registry import Installed
from connectors.smtp.connector import Smtp
from runtime.connection_source import Surroundings, read_connections
from runtime.tax_source import read_taxing
from runtime.yaml_source import DocumentError

CONNECTIONS = """\
connections:
  avatax: {connector: avalara, mode: live, config: {account: "1", license_key: "env:KEY"}}
  trial: {connector: avalara, mode: test, config: {account: "1", license_key: "env:KEY"}}
  idle: {connector: avalara, mode: live, enabled: false, config: {account: "1", license_key: "env:KEY"}}
  mail: {connector: smtp, mode: live, config: {host: mail.example.com}}
"""
GOOD = """\
tax:
  live:
    connection: avatax
    when_away: fallback
    seller: {city: New York, region: NY, postal_code: "10018", country: US}
    codes: {news: PN010000}
  test: {connection: trial, seller: {country: US}}
"""


def write(folder: Path, tax: str) -> Path:
    file = folder / "masthead.yaml"
    file.write_text(CONNECTIONS + tax)
    return file


def surroundings() -> Surroundings:
    found = [Installed("avalara", "entry point", Avalara), Installed("smtp", "entry point", Smtp)]
    return Surroundings(installed=lambda *_: found, secrets=EnvSecrets({"KEY": "hush"}))


def told(folder: Path, tax: str) -> list[str]:
    with pytest.raises(DocumentError) as raised:
        read_connections(write(folder, tax), surroundings())
    return [f"{each.line}: {each.path}: {each.message}" for each in raised.value.problems]


def test_each_mode_has_an_engine_of_its_own(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    assert list(read_connections(file, surroundings())) == ["avatax", "trial", "idle", "mail"]
    uses = read_taxing(file)
    assert list(uses) == ["live", "test"]
    live = uses["live"]
    assert (live.connection, live.when_away, live.codes) == (
        "avatax",
        WhenAway.FALLBACK,
        {"news": "PN010000"},
    )
    assert (live.seller.city, live.seller.country) == ("New York", "US")
    assert (uses["test"].connection, uses["test"].when_away) == ("trial", WhenAway.WAIT)


def test_without_the_block_the_built_in_table_taxes(tmp_path: Path) -> None:
    assert read_taxing(write(tmp_path, "")) == {}


@pytest.mark.parametrize(
    ("tax", "said"),
    [
        (
            "tax:\n  live: {connection: avatx, seller: {country: US}}\n",
            "7: tax.live.connection: no connection is called 'avatx'; did you mean 'avatax'?",
        ),
        (
            "tax:\n  live: {connection: mail, seller: {country: US}}\n",
            "7: tax.live.connection: mail is no tax engine: its connector lacks the capability tax",
        ),
        (
            "tax:\n  live: {connection: idle, seller: {country: US}}\n",
            "7: tax.live.connection: idle is disabled: take enabled: false away there, or this block",
        ),
        (
            "tax:\n  test: {connection: avatax, seller: {country: US}}\n",
            "7: tax.test.connection: what is billed in test mode goes to no live system, and avatax is one",
        ),
        ("tax:\n  lve: {}\n", "7: tax.lve: is not a mode; did you mean 'live'?"),
        (
            "tax:\n  live: {connection: avatax}\n",
            "7: tax.live.seller: is missing: the address that is sold from, with a country at least",
        ),
        (
            "tax:\n  live: {connection: avatax, seller: {country: US}, when_down: wait}\n",
            "7: tax.live.when_down: is not a field here; did you mean 'when_away'?",
        ),
        (
            "tax:\n  live: {connection: avatax, seller: {country: US, zip: x}}\n",
            "7: tax.live.seller.zip: is not a field here; there are: city, country, line1, line2, postal_code, region",
        ),
        (
            "tax:\n  live:\n    connection: avatax\n    seller: {country: US}\n    when_away: guess\n",
            "10: tax.live.when_away: must be wait (bill when the engine is back) or fallback (bill by the built-in"
            " table)",
        ),
    ],
)
def test_a_mistake_is_told_at_its_line(tmp_path: Path, tax: str, said: str) -> None:
    assert told(tmp_path, tax) == [said]


def test_the_guide_s_example_can_be_read(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "tax.md").read_text()
    text = guide.partition("```yaml\n")[2].partition("```")[0]
    file = tmp_path / "masthead.yaml"
    file.write_text(text)
    secrets = EnvSecrets({"AVATAX_KEY": "hush"})
    found = [Installed("avalara", "entry point", Avalara)]
    read_connections(file, Surroundings(installed=lambda *_: found, secrets=secrets))
    assert read_taxing(file)["live"].codes == {"news": "PN010000", "ebook": "DB020000"}
