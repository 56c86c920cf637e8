"""That a worker was killed is known after four seconds instead of ten: for worker processes whose death a test waits
for. `python -m tests.soon_noticed` is `python worker.py` with that."""

from __future__ import annotations

from datetime import timedelta

from workflows import _options

HEARTBEAT = timedelta(seconds=4)


def notice_soon() -> None:
    """Have the workflows of this process ask for such heartbeats of all activities."""
    for preset in (
        _options.BOOKS,
        _options.CHUNK,
        _options.CHARGES,
        _options.SELECTION,
        _options.WEBHOOKS,
        _options.CALL,
        _options.TAX,
    ):
        preset["heartbeat_timeout"] = HEARTBEAT


if __name__ == "__main__":
    import worker
    from runtime.process_exit import leave

    notice_soon()
    leave(worker.main())
