"""Locks between processes on files. The kernel drops them with their holder, also after kill -9."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType


class FileLock:
    """One flock on one file, shared or exclusive. Use as a context manager or with `release`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_exclusive(self) -> bool:
        """Take the lock alone, at once or not at all."""
        return self._take(fcntl.LOCK_EX | fcntl.LOCK_NB)

    def try_shared(self) -> bool:
        """Take the lock beside other shared holders, at once or not at all."""
        return self._take(fcntl.LOCK_SH | fcntl.LOCK_NB)

    def shared(self) -> None:
        """Take the lock beside other shared holders, waiting while somebody has it alone."""
        self._take(fcntl.LOCK_SH)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take(self, how: int) -> bool:
        if self._descriptor is not None:
            raise RuntimeError(f"{self._path} is already locked by this object")
        # Not inheritable: a child that outlives us must not keep the lock.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True


def is_held(path: Path) -> bool:
    """Whether anybody holds a lock, shared or exclusive, on `path` at this moment."""
    with FileLock(path) as probe:
        return not probe.try_exclusive()
