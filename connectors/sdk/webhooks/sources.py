"""Where a recipe finds a value: in a header, in the delivery's JSON, or in the hash of its bytes.

A source is a text: `header:NAME`, `sha256` (of the delivery's bytes), or a path into the JSON like `data.object.id`.
`a|b` takes the first that is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST_TEXT = 200  # characters; longer texts do not belong into an index
HEADER = "header:"
SHA256 = "sha256"


def at_path(node: object, path: str) -> Any:
    """The value of `node` at a dotted path of names; None where something on the way is missing or no object."""
    for name in path.split("."):
        if not isinstance(node, Mapping):
            return None
        node = node.get(name)
    return node


def as_text(value: object) -> str:
    """A JSON scalar as it is written in JSON, texts without quotes, nothing for null. Raises ValueError for an object
    or a list."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError("a text or a number is expected")


def storable(text: str) -> str:
    """`text` without what Postgres refuses in one: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def read_source(source: str, headers: Mapping[str, str], node: object, body: bytes) -> str:
    """The value at `source` as a storable text, empty where it is missing."""
    for choice in source.split("|"):
        if choice.startswith(HEADER):
            found = headers.get(choice.removeprefix(HEADER).lower(), "")
        elif choice == SHA256:
            found = hashlib.sha256(body).hexdigest()
        else:
            try:
                found = as_text(at_path(node, choice))
            except ValueError:
                found = ""
        if found:
            return storable(found)
    return ""


def read_key(sources: Sequence[str], headers: Mapping[str, str], node: object, body: bytes) -> str:
    """The values at `sources` joined by colons. When one is missing there is no telling repetitions apart by them:
    then the hash of the bytes is the key, as it is of a key that is too long."""
    parts = [read_source(source, headers, node, body) for source in sources]
    if not parts or not all(parts):
        return "sha256:" + hashlib.sha256(body).hexdigest()
    return shortened(":".join(parts))


def shortened(text: str) -> str:
    """`text`, or its hash where it is too long for an index."""
    return text if len(text) <= LONGEST_TEXT else "sha256:" + hashlib.sha256(text.encode()).hexdigest()
