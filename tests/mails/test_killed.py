"""Processes that send mails are killed at any moment: no mail goes out twice, none is lost, and what nobody can know is
parked for a person."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine

from contracts.parked import Action
from operations.parked.decide import Decision, decide
from sandbox.smtp.stand_in import SmtpStandIn
from storage.database import PgConnection, transaction
from tests.conftest import wait_until
from tests.mails.office import Office, add_payment, add_reader

MAILS = 60


@contextmanager
def working(url: str, server: SmtpStandIn) -> Iterator[subprocess.Popen[bytes]]:
    """A process that sends mails; killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.mails.office", url, server.address], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"working\n"
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def state(connection: PgConnection) -> Counter[str]:
    rows = connection.execute("select status, count(*) from mail group by 1").fetchall()
    return Counter(dict(rows))


async def killed_and_finished(
    url: str,
    engine: Engine,
    connection: PgConnection,
    server: SmtpStandIn,
    office: Office,
    seed: int,
    deaths: int,
) -> None:
    chance = random.Random(seed)
    for no in range(MAILS):
        add_payment(connection, add_reader(connection, f"R{no}"))
    for _ in range(deaths):
        goal = len(server.mails()) + chance.randrange(1, 8)
        with working(url, server):
            wait_until(
                f"{goal} mails are out (seed {seed})",
                lambda goal=goal: (
                    len(server.mails()) >= min(goal, MAILS)  # type: ignore[misc]
                    or not state(connection)["waiting"]
                ),
            )
            await asyncio.sleep(chance.random() * 0.01)  # to be killed at any moment, not just behind a mail
    with working(url, server):
        wait_until(
            f"nothing is left to do (seed {seed})",
            lambda: state(connection).total() == MAILS and set(state(connection)) <= {"sent", "parked"},
            seconds=90,
        )
    copies = Counter(mail.recipients[0] for mail in server.mails())
    assert set(copies.values()) <= {1}, f"seed {seed}"
    sent = connection.execute(
        "select h.email from mail m join person h using (account_id) where m.status = 'sent'"
    ).fetchall()
    assert {address for (address,) in sent} <= set(copies), f"seed {seed}"
    # A person looks into the mail server's log at what nobody could know, and decides.
    doubts = connection.execute(
        "select p.id::text, h.email from mail m join parked p on p.call_id = m.call_id and p.resolved_at is null"
        " join person h on h.account_id = m.account_id where m.status = 'parked' and m.reason = 'unknown'"
    ).fetchall()
    assert len(doubts) == state(connection)["parked"]
    for park, address in doubts:
        with transaction(engine) as own:
            if address in copies:
                decide(own, park, Decision(Action.SKIP, "tester", "it is in the server's log"))
            else:
                decide(own, park, Decision(Action.RETRY, "tester", "it is not", not_applied=True))
    await office.turn()
    assert set(state(connection)) <= {"sent", "skipped"}
    assert Counter(mail.recipients[0] for mail in server.mails()) == Counter(
        f"r{no}@reader.example" for no in range(MAILS)
    ), f"seed {seed}"


async def test_killed_again_and_again(
    url: str, engine: Engine, connection: PgConnection, server: SmtpStandIn, office: Office
) -> None:
    await killed_and_finished(
        url, engine, connection, server, office, random.SystemRandom().randrange(10**6), 4
    )


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(8))
async def test_killed_by_many_seeds(
    seed: int, url: str, engine: Engine, connection: PgConnection, server: SmtpStandIn, office: Office
) -> None:
    await killed_and_finished(url, engine, connection, server, office, seed, 8)
