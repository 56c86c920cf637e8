"""A home for one bench: a stack of its own whose data is thrown away before and after."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from runtime.settings import Settings
from runtime.stack.client import Stack, ensure_stack
from storage.database import make_engine


@contextmanager
def bench_home(settings: Settings, name: str) -> Iterator[tuple[Engine, Stack]]:
    """The embedded stack in the folder `name` of the home, empty at first, and an engine on its database."""
    home = settings.home / name
    shutil.rmtree(home, ignore_errors=True)
    own = settings.model_copy(update={"home": home, "database_url": None, "temporal_address": None})
    try:
        with ensure_stack(own) as stack:
            engine = make_engine(stack.database_url)
            try:
                yield engine, stack
            finally:
                engine.dispose()
    finally:
        shutil.rmtree(home, ignore_errors=True)
