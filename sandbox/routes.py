"""Which method of a stand-in answers which call."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import unquote

from sandbox.calls import Answer

Handler = Callable[..., Answer | Awaitable[Answer]]
_H = TypeVar("_H", bound=Callable[..., Any])
_PARAM = re.compile(r"\{(\w+)(:rest)?\}")


def route(method: str, pattern: str) -> Callable[[_H], _H]:
    """Mark a method `(self, call) -> Answer` (plain or async) as the answer to `method pattern`.

    `{name}` in the pattern takes one path segment, `{name:rest}` all that is left. One method may have several marks.
    """

    def mark(handler: _H) -> _H:
        marks = getattr(handler, "__routes__", ())
        handler.__routes__ = (*marks, (method.upper(), pattern))  # type: ignore[attr-defined]
        return handler

    return mark


class Routes:
    """The routes of one stand-in class, those with fewer placeholders first."""

    def __init__(self, owner: type) -> None:
        found: dict[tuple[str, str], str] = {}
        for name in dir(owner):
            for mark in getattr(getattr(owner, name, None), "__routes__", ()):
                found[mark] = name
        ordered = sorted(found, key=lambda mark: (mark[1].count("{"), ":rest" in mark[1]))
        self._table = [(method, _compiled(pattern), found[method, pattern]) for method, pattern in ordered]

    def find(self, method: str, path: str) -> tuple[str, dict[str, str]] | None:
        """Name of the method that answers, and the path's values unescaped; None when none does."""
        for wanted, pattern, name in self._table:
            match = pattern.fullmatch(path)
            if wanted == method and match:
                return name, {key: unquote(value) for key, value in match.groupdict().items()}
        return None

    def methods(self, path: str) -> list[str]:
        """Methods that are answered at this path."""
        return sorted({wanted for wanted, pattern, _ in self._table if pattern.fullmatch(path)})


def _compiled(pattern: str) -> re.Pattern[str]:
    parts: list[str] = []
    end = 0
    for match in _PARAM.finditer(pattern):
        parts.append(re.escape(pattern[end : match.start()]))
        parts.append(f"(?P<{match[1]}>{'.*' if match[2] else '[^/]+'})")
        end = match.end()
    return re.compile("".join(parts) + re.escape(pattern[end:]))
