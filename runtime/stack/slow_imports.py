"""Imports that take long are made where they are needed, by threads that start the parts side by side.

Two threads that import the same packages at the same moment, each from another end, can see them half made: Python
breaks such a deadlock by handing out what there is. So these imports take turns.
"""

from __future__ import annotations

import threading

in_turn = threading.RLock()
