"""The way out of a declarative connector: a named function for one method."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from connectors.sdk.errors import DefinitionError
from connectors.sdk.located import nearest


def load_function(name: str, folder: Path) -> Callable[..., Awaitable[Any]]:
    """The `async def` that `module:function` or `./file.py:function` (beside the document) names. Raises
    DefinitionError saying what there is."""
    where, _, function = name.partition(":")
    if not where or not function:
        raise DefinitionError("write module:function, or ./file.py:function for a file beside this one")
    module = _from_file(folder / where) if where.endswith(".py") else _imported(where)
    found = getattr(module, function, None)
    functions = [name for name, each in vars(module).items() if inspect.iscoroutinefunction(each)]
    if found is None:
        raise DefinitionError(f"{where} has no function {function!r}; {nearest(function, functions)}")
    if not inspect.iscoroutinefunction(found):
        raise DefinitionError(
            f"{function} of {where} must be an `async def` (connector, what the method takes)"
        )
    made: Callable[..., Awaitable[Any]] = found
    return made


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise DefinitionError(f"{name} cannot be imported: {type(error).__name__}: {error}") from None


def _from_file(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"masthead_declarative_{file.stem}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise DefinitionError(f"there is no file {file.name} beside this one")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise DefinitionError(f"{file.name} cannot be loaded: {type(error).__name__}: {error}") from None
    return module
