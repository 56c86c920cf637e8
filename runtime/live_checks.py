"""When each connector's own system last answered us, as the connections remember it."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.settings import Settings
from runtime.stack.client import running_stack
from storage.connections import connection_states
from storage.database import DATABASE_AWAY, make_engine, transaction

NEVER = "never"


def last_live_checks(settings: Settings) -> Mapping[str, str]:
    """By connector, the newest look of any live connection: its day and how it went. Empty where no database is up."""
    stack = running_stack(settings)
    url = settings.database_url or (stack.database_url if stack is not None else None)
    if url is None:
        return {}
    engine = make_engine(url)
    try:
        with transaction(engine) as connection:
            states = connection_states(connection)
    except DATABASE_AWAY:
        return {}
    finally:
        engine.dispose()
    looked = [state for state in states if state.mode == "live" and state.last_health_at is not None]
    looked.sort(key=lambda state: str(state.last_health_at))
    return {
        state.connector: f"{state.last_health_at:%Y-%m-%d} {'ok' if state.healthy else 'refused'} ({state.name})"
        for state in looked
    }
