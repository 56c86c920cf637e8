"""A configuration in which AvaTax's stand-in taxes one mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.avatax.stand_in import AvaTaxStandIn

_CONFIG = """\
connections:
  avatax:
    connector: avalara
    mode: test
    config: {{account: "1100000000", license_key: "env:AVATAX_TEST_KEY", base_url: "{url}"}}
tax:
  {mode}:
    connection: avatax
    seller: {{line1: 620 8th Ave, city: New York, region: NY, postal_code: "10018", country: US}}
    when_away: {policy}
"""


def taxed_by(
    avatax: AvaTaxStandIn, mode: str, policy: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The file, in `folder`: `avatax` taxes accounts of `mode`, under `policy` for an engine that is away. Its key is
    in the environment."""
    monkeypatch.setenv("AVATAX_TEST_KEY", "sandbox-licence")
    config = folder / "masthead.yaml"
    config.write_text(_CONFIG.format(url=avatax.url, mode=mode, policy=policy))
    return config
