"""Seeded random faults against payment runs, refunds and webhooks of two gateways, then the gateways' own logs against
our rows (I6, I7).

    python -m tests.faults.payment_seeds --seeds 1000 [--first 1] [--workers 2]

Each seed draws who pays by which card where, which faults the gateways commit, when workers are killed (SIGKILL, at
named places), how often and how many at once they run, what is refunded beside them, and how the gateways' webhooks
come: beside the workers or withheld, late, more than once, in which order. One in twenty goes through Temporal. At last
all is well again and what is left is carried on. On a failure it prints the seed, every option drawn from it, and what
is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.faults.payment_draw import draw
from tests.faults.payment_play import Broken, seeds_on_a_server


class Tally:
    """What was played so far, told from time to time."""

    def __init__(self, asked: int) -> None:
        self.failed: list[int] = []
        self._asked = asked
        self._done = 0
        self._counts: Counter[str] = Counter()
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def add(self, seed: int, counts: Counter[str], broken: str) -> None:
        """A seed is over; `broken`: what it says of itself, if a law does not hold."""
        with self._lock:
            self._done += 1
            self._counts += counts
            if broken:
                self.failed.append(seed)
                _say(broken)
            if self._done % 20 == 0:
                _say(
                    f"{self._done} of {self._asked} seeds, {len(self.failed)} failed, {self._seconds():.0f} s"
                )

    def line(self) -> str:
        """All of it, as one line of JSON."""
        told = {"seeds": self._done, "failed": sorted(self.failed), "seconds": round(self._seconds(), 1)}
        return json.dumps(told | dict(sorted(self._counts.items())))

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main() -> int:
    """0 when no seed breaks a law."""
    parser = argparse.ArgumentParser(description="Seeded faults against payments.")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--workers", type=int, default=1, help="how many are played at once")
    asked = parser.parse_args()
    tally = Tally(asked.seeds)
    with seeds_on_a_server() as seeds:

        def play(seed: int) -> None:
            try:
                tally.add(seed, seeds.play(seed), "")
            except Broken as broken:
                tally.add(seed, draw(seed).counts(), str(broken))

        with ThreadPoolExecutor(asked.workers) as threads:
            list(threads.map(play, range(asked.first, asked.first + asked.seeds)))
    _say(tally.line())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
