"""Leaving a process that has used Temporal's client."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with `code` after its exit handlers, without tearing the interpreter down.

    Threads of the SDK's core may call into Python while it is being finalised, which aborts the process
    ("PyGILState_Release: thread state must be current") after its work is done: seen in two of four short
    programs here. The caller has closed what it opened.
    """
    with suppress(Exception):
        atexit._run_exitfuncs()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)
