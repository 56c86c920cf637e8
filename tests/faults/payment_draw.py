"""What a seed stands for: who pays by which card where, the gateways' faults, kills, webhooks and refunds."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.workflows.paying import CARDS, RESERVE

ACCOUNTS = 8
CARDS_AT = {
    CARDS: ("pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_refundFail",
            "pm_card_chargeDeclinedInsufficientFunds", "pm_card_chargeDeclinedProcessingError",
            "pm_card_threeDSecure2Required"),
    RESERVE: ("stored_visa", "stored_visa", "stored_visa", "stored_refused", "stored_pending",
              "stored_refund_fails"),
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
REFUND_PLACES = (
    "after-begin-refund", "before-note-refund", "before-note-refund-commit", "after-note-refund"
)  # fmt: skip
REFUNDS_AT = {CARDS: "/v1/refunds", RESERVE: "*/payments/*/refunds"}
ONE_IN_TEMPORAL = 20  # through Temporal: each takes ten times as long as another


class Fault(NamedTuple):
    """A fault that the gateway `at` commits `times` times, after `skip` calls. path: of which calls; None: of all."""

    at: str
    name: str
    times: int
    skip: int
    path: str | None = None


class Told(NamedTuple):
    """How the gateways tell. when: "prompt" (beside the workers), "between" the rounds, "at last". late: so many in a
    hundred are kept back until all else is over. copies: how often each is delivered. piece: so many are applied in one
    transaction. replayed: all of them are applied once more at the end."""

    when: str
    order: str
    late: int
    copies: int
    piece: int
    replayed: bool


PLAINLY = Told("prompt", "sent", 0, 1, 50, False)


class Wish(NamedTuple):
    """A refund of the `pick`-th payment. how: "full", "part" (so many `percent`), "two at once", "same twice" (one
    command), "more" (than was paid)."""

    pick: int
    how: str
    percent: int


class Round(NamedTuple):
    """Lives of workers at once, each with the place where it dies ("": it lives), and the refunds that are asked for
    beside them."""

    lives: tuple[str, ...]
    wishes: tuple[Wish, ...]


@dataclass
class Drawn:
    """Everything that a seed stands for."""

    seed: int
    routes: bool = False
    temporal: bool = False
    refused_refunds: str = "account_credit"
    patient: bool = True
    chunk_size: int = 3
    told: Told = PLAINLY
    cards: list[list[tuple[str, str]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)

    def words(self) -> str:
        """For people, a line an option."""
        lines = [
            f"seed {self.seed}",
            f"  through Temporal: {self.temporal}",
            f"  second gateway stands by: {self.routes}",
            f"  refunds that fail become: {self.refused_refunds}",
            f"  workers wait for their gateway: {self.patient}",
            f"  chunk size: {self.chunk_size}",
            f"  webhooks: {self.told.when}, {self.told.order}, {self.told.late} % late, {self.told.copies} copies, "
            f"{self.told.piece} at once" + (", replayed" if self.told.replayed else ""),
        ]
        lines += [f"  account {no}: {cards}" for no, cards in enumerate(self.cards)]
        lines += [
            f"  fault at {each.at}: {each.name}, {each.times} times after {each.skip} calls of {each.path or 'any'}"
            for each in self.faults
        ]
        for no, each in enumerate(self.rounds):
            lines.append(f"  round {no}: {[life or 'no kill' for life in each.lives]}")
            lines += [
                f"    refund of payment {wish.pick}: {wish.how}, {wish.percent} %" for wish in each.wishes
            ]
        return "\n".join(lines)

    def counts(self) -> Counter[str]:
        """How much of what it is."""
        return Counter(
            through_temporal=int(self.temporal),
            faults=len(self.faults),
            kills=sum(bool(life) for each in self.rounds for life in each.lives),
            wishes=sum(len(each.wishes) for each in self.rounds),
        )


def draw(seed: int) -> Drawn:
    """The options of `seed`."""
    chance = random.Random(seed)
    drawn = Drawn(
        seed,
        routes=chance.random() < 0.5,
        temporal=chance.randrange(ONE_IN_TEMPORAL) == 0,
        refused_refunds=chance.choice(("account_credit", "park")),
        patient=chance.random() < 0.5,
        chunk_size=chance.choice((2, 3, 8)),
        told=Told(
            chance.choice(("prompt", "prompt", "between", "at last")),
            chance.choice(("sent", "reversed", "shuffled")),
            chance.choice((0, 0, 30)),
            chance.choice((1, 1, 2, 3)),
            chance.choice((1, 3, 50)),
            chance.random() < 0.3,
        ),
    )
    for _ in range(ACCOUNTS):
        where = chance.choice(((CARDS,), (CARDS,), (RESERVE,), (CARDS, RESERVE)))
        drawn.cards.append([(gateway, chance.choice(CARDS_AT[gateway])) for gateway in where])
    for _ in range(chance.randint(0, 5)):
        drawn.faults.append(_fault(chance, 4))
    for _ in range(chance.randint(0, 3)):
        fault = _fault(chance, 2)
        drawn.faults.append(fault._replace(path=REFUNDS_AT[fault.at]))
    # What the rounds before have paid is refunded in those that follow.
    for no in range(chance.randint(2, 3)):
        wishes = chance.choice((0, 1, 2, 3)) if no else 0
        drawn.rounds.append(
            Round(
                tuple(_life(chance, no) for _ in range(chance.choice((1, 1, 2)))),
                tuple(_wish(chance) for _ in range(wishes)),
            )
        )
    return drawn


def _fault(chance: random.Random, skip: int) -> Fault:
    at = chance.choice((CARDS, RESERVE))
    return Fault(at, chance.choice(COMMITTED), chance.randint(1, 3), chance.randint(0, skip))


def _life(chance: random.Random, no: int) -> str:
    if chance.random() >= 0.6:
        return ""
    return f"{chance.choice(PLACES + (REFUND_PLACES if no else ()))}:{chance.randint(1, 3 if not no else 2)}"


def _wish(chance: random.Random) -> Wish:
    how = chance.choice(("full", "full", "part", "part", "two at once", "same twice", "more"))
    return Wish(chance.randrange(ACCOUNTS), how, chance.choice((10, 50, 60, 99)))
