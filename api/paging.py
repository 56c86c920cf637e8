"""Lists in pages. A page ends with a cursor, which is opaque to the caller: pass `next` as `after` to go on."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

from fastapi import Depends, Query

from api.problems import Problem

DEFAULT_LIMIT, MOST = 50, 200
_VERSION = "1"

Row = TypeVar("Row")


class Page(NamedTuple):
    """What page is asked for: up to `limit` rows behind the one whose key the cursor holds (None: the first)."""

    limit: int
    after: str | None

    @property
    def after_id(self) -> str | None:
        """The id that the list goes on behind, where its key is an id. Raises Problem for another cursor."""
        if self.after is None:
            return None
        (text,) = read_cursor(self.after, 1)
        try:
            return str(UUID(text))
        except ValueError:
            raise bad_cursor() from None


def page(
    limit: Annotated[int, Query(ge=1, le=MOST, description="how many at most")] = DEFAULT_LIMIT,
    after: Annotated[
        str | None,
        Query(max_length=200, description="`next` of the page before; leave it out for the first page"),
    ] = None,
) -> Page:
    """The dependency of a route that lists: `wanted: Annotated[Page, Depends(page)]`, or `Paged`."""
    return Page(limit, after)


Paged = Annotated[Page, Depends(page)]


def cut(rows: Sequence[Row], limit: int, key: Callable[[Row], Any]) -> tuple[list[Row], str | None]:
    """The page's rows and its `next`, out of `limit` + 1 rows that were read: the one too many says that there are
    more. `key` is what the list is ordered by."""
    shown = list(rows[:limit])
    return shown, make_cursor(key(shown[-1])) if len(rows) > limit else None


def make_cursor(*parts: Any) -> str:
    """A cursor that holds `parts`, whose texts have no commas."""
    text = ",".join([_VERSION, *map(str, parts)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, count: int) -> list[str]:
    """The `count` parts of a cursor. Raises Problem for what is none."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        version, *parts = base64.b64decode(padded, b"-_", validate=True).decode("ascii").split(",")
    except (binascii.Error, UnicodeError, ValueError):
        raise bad_cursor() from None
    if version != _VERSION or len(parts) != count:
        raise bad_cursor()
    return parts


def bad_cursor() -> Problem:
    """What is answered to a cursor that this list did not give."""
    return Problem(
        422,
        "bad_cursor",
        "This is no cursor of this list.",
        remedy="Pass `next` of the page before as `after`, unchanged; leave it out for the first page.",
    )
