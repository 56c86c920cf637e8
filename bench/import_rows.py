"""How fast an import is and how much memory it takes: `python -m bench.import_rows --rows 1000000`.

Rows are made on the fly into a temporary file and imported in a process of its own, whose peak resident
memory is what counts. Prints JSON. Needs DATABASE_URL, a database with the example catalog loaded, or
`--load-catalog`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from bench.memory import peak_rss_mb
from domain.import_map import ImportMap
from operations.catalog import load_catalog
from operations.imports.run import ImportRequest, import_file
from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import load_document
from storage.database import make_engine
from storage.migrate import upgrade

EXAMPLES = Path(__file__).parent.parent / "examples"
AS_OF = date(2026, 12, 1)
_PLANS = (
    "digital-monthly",
    "digital-yearly",
    "digital-student",
    "print-digital",
    "flex-one-year",
    "print-weekend",
)
_PLACES = (("USD", "America/New_York", "US-NY"), ("EUR", "Europe/Berlin", "DE"), ("JPY", "Asia/Tokyo", "JP"))
HEADER = (
    "key,name,email,country,currency,time_zone,locale,tax_region,tax_exempt,plan,quantity,started,bill_day,"
    "paid_through,payment_method,archive,special_price,discount_code,discount_percent,discount_amount,"
    "discount_until"
)


def write_rows(file: Path, rows: int, *, prefix: str = "bench") -> None:
    """`rows` invented subscribers in the columns of examples/subscribers.csv; the same call gives the same
    file."""
    with file.open("w", encoding="utf-8") as out:
        out.write(HEADER + "\n")
        for no in range(rows):
            currency, zone, region = _PLACES[no % 3]
            started = AS_OF - timedelta(days=1 + no % 1800)
            discount = "WELCOME,20,," if no % 5 == 0 else ",,,"
            out.write(
                f"{prefix}-{no:07},Reader {no:07},reader{no:07}@example.com,,{currency},{zone},en,{region},,"
                f"{_PLANS[no % 6]},1,{started},,2026-11-30,card_{no:07},,,{discount}\n"
            )


def measure(file: Path, url: str) -> dict[str, object]:
    """Import `file` in this process and say how it went."""
    begin = time.perf_counter()
    import_map = load_document(EXAMPLES / "subscribers.map.yaml", ImportMap)
    summary = import_file(make_engine(url), ImportRequest(file, import_map, AS_OF))
    seconds = time.perf_counter() - begin
    return {
        "rows": summary.rows,
        "imported": summary.imported,
        "existing": summary.existing,
        "rejected": summary.rejected,
        "seconds": round(seconds, 2),
        "rows_per_s": round(summary.rows / seconds),
        "peak_rss_mb": float(peak_rss_mb()),
    }


def measured_apart(file: Path, url: str) -> dict[str, object]:
    """`measure` in a process of its own, so that nothing else counts as its memory."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "bench.import_rows", "--file", str(file)],
        cwd=EXAMPLES.parent,
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        check=True,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def main() -> None:
    """The command line of this benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--file", type=Path, help="import this file instead of making one")
    parser.add_argument(
        "--load-catalog", action="store_true", help="migrate, and load examples/catalog.yaml first"
    )
    arguments = parser.parse_args()
    url = os.environ.get("DATABASE_URL")
    if not url:
        parser.error("DATABASE_URL is not set; it names the database to import into")
    if arguments.load_catalog:
        upgrade(url)
        load_catalog(make_engine(url), read_catalog_file(EXAMPLES / "catalog.yaml").catalog)
    if arguments.file:
        answer = measure(arguments.file, url)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.csv"
            write_rows(file, arguments.rows, prefix=f"bench-{time.time_ns()}")
            answer = measured_apart(file, url)
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
