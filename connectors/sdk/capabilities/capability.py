"""What makes a class a capability, and which methods it has."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Callable
from typing import Any, ClassVar

from connectors.sdk.idempotency import is_write


class Capability(ABC):
    """The base of every capability. `capability` is its name in files and on the command line."""

    capability: ClassVar[str]


def capabilities_of(connector: type) -> list[type[Capability]]:
    """The capabilities that a class has, in the order of its bases."""
    return [base for base in connector.__mro__ if Capability in base.__bases__ and "capability" in vars(base)]


def methods_of(capability: type) -> dict[str, Callable[..., Any]]:
    """The methods that a capability asks for, by name: its public coroutine functions."""
    return {
        name: member
        for name, member in vars(capability).items()
        if not name.startswith("_") and inspect.iscoroutinefunction(member)
    }


def writes_of(capability: type) -> dict[str, Callable[..., Any]]:
    """Those of the methods that change something at the other system."""
    return {name: method for name, method in methods_of(capability).items() if is_write(method)}
