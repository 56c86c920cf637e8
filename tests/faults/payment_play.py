"""A seed played: its faults, kills, refunds and webhooks, then calm, then the gateways' own logs against our rows."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from bench.fleet import DUE
from contracts.connector_call import CALL_CHANGED
from contracts.parked import Action
from domain.rule_book import RuleBook
from operations.charges.run import PaymentRuns
from operations.charges.scope import PaymentScope
from operations.parked.decide import Decision, decide
from operations.verify import verify
from operations.webhooks_in.handlers import Signal
from runtime.stack.postgres import EmbeddedPostgres
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.stand_in import StandIn
from sandbox.stripe.stand_in import StripeStandIn
from storage.billable import Target
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.faults.payment_draw import ACCOUNTS, Drawn, Round, draw
from tests.faults.payment_life import Life, live
from tests.faults.payment_refunds import Asking, refund_differences
from tests.faults.payment_temporal import Server, Through, temporal_server
from tests.faults.payment_webhooks import Post
from tests.operations.billed import copied
from tests.operations.charges.charged import NOW, Fleet
from tests.workflows.paying import CARDS, RESERVE, differences

TIMEOUT = 0.25  # seconds of a call to a gateway that commits faults
CALM_TIMEOUT, CALM_WITHIN = 10.0, 60.0  # where all is well, only the machine may be slow
HELD = 0.6  # seconds of a stall: longer than the timeout
SETTLES_WITHIN = timedelta(minutes=2)  # by the stand-ins' clocks: what ends by itself, as a refund that fails
IN_DOUBT = (
    "select 'charge', c.status, l.status, l.error_kind from charge c join connector_call l on l.mode = c.mode"
    " and l.connection = c.connection and l.key = 'charge:' || c.account_id || ':' || c.no"
    " where c.status in ('intent', 'unknown')"
    " union all select 'refund', r.status, l.status, l.error_kind from refund r left join connector_call l"
    " on l.id = r.call_id where r.status = 'pending'"
)
# What each life would import for itself.
PRELOADED = (
    "tests.faults.payment_play", "anyio._backends._asyncio", "anyio.to_thread", "anyio.streams.tls", "sniffio",
    "stripe._stripe_client", "stripe._event", "stripe._object_classes", "stripe._payment_intent_service",
    "stripe._payment_intent", "stripe._charge", "stripe._refund_service", "stripe._refund",
)  # fmt: skip
# What a person has to look at only where something went wrong.
ALARMS = (
    "select kind, error_kind, message from parked where resolved_at is null and (kind in ('payment', 'webhook')"
    " or (kind = 'refund' and error_kind <> 'refund_failed'))"
)


# Starting a process asks after the ends of all others, those of other threads too, and an end is told once: whoever
# asks second hears 255. So nobody starts one while another is asked.
_ends_heard = threading.Lock()


class Broken(AssertionError):
    """A law does not hold after the faults of a seed; the message says all that was drawn."""


class Seeds:
    """Plays seeds on copies of one billed fleet of the Postgres server `server`, some of them through the Temporal
    server at the address `temporal`."""

    def __init__(self, server: PostgresForTests, folder: Path, temporal: str) -> None:
        self._server = server
        self._temporal = Server(temporal)
        self._folder = folder
        self._template = server.fresh_database("seeds")
        engine = make_engine(self._template)
        Fleet(engine, ACCOUNTS)
        engine.dispose()
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(list(PRELOADED))

    def play(self, seed: int) -> Counter[str]:
        """Play one seed; how much of what happened. Raises Broken."""
        drawn = draw(seed)
        url = copied(self._server, self._template)
        play = _Play(url, drawn, self._folder, self._processes)
        try:
            with play.gateways[CARDS], play.gateways[RESERVE]:
                if drawn.temporal:
                    with self._temporal.taken:
                        found = play.found(self._temporal)
                else:
                    found = play.found()
        except Exception as error:
            raise Broken(f"{drawn.words()}\n  WRONG: {type(error).__name__}: {error}") from error
        finally:
            play.engine.dispose()
        if found:
            raise Broken("\n".join([drawn.words(), *(f"  WRONG: {each}" for each in found)]))
        self._drop(url)
        return play.counts

    def play_all(self, seeds: Iterable[int], at_once: int = 3) -> Counter[str]:
        """Play several, so many at once: they mostly wait for gateways that do not answer. How much of what happened in
        all of them. Raises Broken."""
        with ThreadPoolExecutor(at_once) as threads:
            return sum(threads.map(self.play, seeds), Counter())

    def _drop(self, url: str) -> None:
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        with psycopg.connect(self._server.server.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(str(name))))


class _Play:
    """One seed on a database of its own."""

    def __init__(self, url: str, drawn: Drawn, folder: Path, processes: Any) -> None:
        self.engine = make_engine(url)
        self.gateways: dict[str, StandIn] = {CARDS: StripeStandIn(), RESERVE: AdyenStandIn()}
        self.counts = drawn.counts()
        self._url = url
        self._drawn = drawn
        self._folder = folder
        self._processes = processes
        self._fleet = Fleet.there(self.engine)
        self._asking = Asking(self._fleet)
        self._runs: list[tuple[str, int]] = []
        self._wrong: list[str] = []

    def found(self, server: Server | None = None) -> list[str]:
        """Play it, through Temporal where there is a `server`; what is wrong then."""
        self._prepare()
        if server is None:
            post = self._post()
            with post:
                for each in self._drawn.rounds:
                    self._round(each)
                    post.between()
        else:
            post = self._through(server)
        self._calm(post)
        self.counts.update(
            webhooks=post.delivered,
            refunds=len({row.id for row in self._asking.asked}),
            refunds_refused=self._asking.refused,
        )
        self._wrong += [f"in doubt: {row}" for row in self._fleet.rows(IN_DOUBT)]
        self._wrong += [f"parked: {row}" for row in self._fleet.rows(ALARMS)]
        self._wrong += [*self._asking.wrong, *differences(self._fleet, self.gateways)]
        self._wrong += refund_differences(self._fleet, self.gateways)
        self._wrong += [
            f"law {law.law} does not hold: {law.violations[:3]}" for law in verify(self.engine) if not law.ok
        ]
        return self._wrong + [str(crash) for gateway in self.gateways.values() for crash in gateway.crashes]

    def _post(self, wake: Callable[[Sequence[Signal]], None] = lambda _: None) -> Post:
        return Post(self.engine, self._url, self.gateways, self._drawn.told, self._drawn.seed, wake)

    def _through(self, server: Server) -> Post:
        """The rounds as workflows, each with one worker at a time; their refunds end before it is calm."""
        through = Through(server, lambda dies: self._start([], dies, server.place))
        try:
            post = self._post(through.wake)
            with post:
                for each in self._drawn.rounds:
                    through.run(self._drawn.chunk_size, each.lives[0])
                    self._ask(each)
                    through.refund(self._asking.asked)
                    self._ended(through.until_ended("payment-run"))
                    post.between()
            for gateway in self.gateways.values():
                gateway.faults.clear()

            def meanwhile() -> None:
                for gateway in self.gateways.values():
                    gateway.settle()
                    gateway.advance(SETTLES_WITHIN)
                post.rest()
                through.wake(self._act_on_parks())

            self._ended(through.until_ended("refund", meanwhile))
        finally:
            through.close()
        runs = PaymentRuns(self.engine)
        self._runs = [
            (run, runs.size(run)[0]) for (run,) in self._fleet.rows("select id::text from payment_run")
        ]
        return post

    def _ended(self, not_: str) -> None:
        self._wrong += [not_] if not_ else []

    def _prepare(self) -> None:
        rules: dict[str, Any] = {"policy": {"refunds": {"failed": self._drawn.refused_refunds}}}
        if self._drawn.routes:
            rules["gateways"] = {"rules": [{"to": [CARDS, RESERVE]}]}
        self._fleet.rule(RuleBook.model_validate(rules))
        self._fleet.do("delete from payment_method")
        for account, cards in zip(self._fleet.accounts, self._drawn.cards, strict=True):
            for gateway, token in cards:
                self._fleet.give_card(account, gateway, token)
        self._fleet.do(
            "update payment_method set customer = 'shopper-' || account_id where connection = %s", RESERVE
        )
        for each in self._drawn.faults:
            self.gateways[each.at].inject(
                each.name,
                method="POST",
                path=each.path,
                times=each.times,
                skip=each.skip,
                seconds=HELD,
                after=0,
            )

    def _round(self, drawn: Round) -> None:
        """A life, or two at once, each with a run of its own, while refunds are asked for."""
        going = []
        for dies in drawn.lives:
            self._runs.append(self._open())
            going.append(self._start(self._runs[-1:], dies))
        self._ask(drawn)
        for each in going:
            self._end(each)

    def _ask(self, drawn: Round) -> None:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(self._asking.ask, drawn.wishes))

    def _end(self, worker: Any) -> None:
        if not wait([worker.sentinel], 60):
            worker.kill()
            raise TimeoutError("a worker did not end within 60 s")
        with _ends_heard:
            worker.join()
        if worker.exitcode not in (0, -9):
            self._wrong.append(f"a worker ended with {worker.exitcode}; its trace is above")

    def _calm(self, post: Post) -> None:
        """All is well again: what is left is carried on until nothing is in doubt, and the gateways tell the rest."""
        for gateway in self.gateways.values():
            gateway.faults.clear()
        deadline = time.monotonic() + CALM_WITHIN
        while True:
            self._end(self._start(self._runs, "", timeout=CALM_TIMEOUT))
            if not self._fleet.rows(IN_DOUBT) or time.monotonic() > deadline:
                break
            self._act_on_parks()
            time.sleep(0.2)
        for gateway in self.gateways.values():
            gateway.settle()
            gateway.advance(SETTLES_WITHIN)
        while post.rest():
            pass
        post.again()

    def _act_on_parks(self) -> list[Signal]:
        """What waits for a person is tried again by one, as it is advised to; who is to be told."""
        told = []
        retry = Decision(Action.RETRY, "ops", "the gateway is well again")
        for (park,) in self._fleet.rows(
            "select id::text from parked where resolved_at is null and kind = 'call'"
        ):
            with transaction(self.engine) as connection:
                decided = decide(connection, park, retry)
            if decided.workflow_id is not None:
                told.append(Signal(decided.workflow_id, CALL_CHANGED, decided.call))
        return told

    def _open(self) -> tuple[str, int]:
        runs = PaymentRuns(self.engine)
        run_id = runs.open(
            workflow_id=f"payment-run/all/{DUE}",
            workflow_run_id=str(uuid4()),
            mode="live",
            scope=PaymentScope.parse("all"),
            target=Target(DUE, None),
            chunk_size=self._drawn.chunk_size,
        )
        return run_id, runs.size(run_id)[0]

    def _start(
        self,
        runs: list[tuple[str, int]],
        dies: str,
        temporal: tuple[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Any:
        marker = self._folder / str(uuid4())
        life = Life(
            self._url,
            {name: gateway.url for name, gateway in self.gateways.items()},
            tuple(runs),
            NOW,
            DUE,
            timeout,
            f"{dies}:{marker}" if dies else "",
            self._drawn.patient,
            temporal,
        )
        process = self._processes.Process(target=live, args=(life,), daemon=True)
        with _ends_heard:
            process.start()
        return process


@contextmanager
def seeds_on_a_server() -> Iterator[Seeds]:
    """Seeds on an embedded server of their own."""
    folder = Path(tempfile.mkdtemp(prefix="masthead-seeds-"))
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    try:
        with temporal_server(folder) as temporal:
            yield Seeds(PostgresForTests(server), folder, temporal)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
