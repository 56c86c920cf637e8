"""Which connectors there are: ours and third parties' through entry points, and declarative ones from files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from connectors.sdk.connector import Connector
from connectors.sdk.errors import DefinitionError

GROUP = "masthead.connectors"
Loader = Callable[[Path], type[Connector[Any]]]

_loaders: dict[str, Loader] = {}


@dataclass(frozen=True, slots=True)
class Installed:
    """A connector by its name, or why it cannot be used. origin: the entry point or file that it comes from."""

    name: str
    origin: str
    connector: type[Connector[Any]] | None = None
    problem: str | None = None


def load_files_with(suffix: str, loader: Loader) -> None:
    """Files that end in `suffix` are connectors that `loader` makes classes of. It raises DefinitionError."""
    _loaders[suffix] = loader


def installed(files: Iterable[Path] = (), names: Collection[str] | None = None) -> list[Installed]:
    """All connectors, by name: those of the entry points, and those in `files`. A broken one hides no other.

    names: entry points of other names are left out and not imported, which for vendors' libraries takes long.
    Of two with one name both are told as unusable, for it would be left to chance which is meant.
    """
    wanted = [each for each in entry_points(group=GROUP) if names is None or each.name in names]
    found = [_from_entry_point(each) for each in wanted]
    found += [_from_file(each) for each in files]
    given = [each.name for each in found]
    marked = [
        each
        if given.count(each.name) == 1
        else Installed(each.name, each.origin, None, _twice(each.name, found))
        for each in found
    ]
    return sorted(marked, key=lambda each: (each.name, each.origin))


def find(name: str, files: Iterable[Path] = ()) -> type[Connector[Any]]:
    """The connector called `name`. Raises DefinitionError saying what there is, or what is wrong with it."""
    every = installed(files)
    for each in every:
        if each.name == name and each.connector is not None:
            return each.connector
        if each.name == name:
            raise DefinitionError(f"connector {name} ({each.origin}) cannot be used: {each.problem}")
    names = ", ".join(dict.fromkeys(each.name for each in every)) or "none"
    raise DefinitionError(f"there is no connector {name!r}; installed: {names}")


def _from_entry_point(entry: EntryPoint) -> Installed:
    origin = f"entry point {entry.value}"
    try:
        loaded = entry.load()
    except Exception as broken:
        # A plugin may fail in any way; the others must not.
        return Installed(
            entry.name, origin, problem=f"it cannot be imported: {type(broken).__name__}: {broken}"
        )
    if not (isinstance(loaded, type) and issubclass(loaded, Connector)):
        return Installed(entry.name, origin, problem="it is no subclass of Connector")
    if loaded.name != entry.name:
        return Installed(entry.name, origin, problem=f"its class is named {loaded.name!r}")
    return Installed(entry.name, origin, loaded)


def _from_file(path: Path) -> Installed:
    origin, name = f"file {path.name}", path.name.partition(".")[0]
    loader = next((load for suffix, load in _loaders.items() if path.name.endswith(suffix)), None)
    if loader is None:
        return Installed(
            name, origin, problem=f"nothing reads such files; known: {', '.join(_loaders) or 'none'}"
        )
    try:
        connector = loader(path)
    except Exception as broken:
        return Installed(name, origin, problem=f"{type(broken).__name__}: {broken}")
    return Installed(connector.name, origin, connector)


def _twice(name: str, found: list[Installed]) -> str:
    origins = ", ".join(each.origin for each in found if each.name == name)
    return f"several connectors have this name: {origins}"
