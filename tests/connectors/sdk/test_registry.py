"""Finding connectors among installed plugins and files, a broken one among them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sdk import registry
from connectors.sdk.connector import Connector
from connectors.sdk.errors import DefinitionError
from tests.connectors.sdk.wire import Shop

ENTRY_POINTS = """[masthead.connectors]
shop = plugin_for_test:Shop
crooked = plugin_for_test_crooked:Thing
missing = plugin_for_test:NotThere
number = plugin_for_test:NUMBER
other = plugin_for_test:Shop
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed distribution with good and bad entry points."""
    (tmp_path / "plugin_for_test.py").write_text("from tests.connectors.sdk.wire import Shop\nNUMBER = 7\n")
    (tmp_path / "plugin_for_test_crooked.py").write_text("raise RuntimeError('no licence file')\n")
    info = tmp_path / "plugin_for_test-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-for-test\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("plugin_for_test", "plugin_for_test_crooked"):
        sys.modules.pop(name, None)


def test_broken_plugins_are_told_by_name_and_hide_no_other(plugin: Path) -> None:
    found = {each.name: each for each in registry.installed()}
    assert found["shop"].connector is Shop
    assert found["shop"].problem is None
    assert "RuntimeError: no licence file" in (found["crooked"].problem or "")
    assert "cannot be imported" in (found["missing"].problem or "")
    assert found["number"].problem == "it is no subclass of Connector"
    assert found["other"].problem == "its class is named 'shop'"


def test_one_is_found_by_name_or_what_is_wrong_is_said(plugin: Path) -> None:
    assert registry.find("shop") is Shop
    with pytest.raises(DefinitionError, match=r"crooked .*cannot be used.*no licence file"):
        registry.find("crooked")
    with pytest.raises(DefinitionError, match=r"there is no connector 'nobody'; installed: .*shop"):
        registry.find("nobody")


def test_files_become_connectors_by_their_loader(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_loaders", {})

    def loader(path: Path) -> type[Connector[object]]:  # type: ignore[type-var]
        if "bad" in path.name:
            raise DefinitionError(f"{path.name}: line 3: no such capability")
        return type("FromFile", (Shop,), {"name": path.name.partition(".")[0]})

    registry.load_files_with(".connector.yaml", loader)
    files = [
        tmp_path / name
        for name in ("mine.connector.yaml", "bad.connector.yaml", "shop.connector.yaml", "x.txt")
    ]
    found = {(each.name, each.origin): each for each in registry.installed(files)}
    assert found["mine", "file mine.connector.yaml"].connector is not None
    assert "line 3" in (found["bad", "file bad.connector.yaml"].problem or "")
    assert "nothing reads such files" in (found["x", "file x.txt"].problem or "")
    with pytest.raises(DefinitionError, match="several connectors have this name"):
        registry.find("shop", files)
