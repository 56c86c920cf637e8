"""Whether a process can do its work: what it needs, asked now, and what does not answer in words.

Live is a process that answers; ready is one that can also work. Each answer is a sentence that reveals no address and
no credential.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from sqlalchemy import Engine, text
from temporalio.client import Client

# In words what is wrong, or None.
Check = Callable[[], str | None]

CHECK_SECONDS = 2.0


@dataclass(frozen=True)
class Readiness:
    """What was asked, and what is wrong with each (None: nothing)."""

    found: Mapping[str, str | None]

    @property
    def ready(self) -> bool:
        return all(problem is None for problem in self.found.values())

    def as_json(self) -> dict[str, object]:
        """As health routes answer it."""
        return {
            "status": "ready" if self.ready else "not ready",
            "checks": {name: problem is None for name, problem in self.found.items()},
            "reasons": [problem for problem in self.found.values() if problem is not None],
        }


def asked(checks: Mapping[str, Check]) -> Readiness:
    """All `checks`, side by side. One that raises, or takes longer than CHECK_SECONDS, is a problem."""
    pool = ThreadPoolExecutor(max(1, len(checks)), thread_name_prefix="ready")
    running = {name: pool.submit(check) for name, check in checks.items()}
    # What hangs ends by its own time limit; nobody waits for it here.
    pool.shutdown(wait=False)
    return Readiness({name: _problem(name, answer) for name, answer in running.items()})


def _problem(name: str, answer: Future[str | None]) -> str | None:
    try:
        return answer.result(CHECK_SECONDS)
    except TooLate:
        return f"{name} did not answer within {CHECK_SECONDS:g} s"
    except Exception as error:
        return f"{name} does not answer ({type(error).__name__})"


def database_answers(engine: Engine) -> Check:
    """The database takes a statement, and has the schema of this code."""

    def check() -> str | None:
        with engine.connect() as connection:
            have = connection.execute(text("select version_num from alembic_version")).scalar()
        if have != _head():
            return f"the database is at migration {have}, this code needs {_head()}: run `masthead migrate`"
        return None

    return check


@cache
def _head() -> str:
    from storage.migrate import head  # alembic is slow to import

    return head()


def temporal_answers(client: Client, loop: asyncio.AbstractEventLoop) -> Check:
    """Temporal answers `client`, whose calls run on `loop`; so does the loop. Not to be called on that loop."""

    def check() -> str | None:
        asking = client.service_client.check_health(timeout=timedelta(seconds=CHECK_SECONDS))
        asyncio.run_coroutine_threadsafe(asking, loop).result(CHECK_SECONDS)
        return None

    return check
