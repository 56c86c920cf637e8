"""A new connector as `masthead connectors new` writes it: a package of three files that passes the kit at once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from connectors.sdk.capabilities.campaigns import Campaigns
from connectors.sdk.capabilities.capability import Capability, methods_of
from connectors.sdk.capabilities.crm import Crm
from connectors.sdk.capabilities.drm import Drm
from connectors.sdk.capabilities.ledger import GeneralLedger
from connectors.sdk.capabilities.mail import Mailer
from connectors.sdk.capabilities.payment import PaymentGateway, PaymentMethods
from connectors.sdk.capabilities.provisioning import Provisioner
from connectors.sdk.capabilities.publishing import Cms
from connectors.sdk.capabilities.shipping import Shipper
from connectors.sdk.capabilities.support import SupportDesk
from connectors.sdk.capabilities.tax import TaxEngine
from connectors.sdk.idempotency import is_write

CAPABILITIES: dict[str, type[Capability]] = {
    capability.capability: capability
    for capability in (
        PaymentGateway,
        TaxEngine,
        Crm,
        Cms,
        Campaigns,
        Shipper,
        Drm,
        Provisioner,
        SupportDesk,
        GeneralLedger,
        Mailer,
        PaymentMethods,
    )
}

_NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")
_TYPES = re.compile(r"[A-Z][A-Za-z]+")
# Of typing and the standard library, imported elsewhere.
_NOT_OF_THE_SDK = frozenset({"Sequence", "None"})


class TemplateError(ValueError):
    """A connector cannot be written. The message says why."""


def write_connector(name: str, capability: str, folder: Path) -> list[Path]:
    """Write the package of a connector called `name` into the new `folder`; answers its files.

    Raises TemplateError for a name or capability that cannot be, or a folder that has something in it. Nothing is
    written then.
    """
    if not _NAME.fullmatch(name):
        raise TemplateError(
            f"{name!r} is no name: use 2 to 31 lower-case letters, digits and _, a letter first"
        )
    if capability not in CAPABILITIES:
        raise TemplateError(f"{capability!r} is no capability; there are: {', '.join(sorted(CAPABILITIES))}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TemplateError(f"{folder} is there and not empty; choose another with --path")
    module = f"masthead_{name}"
    files = {
        "pyproject.toml": _project(name, module),
        f"{module}.py": _module(name, CAPABILITIES[capability]),
        f"test_{name}.py": _test(name, module),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in files]


def class_name(name: str) -> str:
    """The class of a connector called `name`: acme_tax → AcmeTax."""
    return "".join(part.capitalize() for part in name.split("_"))


def _project(name: str, module: str) -> str:
    return f'''[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "{module.replace("_", "-")}"
version = "0.1.0"
dependencies = ["masthead"]

[project.entry-points."masthead.connectors"]
{name} = "{module}:{class_name(name)}"

[project.entry-points."masthead.stand_ins"]
{name} = "masthead.testing:ReferenceStandIn"

[tool.setuptools]
py-modules = ["{module}"]
'''


def _test(name: str, module: str) -> str:
    made = class_name(name)
    return f'''"""{made} keeps the contract, faults included."""

from masthead.testing import ReferenceStandIn, Suite
from {module} import {made}


class Test{made}(Suite):
    connector = {made}
    stand_in = ReferenceStandIn
'''


def _module(name: str, capability: type[Capability]) -> str:
    made = class_name(name)
    methods = methods_of(capability)
    bodies = "\n\n".join(_method(capability, method, code) for method, code in methods.items())
    imports = _imports(capability, methods)
    sequence = "from collections.abc import Sequence\n" if "Sequence[" in bodies else ""
    return f'''"""{made}: change each call into your vendor's own."""

from __future__ import annotations

{sequence}from datetime import timedelta

from masthead.sdk import (
{chr(10).join(f"    {each}," for each in imports)}
)


class {made}Config(Config):
    base_url: str = Field(description="The API's address")
    api_key: Secret = Field(description="Where the API key is: env:NAME or file:/path")


class {made}(Connector[{made}Config], {capability.__name__}):
    name = "{name}"
    title = "{made}"
    http = Http(auth=ApiKey("api_key", header="X-Key"), key_header="Idempotency-Key")

    async def health(self) -> Health:
        return await self.http.health("/health")

{bodies}
'''


def _imports(capability: type[Capability], methods: dict[str, Callable[..., Any]]) -> list[str]:
    names = {"ApiKey", "Config", "Connector", "Field", "Health", "Http", "Key", "Secret", "native"}
    names.add(capability.__name__)
    for method in methods.values():
        for annotation in inspect.get_annotations(method).values():
            names |= set(_TYPES.findall(str(annotation))) - _NOT_OF_THE_SDK
    return sorted(names)


def _method(capability: type[Capability], name: str, method: Callable[..., Any]) -> str:
    """One call to the reference protocol: POST /capability/method with the request as JSON."""
    signature = inspect.signature(method)
    parameters = ", ".join(_parameter(each) for each in signature.parameters.values())
    answer = str(signature.return_annotation)
    given = [each for each in signature.parameters if each not in ("self", "key")]
    single = len(given) == 1 and "str" not in str(signature.parameters[given[0]].annotation)
    body = given[0] if single else "{" + ", ".join(f'"{each}": {each}' for each in given) + "}"
    writing = is_write(method)
    declared = "    @native(timedelta(hours=24))\n" if writing else ""
    if name == "changes":
        call = f'self.http.get("/{capability.capability}/{name}", params={body}'
    else:
        call = (
            f'self.http.post("/{capability.capability}/{name}", json={body}{", key=key" if writing else ""}'
        )
    call = f"await {call}, into={answer})"
    head = f"{declared}    async def {name}({parameters}) -> {answer}:\n"
    if "None" in answer:
        return f"{head}        found: {answer} = {call}\n        return found"
    return f"{head}        return {call}"


def _parameter(parameter: inspect.Parameter) -> str:
    """A parameter as it is written, its annotation without quotes."""
    if parameter.annotation is inspect.Parameter.empty:
        return parameter.name
    default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default}"
    return f"{parameter.name}: {parameter.annotation}{default}"
