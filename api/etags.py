"""Versions of what two may edit: shown as ETag, and asked for as If-Match before a change.

A route that shows something answers with `ETag: etag(version)`. One that changes it takes `expected: IfMatch`, hands
`expected.allows` to the use case, which asks it about the version of the row that it has locked, and answers
`moved(version)` where that is another. A command takes `IfGiven` instead.
"""

from __future__ import annotations

import re
import zlib
from typing import Annotated, NamedTuple

from fastapi import Depends, Header

from api.problems import Problem

_TAG = re.compile(r'\s*(?:W/)?"v?([^"]*)"\s*')


class Expected(NamedTuple):
    """The versions that a change may be made to; None: whatever it is (`If-Match: *`)."""

    versions: frozenset[int] | None

    def allows(self, version: int) -> bool:
        """Whether a change may be made to `version`."""
        return self.versions is None or version in self.versions


def etag(version: int) -> str:
    """The ETag of something in that version."""
    return f'"v{version}"'


async def if_match(
    header: Annotated[str | None, Header(alias="If-Match", max_length=500)] = None,
) -> Expected:
    """The dependency of a route that changes something: 428 without If-Match. What is no ETag of ours fits nothing."""
    return _expected(header)


def _expected(header: str | None) -> Expected:
    if header is None or not header.strip():
        raise Problem(
            428,
            "no_if_match",
            "This may be edited by others, too: say which version you have seen, as If-Match.",
        )
    if header.strip() == "*":
        return Expected(None)
    versions = set()
    for part in header.split(","):
        found = _TAG.fullmatch(part)
        # A weak tag promises too little to change something by (RFC 9110, 13.1.1).
        if found and not part.strip().startswith("W/") and found[1].isascii() and found[1].isdigit():
            versions.add(int(found[1][:10]))
    return Expected(frozenset(versions))


def digest(*content: object) -> int:
    """The version of what has no number of its own: the same for the same content."""
    return zlib.crc32(repr(content).encode())


IfMatch = Annotated[Expected, Depends(if_match)]


async def if_given(
    header: Annotated[str | None, Header(alias="If-Match", max_length=500)] = None,
) -> Expected:
    """The dependency of a command, which says what shall be, whatever is: without If-Match any version will do."""
    return Expected(None) if header is None or not header.strip() else _expected(header)


IfGiven = Annotated[Expected, Depends(if_given)]


def moved(version: int) -> Problem:
    """What is answered where the version is another: 412, with the ETag as it is now."""
    return Problem(
        412,
        "changed_meanwhile",
        "Somebody changed it since you read it.",
        headers={"ETag": etag(version)},
    )
