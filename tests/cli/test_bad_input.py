"""What a user meets who gives wrong input: the place, the remedy, exit code 2, and a database as it was before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.import_rows import HEADER
from runtime.cli.app import run
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests

EXAMPLES = Path(__file__).parents[2] / "examples"
CATALOG = EXAMPLES / "catalog.yaml"
MAP = EXAMPLES / "subscribers.map.yaml"
GOOD_ROW = (
    "A,Reader,r@example.com,US,USD,Asia/Tokyo,en,JP,,digital-monthly,1,2026-01-15,,2026-11-30,tok,,,,,,"
)
TABLES = (
    "product",
    "plan",
    "plan_version",
    "price",
    "tax_rate",
    "account",
    "person",
    "subscription",
    "import_job",
)


@pytest.fixture
def url(pg_server: PostgresForTests, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    url = pg_server.fresh_database("bad_input")
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")  # these commands need no Temporal
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    return url


@pytest.fixture
def loaded(url: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["catalog", "load", str(CATALOG)]) == 0
    capsys.readouterr()
    return url


def rows(url: str) -> dict[str, int]:
    engine = make_engine(url)
    try:
        with transaction(engine) as connection:
            found = {}
            for table in TABLES:
                row = connection.execute(f"select count(*) from {table}".encode()).fetchone()
                assert row is not None
                found[table] = int(row[0])
            return found
    finally:
        engine.dispose()


def importing(file: Path, map_file: Path = MAP, *more: str, as_of: str = "2026-12-01") -> list[str]:
    return ["import", str(file), "--map", str(map_file), "--as-of", as_of, *more]


def csv_of(folder: Path, *lines: str) -> Path:
    file = folder / "readers.csv"
    file.write_text("\n".join((HEADER, *lines)) + "\n")
    return file


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "currencies: [USD, EUR, JPY]",
            "currencies: [USD, EUR, JPY",
            ("catalog.yaml:9: column 9: broken YAML", "begun on line 7"),
        ),
        (
            "currencies: [USD, EUR, JPY]",
            "currencies: [USD, EUR, YEN]",
            ("catalog.yaml:7: ", "'YEN' is not an ISO 4217"),
        ),
        ("tax_rates:", "prices: [{code: x, type: recurring}]\ntax_rates:", ("a price without a plan",)),
        (
            "publisher:",
            "publishr:",
            ("catalog.yaml:6: publishr: is not a field here; did you mean 'publisher'?",),
        ),
        ("meter: articles", "meter: clicks", ("there is no meter 'clicks'; the catalog has: articles",)),
    ],
)
@pytest.mark.parametrize("command", ["load", "check"])
def test_a_bad_catalog(
    url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    old: str,
    new: str,
    words: tuple[str, ...],
) -> None:
    file = tmp_path / "catalog.yaml"
    text = CATALOG.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    assert run(["catalog", command, str(file)]) == 2
    said = capsys.readouterr()
    assert all(word in said.err for word in words), said.err
    assert "Correct the file" in said.err
    assert said.out == ""
    assert set(rows(url).values()) == {0}


def test_a_changed_version_is_refused_with_its_remedy(
    loaded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows(loaded)
    file = tmp_path / "catalog.yaml"
    file.write_text(CATALOG.read_text().replace("USD: 12.00", "USD: 12.50"))
    assert run(["catalog", "load", str(file)]) == 2
    said = capsys.readouterr().err
    assert "plan digital-monthly version 1 is loaded with other terms (differs in phases)" in said
    assert "plan digital-intro version 1" in said
    assert "add version 3" in said
    assert rows(loaded) == before


def test_a_good_catalog_is_told_and_shown(loaded: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", "load", str(CATALOG)]) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert run(["catalog", "check", str(CATALOG), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plans"] == 17
    assert run(["catalog", "show", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["plans"]) == 17
    assert run(["catalog", "show"]) == 0
    assert "digital-monthly" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "{column: email,",
            "{column: e_mail,",
            ("subscribers.map.yaml:9: account.email.column", "no column 'e_mail'"),
        ),
        ("account:", "account: [", ("broken YAML",)),
        ("account:", "acount:", ("did you mean 'account'?",)),
        ("function: lower", "function: lowr", ("account.email", "did you mean 'lower'?")),
        ("{value: magazine-archive}", "{value: magazines}", ("items[1].plan.value", "no plan 'magazines'")),
    ],
)
def test_a_bad_map(
    loaded: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    words: tuple[str, ...],
) -> None:
    before = rows(loaded)
    map_file = tmp_path / "subscribers.map.yaml"
    text = MAP.read_text()
    assert old in text
    map_file.write_text(text.replace(old, new, 1))
    assert run(importing(csv_of(tmp_path, GOOD_ROW), map_file)) == 2
    said = capsys.readouterr()
    assert all(word in said.err for word in words), said.err
    assert "Nothing was imported" in said.err
    assert rows(loaded) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"USD": "EURO"}, "'EURO' is not an ISO 4217 currency code"),
        ({"USD": "GBP"}, "plan digital-monthly version 1 has no price in GBP"),
        ({"digital-monthly": "platinum"}, "the catalog has no plan 'platinum'"),
        ({"2026-01-15": "2026-12-02"}, "the start date 2026-12-02 lies after the as-of date 2026-12-01"),
        ({"2026-01-15": "15.01.2026"}, "'15.01.2026' is not a date like 2026-12-01"),
    ],
)
def test_a_bad_row_is_left_out_whole(
    loaded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], words: str
) -> None:
    bad = "B" + GOOD_ROW[1:]
    for old, new in changes.items():
        bad = bad.replace(old, new)
    file = csv_of(tmp_path, GOOD_ROW, bad)
    assert run(importing(file)) == 2
    said = capsys.readouterr()
    assert f"{file}:3: " in said.err
    assert words in said.err
    assert (
        f"1 row rejected and left out; the others are in. Rejected rows with their reasons: {tmp_path}"
        in said.err
    )
    assert [line.split() for line in said.out.splitlines()] == [
        ["imported", "1"], ["existing", "0"], ["rejected", "1"], ["rows", "2"],
    ]  # fmt: skip
    found = rows(loaded)
    assert (found["account"], found["person"], found["subscription"]) == (1, 1, 1)
    assert words in (tmp_path / "readers.rejected.csv").read_text()


def test_a_duplicate_key(loaded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(importing(csv_of(tmp_path, GOOD_ROW, GOOD_ROW))) == 2
    assert "duplicate external key: the same key stands first at row 2" in capsys.readouterr().err
    assert rows(loaded)["account"] == 1


def test_counts_as_json(loaded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(importing(csv_of(tmp_path, GOOD_ROW), MAP, "--dry-run", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["rows"], answer["imported"], answer["dry_run"]) == (1, 1, True)
    assert rows(loaded)["account"] == 0
    assert run(importing(csv_of(tmp_path, GOOD_ROW), MAP, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["imported"] == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty; expected a header line"),
        (HEADER + "\n", "has a header line and no rows"),
        (None, "does not exist"),
    ],
)
def test_an_empty_or_missing_file(
    loaded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, words: str
) -> None:
    before = rows(loaded)
    file = tmp_path / "readers.csv"
    if content is not None:
        file.write_text(content)
    assert run(importing(file)) == 2
    said = capsys.readouterr().err
    assert f"{file}" in said
    assert words in said
    assert "Nothing was imported" in said
    assert rows(loaded) == before


def test_a_date_that_is_none(loaded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(importing(csv_of(tmp_path, GOOD_ROW), as_of="tomorrow")) == 2
    assert "--as-of: 'tomorrow' is not a date" in capsys.readouterr().err


def test_an_import_without_a_catalog_says_what_to_do(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(importing(csv_of(tmp_path, GOOD_ROW))) == 2
    assert "load a catalog first" in capsys.readouterr().err
    assert rows(url)["import_job"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--as-of", "9999-12-31"], "more than five years away"),
        (["--as-of", "31.12.2026"], "is not a date"),
        (["--as-of", "2026-12-31", "--scope", "shoe-size:9"], "is no scope"),
        (["--as-of", "2026-12-31", "--scope", "plan:x", "--parked"], "exclude each other"),
    ],
)
def test_a_bill_run_that_cannot_be_meant(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """Refused before anything is started."""
    assert run(["bill-run", *arguments]) == 2
    assert words in capsys.readouterr().err
