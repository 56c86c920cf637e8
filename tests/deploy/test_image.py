"""The Dockerfile: it copies the code and nothing else, and installs what is locked, with hashes. Read, not built."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from runtime.flow_source import SHIPPED
from runtime.settings import Settings
from tests.deploy.compose import ROOT, document, services

STATEMENTS = re.sub(
    r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"))
).splitlines()
RUNS = [" ".join(line.split()[1:]) for line in STATEMENTS if line.startswith("RUN ")]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def copied() -> set[str]:
    """What is copied out of the checkout, last stage and first."""
    sources: set[str] = set()
    for line in STATEMENTS:
        words = line.split()
        if words[:1] == ["COPY"] and not words[1].startswith("--from"):
            sources.update(words[1:-1])
    return sources


def test_it_copies_the_rooms_and_what_they_need_and_nothing_else() -> None:
    setup = PROJECT["tool"]["setuptools"]
    rooms = {package.partition(".")[0] for package in setup["packages"]}
    modules = {f"{name}.py" for name in setup["py-modules"]}
    build = {"pyproject.toml", "requirements.lock", PROJECT["project"]["readme"]}
    assert copied() == rooms | modules | build | {SHIPPED.name}


def test_nothing_but_what_is_copied_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied()


def test_each_room_keeps_its_name_in_the_image() -> None:
    for line in STATEMENTS:
        words = line.split()
        if words[:1] == ["COPY"] and len(words) == 3:
            assert words[2] == f"./{words[1]}"


def test_everything_is_installed_with_hashes_of_the_lock() -> None:
    installs = [part.strip() for run in RUNS for part in run.split("&&") if "pip install" in part]
    third_party = [each for each in installs if "--editable" not in each]
    assert len(third_party) == 2
    assert all("--require-hashes" in each for each in third_party)
    assert any(
        "--constraints requirements.lock --requirements pyproject.toml" in each for each in third_party
    )
    (own,) = [each for each in installs if "--editable" in each]
    assert "--no-deps" in own
    assert "--build-constraints /build/requirements.lock" in own


def test_the_lock_holds_every_package_that_the_image_is_asked_to_install() -> None:
    locked = set(re.findall(r"(?m)^([\w.\-]+==\S+)", (ROOT / "requirements.lock").read_text("utf-8")))
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    assert {pinned(each) for each in wanted} - locked == set()


def pinned(requirement: str) -> str:
    """NAME==VERSION as the lock writes it."""
    name, _, version = re.sub(r"\[.*\]", "", requirement).partition("==")
    return f"{re.sub('[-_.]+', '-', name)}=={version}"


def test_uv_is_taken_out_of_the_lock_as_make_takes_it() -> None:
    taken = re.search(r"awk '(.+?)' requirements.lock", RUNS[0])
    made = re.search(r"@awk '(.+?)' requirements.lock", (ROOT / "Makefile").read_text("utf-8"))
    assert taken
    assert made
    assert taken[1] == made[1].replace("$$", "$")


def test_it_runs_as_nobody_special_in_the_folder_that_compose_mounts() -> None:
    (user,) = [line.split()[1] for line in STATEMENTS if line.startswith("USER ")]
    assert user == "10001:10001" == document()["x-masthead"]["user"]
    (env,) = [line for line in STATEMENTS if line.startswith("ENV ")]
    home = re.search(r"MASTHEAD_HOME=(\S+)", env)
    assert home
    assert f"--owner 10001 --group 10001 {home[1]}" in RUNS[-1]
    assert f"home:{home[1]}" in services()["migrate"]["volumes"]
    ours = set(re.findall(r"(MASTHEAD_\w+)=", env))
    assert ours <= {field.alias for field in Settings.model_fields.values()}


def test_both_stages_have_one_pinned_base() -> None:
    bases = [line.split()[1] for line in STATEMENTS if line.startswith("FROM ")]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])
