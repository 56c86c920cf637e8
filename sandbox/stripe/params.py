"""Reading Stripe's form-encoded, bracketed parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sandbox.calls import Call
from sandbox.stripe.errors import invalid

_PART = re.compile(r"[^\[\]]+|\[\]")


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`metadata[order]=1`, `items[0][price]=p`, `expand[]=x` nested; the last of equal names wins."""
    root: dict[str, Any] = {}
    for key, value in pairs:
        parts = _PART.findall(key) or [key]
        here = root
        for part in parts[:-1]:
            inner = here.get(part)
            if not isinstance(inner, dict):
                inner = here[part] = {}
            here = inner
        last = str(len(here)) if parts[-1] == "[]" else parts[-1]
        here[last] = value
    return {key: _folded(value) for key, value in root.items()}


def _folded(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key == "[]" or key.isdigit() for key in node):
        return [_folded(value) for value in node.values()]
    return {key: _folded(value) for key, value in node.items()}


class Params:
    """The parameters of one call. Reading marks a name as known; `done()` refuses those that nobody read."""

    def __init__(self, call: Call) -> None:
        self.all = nested([*call.query, *call.form()] if call.method == "POST" else call.query)
        self._read = {"expand"}

    def raw(self, name: str) -> Any:
        """The value as it came, None when absent."""
        self._read.add(name)
        return self.all.get(name)

    def text(self, name: str, allowed: Iterable[str] = ()) -> str | None:
        """A text, None when absent or empty (Stripe's way to unset)."""
        value = self.raw(name)
        if value in (None, ""):
            return None
        if not isinstance(value, str):
            raise invalid(f"Invalid string: {value}", "parameter_invalid_string", name)
        choices = tuple(allowed)
        if choices and value not in choices:
            listed = ", ".join(choices)
            raise invalid(f"Invalid {name}: must be one of {listed}", "parameter_invalid_string", name)
        return value

    def required(self, name: str) -> str:
        """A text that must be there."""
        value = self.text(name)
        if value is None:
            raise invalid(f"Missing required param: {name}.", "parameter_missing", name)
        return value

    def number(self, name: str) -> int | None:
        """An integer, None when absent."""
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?\d+", value):
            raise invalid(f"Invalid integer: {value}", "parameter_invalid_integer", name)
        return int(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean."""
        return self.text(name, ("true", "false")) == "true" if self.raw(name) is not None else default

    def mapping(self, name: str) -> dict[str, Any]:
        """A nested hash, empty when absent."""
        value = self.raw(name)
        if value in (None, ""):
            return {}
        if not isinstance(value, dict):
            raise invalid(f"Invalid object: {name}", "parameter_invalid_object", name)
        return value

    def metadata(self, before: dict[str, str] | None = None) -> dict[str, str]:
        """Metadata laid over `before`: at most 50 keys of 40 characters, values of 500; an empty value unsets."""
        merged = {**(before or {}), **self.mapping("metadata")}
        for key, value in merged.items():
            if not isinstance(value, str):
                raise invalid(
                    "Metadata values must be strings.", "parameter_invalid_string", f"metadata[{key}]"
                )
            if len(key) > 40 or len(value) > 500:
                raise invalid(
                    f"Metadata is too long at {key}.", "parameter_invalid_string", f"metadata[{key}]"
                )
        merged = {key: value for key, value in merged.items() if value != ""}
        if len(merged) > 50:
            raise invalid("You can only have up to 50 metadata keys.", "parameter_invalid_object", "metadata")
        return merged

    def ignore(self, *names: str) -> None:
        """Take these without a meaning in the stand-in."""
        self._read.update(names)

    def done(self) -> None:
        """Refuse parameters that the call does not have, as Stripe does."""
        unknown = sorted(set(self.all) - self._read)
        if unknown:
            raise invalid(f"Received unknown parameter: {unknown[0]}", "parameter_unknown", unknown[0])

    @property
    def expand(self) -> list[str]:
        """Fields to answer as objects."""
        value = self.all.get("expand", [])
        return [str(path) for path in (value if isinstance(value, list) else [value])]
