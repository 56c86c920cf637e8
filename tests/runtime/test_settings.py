"""Settings: what the environment says, and how a bad value is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.settings import SettingsError, load_settings

VARIABLES = ("MASTHEAD_HOME", "DATABASE_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "MASTHEAD_WORKERS")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.home == tmp_path / ".masthead"
    assert settings.temporal_namespace == "masthead"
    assert settings.workers >= 1
    assert (settings.api_port, settings.temporal_port, settings.temporal_ui_port) == (8484, 7233, 8233)


def test_only_the_documented_variables_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere/else")
    monkeypatch.setenv("WORKERS", "7")
    assert load_settings().home == tmp_path / ".masthead"
    assert load_settings(workers=3).workers == 3


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "postgres"])
def test_a_database_url_is_taken_in_each_usual_form(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://me@db.example/billing")
    assert load_settings().database_url == "postgresql://me@db.example/billing"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://me:hush@db.example/billing"),
        ("TEMPORAL_ADDRESS", "temporal.example"),
        ("TEMPORAL_ADDRESS", "http://temporal.example:7233"),
        ("MASTHEAD_WORKERS", "-1"),
        ("MASTHEAD_WORKERS", "many"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable) as refused:
        load_settings()
    assert "hush" not in str(refused.value)


def test_settings_survive_the_way_through_an_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = load_settings(home=tmp_path, workers=5, database_url="postgresql://db/x")
    for name, value in chosen.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == chosen


def test_the_file_of_connections_is_the_one_beside_us_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MASTHEAD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    assert load_settings().config_file is None
    (tmp_path / "masthead.yaml").write_text("connections: {}\n")
    found = load_settings()
    assert found.config_file == tmp_path / "masthead.yaml"
    # A child runs in another folder.
    assert found.environment()["MASTHEAD_CONFIG"] == str(tmp_path / "masthead.yaml")
    monkeypatch.setenv("MASTHEAD_CONFIG", "other.yaml")
    assert load_settings().config_file == tmp_path / "other.yaml"


def test_the_key_of_secrets_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTHEAD_SECRET_KEY", "c2VjcmV0")
    assert "c2VjcmV0" not in repr(load_settings())
