"""docker-compose.yml as compose reads it, as far as the tests need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
IMAGES_OF_OURS = re.compile(r"masthead:")


def document() -> dict[str, Any]:
    """The whole file, with its anchors merged in."""
    loaded: dict[str, Any] = YAML(typ="safe").load(FILE.read_text("utf-8"))
    return loaded


def services() -> dict[str, dict[str, Any]]:
    """Every service by name, those of profiles too."""
    found: dict[str, dict[str, Any]] = document()["services"]
    return found


def ours() -> dict[str, dict[str, Any]]:
    """The services that run our image."""
    return {name: each for name, each in services().items() if IMAGES_OF_OURS.match(each["image"])}


def one_shot(service: dict[str, Any]) -> bool:
    """Whether a service is over when its work is done."""
    return str(service.get("restart", "")).startswith("on-failure")


def mounted_files(service: dict[str, Any]) -> list[Path]:
    """The files and folders of ours that a service mounts."""
    return [
        ROOT / volume.split(":")[0] for volume in service.get("volumes", ()) if volume.startswith(("./", "/"))
    ]
