"""The figures of recovery as gauges."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from domain.declines import DeclineClass
from operations.metrics.questions import Measure, Question, Sample
from operations.metrics.recovery import Recovery, recovery
from operations.rule_books import DEFAULT_RULE_BOOK, read_rule_books
from storage.database import PgConnection

LONGEST_STATEMENT = "30s"

ATTEMPTS = Measure("masthead_payment_attempts", "charges of the last 30 days that ended, by how and why")
FAILED = Measure("masthead_recovery_failed_amount", "failed first in the last 30 days, minor units")
RECOVERED = Measure("masthead_recovery_recovered_amount", "of it came in after all, minor units")
AT_RISK = Measure("masthead_recovery_at_risk_amount", "of it is still open, minor units")
LOST = Measure("masthead_recovery_lost_amount", "of it was given up, minor units")
AT_RISK_INVOICES = Measure("masthead_recovery_at_risk_invoices", "invoices that failed and are open")
RATE = Measure("masthead_recovery_ratio", "recovered of what failed, 0 to 1")
DAYS = Measure("masthead_recovery_days_mean", "days from the first refusal to the money, mean")
MEDIAN = Measure("masthead_recovery_days_median", "days from the first refusal to the money, median")

_BY_CURRENCY = (FAILED, RECOVERED, AT_RISK, LOST, AT_RISK_INVOICES, RATE, DAYS, MEDIAN)
# Read together by `recovery`, not each by a statement of its own.
RECOVERY_QUESTIONS = (
    Question(("connection", "currency", "outcome", "code", "decline_class"), (ATTEMPTS,), ""),
    Question(("currency",), _BY_CURRENCY, ""),
)


def recovery_samples(connection: PgConnection, since: date, until: date) -> list[Sample]:
    """The figures of the live accounts for the days from `since` until `until`, codes judged as the default rule book
    says."""
    connection.execute(f"set local statement_timeout = '{LONGEST_STATEMENT}'".encode())
    return list(_samples(recovery(connection, since, until, classes=own_classes(connection))))


def own_classes(connection: PgConnection) -> dict[str, DeclineClass]:
    """How the publisher judges decline codes, where that differs from the table of the field."""
    rules = read_rule_books(connection).get(DEFAULT_RULE_BOOK)
    return dict(rules.policy.dunning.retry.decline_classes) if rules else {}


def _samples(found: Recovery) -> Iterator[Sample]:
    for each in found.attempts:
        labels = (each.connection, each.currency, each.outcome, each.code or "", each.decline_class or "")
        yield Sample(ATTEMPTS, labels, each.charges)
    for one in found.currencies:
        values = (
            one.failed.amount,
            one.recovered.amount,
            one.at_risk.amount,
            one.lost.amount,
            one.at_risk.invoices,
            one.rate,
            one.days.mean if one.days else None,
            one.days.median if one.days else None,
        )
        for measure, value in zip(_BY_CURRENCY, values, strict=True):
            if value is not None:
                yield Sample(measure, (one.currency,), value)
