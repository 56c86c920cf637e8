"""The files of deploy/monitoring as the tests need them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML

from tests.deploy.compose import ROOT

FOLDER = ROOT / "deploy/monitoring"
ALERTS = FOLDER / "alerts.yml"
DASHBOARD = FOLDER / "grafana/masthead.json"
# What Prometheus makes itself, of scrapes and of alerts.
OF_PROMETHEUS = frozenset({"up", "ALERTS"})

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTORS = re.compile(r"\{[^}]*\}|\[[^\]]*\]")
_GROUPINGS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_WORDS = frozenset({"and", "or", "unless", "offset", "bool"})


def alerts() -> list[dict[str, Any]]:
    """Every alert, in the order of the file."""
    return [rule for group in loaded(ALERTS)["groups"] for rule in group["rules"]]


def loaded(file: Any) -> Any:
    """A YAML file."""
    return YAML(typ="safe").load(file.read_text("utf-8"))


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of alerts and dashboard, with where it stands."""
    for alert in alerts():
        yield alert["alert"], alert["expr"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def metrics_of(expression: str) -> set[str]:
    """The metrics that an expression of PromQL names: what is neither a function, a word of the language, a label nor
    a number. Read by pattern; no parser of the language is to be had as a package."""
    bare = _GROUPINGS.sub(" ", _SELECTORS.sub(" ", _STRINGS.sub(" ", expression)))
    return {
        found[0]
        for found in _NAME.finditer(bare)
        if found[0] not in _WORDS
        and not bare[found.end() :].lstrip().startswith("(")
        and not re.match(r"\d", bare[max(0, found.start() - 1) :])
    }


def exported(*scrapes: str) -> set[str]:
    """The names that `scrapes` have series of: those told by their TYPE, a histogram's three with it."""
    names: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", "\n".join(scrapes), re.MULTILINE):
        names |= {f"{name}{end}" for end in ("_bucket", "_count", "_sum")} if kind == "histogram" else {name}
    return names
