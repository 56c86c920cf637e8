"""Alerts and dashboard: well-formed, explained, and about what there is. That running processes export what they name
is tested with running processes, in tests/runtime/telemetry."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from runtime.cli.command_line import command_line
from tests.deploy.compose import ROOT, services
from tests.deploy.monitoring import ALERTS, FOLDER, alerts, dashboard, expressions, loaded, metrics_of

PLAYED = ROOT / "tests/deploy/alerts_test.yml"
RUNBOOK = (ROOT / "docs/operations.md").read_text("utf-8")
HEADINGS = re.findall(r"^### Alert: (\w+)$", RUNBOOK, re.MULTILINE)
EACH_ALERT = [pytest.param(alert, id=alert["alert"]) for alert in alerts()]


def entry(name: str) -> str:
    """What the runbook says of an alert."""
    return RUNBOOK.partition(f"### Alert: {name}\n")[2].partition("\n### ")[0]


@pytest.mark.parametrize("alert", EACH_ALERT)
def test_an_alert_says_how_bad_what_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["runbook"] == f"docs/operations.md#alert-{alert['alert'].lower()}"
    assert len(entry(alert["alert"]).split()) > 20


def test_runbook_and_alerts_are_the_same() -> None:
    assert sorted(HEADINGS, key=[alert["alert"] for alert in alerts()].index) == HEADINGS
    assert len(HEADINGS) == len(set(HEADINGS)) == len(alerts())


def test_commands_that_the_runbook_presses_exist() -> None:
    section = re.sub(r"\s+", " ", RUNBOOK.partition("## Alerts\n")[2])
    pressed = set(re.findall(r"`masthead ([a-z-]+)((?: [a-z][a-z-]*)*)", section))
    assert len(pressed) > 15
    top: Any = get_command(command_line())
    for first, rest in pressed:
        assert first in top.commands, first
        inner = getattr(top.commands[first], "commands", {})
        for word in rest.split()[: 1 if inner else 0]:
            assert word in inner, f"{first} {word}"


def test_links_of_the_runbook_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    }
    for page, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", RUNBOOK):
        assert not page or (ROOT / "docs" / page).exists(), page
        assert page or anchor in anchors, anchor


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('max by (kind) (a{b="c d"}) > 5', {"a"}),
        (
            "sum(rate(a_total[10m])) / sum by (le) (rate(b_count[5m] offset 1h)) > 0.01",
            {"a_total", "b_count"},
        ),
        ("absent(up == 1) or vector(0) and time() - c > 1e3", {"up", "c"}),
    ],
)
def test_names_are_found_in_expressions(expression: str, names: set[str]) -> None:
    assert metrics_of(expression) == names


def test_every_expression_names_something_and_is_balanced() -> None:
    for where, expression in expressions():
        assert metrics_of(expression), where
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), where


def test_gauges_of_the_rows_are_not_added_up_over_processes() -> None:
    """Every API tells the same ones."""
    for where, expression in expressions():
        for name in metrics_of(expression):
            if name.startswith("masthead_") and not re.search(r"_(total|count|bucket|sum)$", name):
                assert re.search(rf"(?:max|min)[^()]*(?:\([^()]*\) )?\({name}|absent\({name}", expression), (
                    where
                )


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("words", [("check", ALERTS), ("test", PLAYED)], ids=["reads", "plays"])
def test_prometheus_takes_the_rules_and_every_alert_fires_when_it_should(words: tuple[str, Path]) -> None:
    checked = subprocess.run(["promtool", words[0], "rules", str(words[1])], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_is_played() -> None:
    """That each fires in the play is for promtool to say: the play counts them."""
    series = "\n".join(each["series"] for play in loaded(PLAYED)["tests"] for each in play["input_series"])
    of_histograms = {"masthead_api_request_seconds_bucket", "masthead_api_request_seconds_count"}
    named = {name for alert in alerts() for name in metrics_of(alert["expr"])}
    assert {name for name in named - of_histograms if f"{name}" not in series} == set()
    assert of_histograms <= named
    wrong = loaded(PLAYED)["tests"][1]["promql_expr_test"]
    assert sum(each["exp_samples"][0]["value"] for each in wrong) == len(alerts())


def test_prometheus_scrapes_what_compose_starts() -> None:
    config = loaded(FOLDER / "prometheus.yml")
    jobs = {job["job_name"]: job["dns_sd_configs"][0] for job in config["scrape_configs"]}
    told = services()["worker"]["environment"]["MASTHEAD_METRICS_ADDRESS"]
    for job, found in jobs.items():
        assert found["port"] == int(told.rpartition(":")[2])
        assert [f"masthead-{name}" for name in found["names"]] == [job]
        assert set(found["names"]) <= services().keys()
    named = {job for _, expression in expressions() for job in re.findall(r'job="([^"]+)"', expression)}
    assert named <= jobs.keys()
    mounted = [volume.split(":")[1] for volume in services()["prometheus"]["volumes"]]
    assert set(config["rule_files"]) <= set(mounted)


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    (source,) = loaded(FOLDER / "grafana/datasource.yml")["datasources"]
    (provider,) = loaded(FOLDER / "grafana/dashboards.yml")["providers"]
    mounted = [volume.split(":")[1] for volume in services()["grafana"]["volumes"]]
    assert f"{provider['options']['path']}/masthead.json" in mounted
    assert source["url"] == "http://prometheus:9090"
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == source["uid"]
            assert panel["targets"]


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
