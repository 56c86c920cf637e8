"""What a user meets who gives wrong input: the place, the remedy, exit code 2, and a database as it was before."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest

from bench.import_rows import HEADER
from operations.billrun.rate import refusal
from runtime.cli.app import run
from runtime.cli.parked import in_words
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


def test_one_wrong_currency_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(CATALOG.read_text().replace("currencies: [USD, EUR, JPY]", "currencies: [USD, EUR, YEN]"))
    priced = [no for no, line in enumerate(file.read_text().splitlines(), 1) if re.search(r"JPY: \d", line)]
    assert run(["catalog", "check", str(file)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert f"{file}:7: currencies[2]: 'YEN'" in said[0]
    assert said[1].startswith(f"{file}:{priced[0]}: ")
    named = ", ".join(map(str, priced[1:6]))
    assert said[1].endswith(f"; the same in {len(priced) - 1} more places (lines {named}, ...)")
    assert said[2].startswith("2 problems.")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "publisher: The",
            'publisher: "The',
            ":6: column 12: broken YAML: the quote that begins here is not closed",
        ),
        (
            "publisher: The",
            "publisher: 'The",
            ":6: column 12: broken YAML: the quote that begins here is not closed",
        ),
        ("masthead.catalog/1", "masthead.catalog/7", "'masthead.catalog/7' is not known to this version"),
    ],
)
def test_a_broken_catalog_is_one_problem_where_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, words: str
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(CATALOG.read_text().replace(old, new, 1))
    assert run(["catalog", "check", str(file)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2, said
    assert words in said[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (MAP.read_text(), "this is an import map (masthead.import-map/1); a catalog is expected here"),
        (
            "- a\n- b\n",
            ":1: is a list; a catalog is expected here, which begins with `format: masthead.catalog/1`",
        ),
        ("a,b\n1,2\n", ":1: is the text 'a,b 1,2'; a catalog is expected here"),
    ],
)
def test_a_document_of_another_kind_is_told_as_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, words: str
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(content)
    assert run(["catalog", "check", str(file)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2, said
    assert words in said[0]


def test_a_catalog_given_as_map_is_told_as_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(importing(csv_of(tmp_path, GOOD_ROW), CATALOG)) == 2
    said = capsys.readouterr().err
    assert "this is a catalog (masthead.catalog/1); an import map is expected here" in said


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
    lines = file.read_text().splitlines()
    for line in said.splitlines()[:-1]:
        at, _, reason = line.removeprefix("error: ").removeprefix(f"{file}:").partition(": plan ")
        code, _, version = reason.partition(" is loaded")[0].partition(" version ")
        assert f"version: {version}" in lines[int(at) - 1]
        named = [text for text in lines[: int(at)] if "- code: " in text][-1]
        assert named.strip() == f"- code: {code}"
    assert rows(loaded) == before


def test_a_good_catalog_is_told_and_shown(loaded: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["catalog", "load", str(CATALOG)]) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert run(["catalog", "check", str(CATALOG), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plans"] == 20
    assert run(["catalog", "show", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["plans"]) == 20
    assert run(["catalog", "show"]) == 0
    shown = capsys.readouterr().out
    assert "  delivers content quarterdeck-collection, 3 devices\n" in shown
    assert "  sends QD-PRINT, 320 g, on day 1, 15 of the month\n" in shown
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


LONG_HEAD = "\n".join([HEADER, *[GOOD_ROW] * 3])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            LONG_HEAD.encode() + b'\nB,"Reader,r@example.com\nC,x\nD,y\n',
            '5: a quote (") in the row that begins here is never closed',
        ),
        (
            LONG_HEAD.encode() + b'\nB,"Reader,r@example.com\nC,"x",y\nD,y\n',
            '6: text stands behind a closing quote ("), in the row that begins on line 5',
        ),
        (
            LONG_HEAD.encode() + b'\nB,"a"b,c\n',
            '5: text stands behind a closing quote ("); write a quote within',
        ),
        (
            LONG_HEAD.encode() + b'\nB,"' + b"x" * 140_000 + b'"\n',
            "5: a field of the row that begins here is longer than 131,072 characters",
        ),
        ("\n".join([HEADER, *[GOOD_ROW] * 9_000]).encode() + b"\nB,M\xfcller\n", "9002: is not utf-8 text"),
        (LONG_HEAD.encode() + b"\nB,M\xfc", "5: is not utf-8 text"),
        (LONG_HEAD.replace("\n", "\r").encode() + b"\rB,M\xfcller\r", "5: is not utf-8 text"),
    ],
    ids=["open", "closed too late", "text behind", "too long", "far down", "at the end", "returns"],
)
def test_a_file_that_breaks_off_says_on_which_line(
    loaded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, words: str
) -> None:
    file = tmp_path / "readers.csv"
    file.write_bytes(content)
    assert run(importing(file)) == 2
    said = capsys.readouterr().err
    assert f"{file}:{words}" in said
    assert rows(loaded)["account"] == 0


def test_parked_work_is_told_in_words(loaded: str, capsys: pytest.CaptureFixture[str]) -> None:
    engine = make_engine(loaded)
    try:
        with transaction(engine) as connection:
            try:
                with connection.transaction():
                    connection.execute("select (9223372036854775807)::bigint + 1")
            except psycopg.Error as error:
                refused = refusal(error)
            connection.execute(
                "insert into parked (id, mode, kind, trace_key, error_kind, message, remedy)"
                " values (gen_random_uuid(), 'live', 'bill-run', 'x', %s, %s, 'mend it')",
                (refused.error_kind, refused.message),
            )
    finally:
        engine.dispose()
    assert run(["errors"]) == 0
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "an amount is larger than the books can hold" in told
    assert "NumericValueOutOfRange" not in told
    assert run(["errors", "--json"]) == 0
    (park,) = json.loads(capsys.readouterr().out)
    assert park["error_kind"] == "NumericValueOutOfRange"
    assert park["words"].startswith("an amount is larger")
    assert in_words("ValueError", "no price in GBP") == "ValueError: no price in GBP"
    assert in_words("DiskFull", "no space") == "the database refused it (DiskFull: no space)"


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
