"""The pages of the sandbox: an index, and for each system what it holds and what it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import jinja2

from sandbox.stand_in import StandIn

_PAGES = jinja2.Environment(
    loader=jinja2.PackageLoader("sandbox"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_LATEST = 25


def render(template: str, **values: Any) -> str:
    """One of the sandbox's templates, filled in; values are escaped."""
    return _PAGES.get_template(template).render(**values)


def index_page(stand_ins: Mapping[str, StandIn]) -> str:
    """All systems that are served here."""
    return render(
        "index.html", stand_ins=[(name, title_of(name, one), one) for name, one in stand_ins.items()]
    )


def system_page(name: str, stand_in: StandIn, *, mounted: bool) -> str:
    """What is served as `name`: its state, effects, last calls and waiting faults, with forms for faults and clock."""
    held = stand_in.tables()
    return render(
        "system.html",
        it=stand_in,
        title=title_of(name, stand_in),
        control=f"/_control/{name}",
        mounted=mounted,
        tables={title: _table(rows) for title, rows in held.items() if rows},
        empty=[title for title, rows in held.items() if not rows],
        effects=stand_in.effects.of()[: -_LATEST - 1 : -1],
        requests=stand_in.requests[: -_LATEST - 1 : -1],
        faults=stand_in.faults.waiting(),
        known=stand_in.fault_type.known,
        now=stand_in.clock.now(),
        ahead=_ahead(stand_in.clock.offset),
    )


def title_of(name: str, stand_in: StandIn) -> str:
    """Its title, and the name under which it is served where that is another than its own."""
    title = stand_in.title or stand_in.system
    return title if name == stand_in.system else f"{name} ({title})"


def _table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[Any]], int]:
    """Columns, the latest rows (newest first) and how many there are in all."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    latest = rows[: -_LATEST - 1 : -1]
    return columns, [[row.get(column, "") for column in columns] for row in latest], len(rows)


def _ahead(offset: timedelta) -> str:
    return f"{offset} ahead of real time" if offset else "real time"
