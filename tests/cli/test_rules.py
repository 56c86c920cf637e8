"""`masthead rules check` on gateways: what they name must be able to charge."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.cli.app import run

CONNECTIONS = """
connections:
  cards: {connector: stripe, mode: test, sandbox: true}
  cards-eu: {connector: adyen, mode: test, sandbox: true}
  post: {connector: smtp, mode: test, sandbox: true}
"""


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "masthead.yaml").write_text(CONNECTIONS)
    monkeypatch.setenv("MASTHEAD_CONFIG", str(tmp_path / "masthead.yaml"))
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))


def written(folder: Path, to: str) -> str:
    file = folder / "rules.yaml"
    file.write_text(f"gateways:\n  rules:\n    - {{currencies: [EUR], to: {to}}}\n")
    return str(file)


def test_gateways_that_can_charge_are_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "check", written(tmp_path, "[cards-eu, cards]")]) == 0
    assert "cards-eu" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("[cards-eu, nobody]", "gateways.rules.0.to.1: no payment gateway is connected as 'nobody'"),
        ("[post]", "there are: cards, cards-eu"),
        ("[cards, cards]", "'cards' stands here twice"),
    ],
)
def test_others_are_told_by_place(
    tmp_path: Path, to: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rules", "check", written(tmp_path, to)]) == 2
    assert told in capsys.readouterr().err
