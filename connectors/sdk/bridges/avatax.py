"""The Avalara library over our way out. It calls the functions of `requests` by their module, and takes no session.

Each of its methods is a plain function that looks `requests` up among its module's globals. The client made here has
the same functions, bound to globals in which that name is our session: nothing is patched for others, and the
library's logging decorator, which raises KeyError after the request when an answer lacks a header, is left out.
"""

from __future__ import annotations

import types
from collections.abc import Collection
from typing import Any

from avalara import client_methods  # type: ignore[import-untyped]
from avalara.client import AvataxClient  # type: ignore[import-untyped]

from connectors.sdk.bridges.requests_session import requests_session
from connectors.sdk.errors import DefinitionError
from connectors.sdk.http_client import HttpClient
from connectors.sdk.redaction import silence

silence("avalara")


def avatax_client(
    http: HttpClient, app: str, version: str, machine: str = "masthead", *, passing: Collection[int] = ()
) -> Any:
    """An AvataxClient for the base URL of `http`, whose auth= gives the credentials. Call it within `in_thread`.

    Errors are raised as ours at once; answers with a status in `passing` are given back. Raises DefinitionError when
    the library no longer is as this needs it.
    """
    scope = {**vars(client_methods), "requests": requests_session(http, passing=passing)}
    methods = {
        name: _bound(method, scope)
        for name, method in vars(client_methods.Mixin).items()
        if isinstance(method, types.FunctionType) and not name.startswith("_")
    }
    bridged: Any = type("BridgedAvataxClient", (AvataxClient,), methods)
    return bridged(app, version, machine, http.sender.base)


def _bound(method: types.FunctionType, scope: dict[str, Any]) -> types.FunctionType:
    inner = getattr(method, "__wrapped__", None)
    if not isinstance(inner, types.FunctionType) or "requests" not in inner.__globals__:
        raise DefinitionError(f"avalara: {method.__name__} does not call requests any more; pin its version")
    bound = types.FunctionType(inner.__code__, scope, inner.__name__, inner.__defaults__)
    bound.__kwdefaults__ = inner.__kwdefaults__
    return bound
