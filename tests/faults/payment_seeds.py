"""Seeded random faults against payment runs on two gateways, then the gateways' own logs against our rows (I6, I7).

    python -m tests.faults.payment_seeds --seeds 1000 [--first 1]

Each seed draws who pays by which card where, which faults the gateways commit, when workers are killed (SIGKILL, at
named places), how often and how many at once they run. At last all is well again and what is left is carried on.
On a failure it prints the seed, every option drawn from it, and what is wrong.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from bench.fleet import DUE
from contracts.parked import Action
from domain.rule_book import RuleBook
from operations.charges.run import PaymentRuns
from operations.charges.scope import PaymentScope
from operations.parked.decide import Decision, decide
from operations.verify import verify
from runtime.stack.postgres import EmbeddedPostgres
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.stand_in import StandIn
from sandbox.stripe.stand_in import StripeStandIn
from storage.billable import Target
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.faults.payment_life import Life, live
from tests.operations.billed import copied
from tests.operations.charges.charged import NOW, Fleet
from tests.workflows.paying import CARDS, RESERVE, differences

ACCOUNTS = 8
TIMEOUT = 0.25
HELD = 0.6  # seconds of a stall: longer than the timeout
CARDS_AT = {
    CARDS: ("pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_chargeDeclinedInsufficientFunds",
            "pm_card_chargeDeclinedProcessingError", "pm_card_threeDSecure2Required"),
    RESERVE: ("stored_visa", "stored_visa", "stored_visa", "stored_refused", "stored_pending"),
}  # fmt: skip
COMMITTED = (
    "stall_before", "stall_after", "stall_within", "server_error", "server_error_after", "drop_before", "drop_after",
    "rate_limited_seconds", "rate_limited_plain", "unavailable", "bad_gateway", "html", "truncated_json", "conflict",
    "error_in_200", "rejected", "unauthorized_once",
)  # fmt: skip
PLACES = (
    "after-begin-charges", "before-sends", "after-begin-sends", "before-settle-charges", "before-settle-commit",
    "after-settle-charges",
)  # fmt: skip


@dataclass
class Drawn:
    """Everything that a seed stands for."""

    seed: int
    routes: bool = False
    cards: list[list[tuple[str, str]]] = field(default_factory=list)
    faults: list[tuple[str, str, int, int]] = field(default_factory=list)
    chunk_size: int = 3
    rounds: list[list[str]] = field(default_factory=list)

    def told(self) -> str:
        """For people, a line an option."""
        lines = [
            f"seed {self.seed}",
            f"  second gateway stands by: {self.routes}",
            f"  chunk size: {self.chunk_size}",
        ]
        lines += [f"  account {no}: {cards}" for no, cards in enumerate(self.cards)]
        lines += [
            f"  fault at {at}: {name}, {times} times after {skip}" for at, name, times, skip in self.faults
        ]
        lines += [
            f"  round {no}: {[each or 'no kill' for each in lives]}" for no, lives in enumerate(self.rounds)
        ]
        return "\n".join(lines)


def draw(seed: int) -> Drawn:
    """The options of `seed`."""
    chance = random.Random(seed)
    drawn = Drawn(seed, routes=chance.random() < 0.5, chunk_size=chance.choice((2, 3, 8)))
    for _ in range(ACCOUNTS):
        where = chance.choice(((CARDS,), (CARDS,), (RESERVE,), (CARDS, RESERVE)))
        drawn.cards.append([(gateway, chance.choice(CARDS_AT[gateway])) for gateway in where])
    for _ in range(chance.randint(0, 5)):
        drawn.faults.append(
            (
                chance.choice((CARDS, RESERVE)),
                chance.choice(COMMITTED),
                chance.randint(1, 3),
                chance.randint(0, 4),
            )
        )
    for _ in range(chance.randint(1, 3)):
        lives = chance.choice((1, 1, 2))
        drawn.rounds.append(
            [
                f"{chance.choice(PLACES)}:{chance.randint(1, 3)}" if chance.random() < 0.6 else ""
                for _ in range(lives)
            ]
        )
    return drawn


class Broken(AssertionError):
    """A law does not hold after the faults of a seed; the message says all that was drawn."""


class Seeds:
    """Plays seeds on copies of one billed fleet of the Postgres server `server`."""

    def __init__(self, server: PostgresForTests, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._template = server.fresh_database("seeds")
        engine = make_engine(self._template)
        Fleet(engine, ACCOUNTS)
        engine.dispose()
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["tests.faults.payment_life"])

    def play(self, seed: int) -> Drawn:
        """Play one seed. Raises Broken."""
        drawn = draw(seed)
        url = copied(self._server, self._template)
        engine = make_engine(url)
        gateways: dict[str, StandIn] = {CARDS: StripeStandIn(), RESERVE: AdyenStandIn()}
        try:
            with gateways[CARDS], gateways[RESERVE]:
                fleet = Fleet.there(engine)
                self._prepare(fleet, drawn, gateways)
                runs = self._chaos(url, fleet, drawn, gateways)
                found = self._calm(url, fleet, drawn, gateways, runs)
        finally:
            engine.dispose()
        if found:
            raise Broken("\n".join([drawn.told(), *(f"  WRONG: {each}" for each in found)]))
        self._drop(url)
        return drawn

    def _prepare(self, fleet: Fleet, drawn: Drawn, gateways: dict[str, StandIn]) -> None:
        if drawn.routes:
            fleet.rule(RuleBook.model_validate({"gateways": {"rules": [{"to": [CARDS, RESERVE]}]}}))
        fleet.do("delete from payment_method")
        for account, cards in zip(fleet.accounts, drawn.cards, strict=True):
            for gateway, token in cards:
                fleet.give_card(account, gateway, token)
        fleet.do(
            "update payment_method set customer = 'shopper-' || account_id where connection = %s", RESERVE
        )
        for at, name, times, skip in drawn.faults:
            gateways[at].inject(name, method="POST", times=times, skip=skip, seconds=HELD, after=0)

    def _chaos(
        self, url: str, fleet: Fleet, drawn: Drawn, gateways: dict[str, StandIn]
    ) -> list[tuple[str, int]]:
        """Rounds of runs, each of one life or of two at once; answers the runs with their chunks."""
        runs: list[tuple[str, int]] = []
        for lives in drawn.rounds:
            going = []
            for dies in lives:
                runs.append(self._open(fleet, drawn.chunk_size))
                going.append(self._start(url, gateways, runs[-1:], dies))
            for each in going:
                each.join(60)
                if each.exitcode is None:
                    each.kill()
                    raise Broken(f"{drawn.told()}\n  WRONG: a worker did not end within 60 s")
        return runs

    def _calm(
        self, url: str, fleet: Fleet, drawn: Drawn, gateways: dict[str, StandIn], runs: list[tuple[str, int]]
    ) -> list[str]:
        """All is well again: the runs are carried on until nothing is in doubt. What is wrong then."""
        for gateway in gateways.values():
            gateway.faults.clear()
        deadline = time.monotonic() + 20
        while True:
            worker = self._start(url, gateways, runs, "")
            worker.join(60)
            if worker.exitcode != 0:
                return [f"a worker ended with {worker.exitcode}"]
            left = fleet.rows(
                "select c.status, l.status, l.error_kind from charge c join connector_call l on l.mode = c.mode"
                " and l.connection = c.connection and l.key = 'charge:' || c.account_id || ':' || c.no"
                " where c.status in ('intent', 'unknown')"
            )
            if not left or time.monotonic() > deadline:
                break
            self._act_on_parks(fleet)
            time.sleep(0.2)
        found = [f"a charge has no end: {row}" for row in left]
        found += differences(fleet, gateways)
        found += [
            f"law {law.law} does not hold: {law.violations[:3]}" for law in verify(fleet.engine) if not law.ok
        ]
        found += [str(crash) for gateway in gateways.values() for crash in gateway.crashes]
        return found

    def _act_on_parks(self, fleet: Fleet) -> None:
        """What waits for a person is tried again by one, as it is advised to."""
        retry = Decision(Action.RETRY, "ops", "the gateway is well again")
        for (park,) in fleet.rows("select id::text from parked where resolved_at is null and kind = 'call'"):
            with transaction(fleet.engine) as connection:
                decide(connection, park, retry)

    def _open(self, fleet: Fleet, chunk_size: int) -> tuple[str, int]:
        runs = PaymentRuns(fleet.engine)
        run_id = runs.open(
            workflow_id=f"payment-run/all/{DUE}",
            workflow_run_id=str(uuid4()),
            mode="live",
            scope=PaymentScope.parse("all"),
            target=Target(DUE, None),
            chunk_size=chunk_size,
        )
        return run_id, runs.size(run_id)[0]

    def _start(self, url: str, gateways: dict[str, StandIn], runs: list[tuple[str, int]], dies: str) -> Any:
        marker = self._folder / str(uuid4())
        life = Life(
            url,
            {name: gateway.url for name, gateway in gateways.items()},
            tuple(runs),
            NOW,
            DUE,
            TIMEOUT,
            f"{dies}:{marker}" if dies else "",
        )
        process = self._processes.Process(target=live, args=(life,), daemon=True)
        process.start()
        return process

    def _drop(self, url: str) -> None:
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        with psycopg.connect(self._server.server.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(str(name))))


@contextmanager
def seeds_on_a_server() -> Iterator[Seeds]:
    """Seeds on an embedded server of their own."""
    folder = Path(tempfile.mkdtemp(prefix="masthead-seeds-"))
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    try:
        yield Seeds(PostgresForTests(server), folder)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """0 when no seed breaks a law."""
    parser = argparse.ArgumentParser(description="Seeded faults against payment runs.")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    asked = parser.parse_args()
    began = time.monotonic()
    broken = 0
    with seeds_on_a_server() as seeds:
        for seed in range(asked.first, asked.first + asked.seeds):
            try:
                seeds.play(seed)
            except Broken as error:
                broken += 1
                sys.stdout.write(f"{error}\n")
                sys.stdout.flush()
    seconds = time.monotonic() - began
    sys.stdout.write(f"{asked.seeds} seeds in {seconds:.0f} s, {broken} broken\n")
    sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
