"""The page that shows the API loads nothing from elsewhere, and is there."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from api.app import create_app
from tests.api.world import settings_for


async def test_the_reference_loads_only_from_here(tmp_path: Path) -> None:
    app = create_app(settings_for("postgresql://nobody@127.0.0.1:1/none", tmp_path))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        page = await client.get("/docs")
        assert page.status_code == 200
        sources = re.findall(r"""(?:src|href)=["']([^"']+)|url:\s*["']([^"']+)""", page.text)
        addresses = [first or second for first, second in sources]
        assert len(addresses) >= 4
        for address in addresses:
            assert address.startswith("/"), f"{address} is elsewhere"
            answer = await client.get(address)
            assert answer.status_code == 200, address
            assert len(answer.content) > 1000, address
