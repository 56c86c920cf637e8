"""A worker of its own that calls a local address as fast as its budget lets it: `python calling.py URL PORT TASKS`.

It ends with the first call that is refused.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from connectors.sdk.ports import Rate
from storage.pool import Pool
from storage.rate_budget import PostgresRateBudget

RATE = Rate(10, per=1)
LONGEST = timedelta(seconds=30)


async def call(budget: PostgresRateBudget, port: int) -> None:
    while True:
        wait = await budget.take("vendor", RATE, LONGEST)
        await asyncio.sleep(wait.total_seconds())
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()


async def main(url: str, port: int, tasks: int) -> None:
    pool = Pool(url)
    try:
        await asyncio.gather(*(call(PostgresRateBudget(pool), port) for _ in range(tasks)))
    except OSError:
        await pool.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
