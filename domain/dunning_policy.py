"""The dunning policy: what a publisher does about unpaid invoices, as a document.

These models are the document, field by field, and print as its JSON Schema. What one field cannot show (states out of
order, a retry after the write-off) is found by `domain.dunning_checks`, so a policy that exists is a sound one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from domain.catalog import Code, Currency, Problem
from domain.declines import UNRESOLVED, DeclineClass, code_name
from domain.dunning_checks import Found, rising_days, state_problems, tries_problems, write_off_problems

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
LONGEST_DAYS = 3650


class Blocked(StrEnum):
    """What a state can keep a customer from."""

    PLAN_CHANGE = "plan_change"
    ENTITLEMENT = "entitlement"
    BILLING = "billing"


class GiveUp(StrEnum):
    """What becomes of the payment when its tries are used up."""

    CANCEL = "cancel"
    WRITE_OFF = "write_off"
    LEAVE_UNPAID = "leave_unpaid"


class BadPolicy(ValueError):
    """A dunning policy that cannot be used; `problems` holds all that is wrong, each with the path to its place."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        lines = [f"{'.'.join(map(str, problem.path)) or 'policy'}: {problem.message}" for problem in problems]
        super().__init__("the dunning policy cannot be used; mend these: " + "; ".join(lines))


class _Unsound(ValueError):
    """Carries what a check found through pydantic, which reports one error per validator."""

    def __init__(self, found: list[Found]) -> None:
        self.found = found
        super().__init__("; ".join(f"{'.'.join(map(str, path))}: {message}" for path, message in found))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _sound(found: list[Found]) -> None:
    if found:
        raise _Unsound(found)


def _is_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a name: use lower-case letters, digits and underscores, 63 at most, a letter first"
        )
    return text


def _are_rising(days: tuple[int, ...]) -> tuple[int, ...]:
    _sound(list(rising_days(days)))
    return days


def _are_codes(classes: dict[str, DeclineClass]) -> dict[str, DeclineClass]:
    found: list[Found] = []
    for code in classes:
        if code_name(code) != code:
            found.append(((code,), f"write the decline code as {code_name(code)!r}"))
        elif code in UNRESOLVED:
            found.append(
                ((code,), "after this nobody knows whether money moved: it is not a decline, take it out")
            )
    _sound(found)
    return classes


Name = Annotated[str, AfterValidator(_is_name)]
Day = Annotated[int, Field(ge=1, le=LONGEST_DAYS)]
RisingDays = Annotated[tuple[Day, ...], AfterValidator(_are_rising)]
MinorUnits = Annotated[int, Field(ge=1)]


class Conditions(_Strict):
    """When a state holds. Give at least one of age_days, unpaid_invoices and unpaid_amount."""

    match: Literal["any", "all"] = Field(
        default="any",
        description="any: one of the conditions given is enough; all: every one of them must hold",
    )
    age_days: Day | None = Field(
        default=None,
        description="holds from this many days after the due day of the oldest unpaid invoice, "
        f"1 to {LONGEST_DAYS}; 1 is the day after it was due",
    )
    unpaid_invoices: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="holds with this many unpaid invoices or more, 1 or higher, counting those past due",
    )
    unpaid_amount: dict[Currency, MinorUnits] | None = Field(
        default=None,
        min_length=1,
        description="holds when the unpaid invoices past due sum to this or more, per ISO 4217 currency in minor units "
        "(10000 is 100.00 EUR); in a currency that is not named here it never holds",
    )

    @model_validator(mode="after")
    def _at_least_one(self) -> Conditions:
        if self.age_days is None and self.unpaid_invoices is None and self.unpaid_amount is None:
            raise ValueError("give at least one of age_days, unpaid_invoices and unpaid_amount")
        return self

    def hold(self, age: int, count: int, amounts: Mapping[str, int]) -> bool:
        """Whether they hold for an account whose oldest unpaid invoice is `age` days past due, which has `count` of
        them that sum to `amounts`, per currency in minor units."""
        answers = []
        if self.age_days is not None:
            answers.append(age >= self.age_days)
        if self.unpaid_invoices is not None:
            answers.append(count >= self.unpaid_invoices)
        if self.unpaid_amount is not None:
            answers.append(any(amounts.get(code, 0) >= least for code, least in self.unpaid_amount.items()))
        return any(answers) if self.match == "any" else all(answers)


class Mail(_Strict):
    """A mail to the payer."""

    do: Literal["mail"] = Field(description="mail: send a mail to the payer")
    template: Code = Field(description="code of the mail template: lower-case letters, digits and hyphens")


class Measure(_Strict):
    """Something done to the account."""

    do: Literal["restrict", "suspend", "cancel", "write_off"] = Field(
        description="restrict: mark the account as restricted; suspend: stop access and delivery; cancel: end the "
        "subscriptions whose invoices are unpaid; write_off: book the unpaid invoices as uncollectible. "
        "Each stands in one state at most, in this order"
    )


Action = Annotated[Mail | Measure, Field(discriminator="do")]


class StatePolicy(_Strict):
    """One state of an account that owes money."""

    name: Name = Field(
        description="the state's own name, in no other state: lower-case letters, digits, underscores, a letter first"
    )
    when: Conditions | None = Field(
        default=None,
        description="when the state holds; the first state has none and holds when no other does, every later one has",
    )
    blocks: tuple[Blocked, ...] = Field(
        default=(),
        description="what the customer cannot have meanwhile: plan_change (no upgrade, downgrade or other change of "
        "plan), entitlement (no access and no delivery), billing (no new invoices); a later state blocks at "
        "least as much",
    )
    on_entry: tuple[Action, ...] = Field(
        default=(),
        description="what is done once when the account enters the state, in this order; in the first "
        "state, which is entered when the account comes clear, mails only",
    )


class SoftRetry(_Strict):
    """Retries after a soft decline: the same payment method may work on another day."""

    days: RisingDays = Field(
        max_length=15,
        description="the days of the retries, counted from the first failure, rising, 15 at most (Visa charges for "
        "more within 30 days); empty: no retry",
    )
    max_tries: int | None = Field(
        default=None,
        ge=1,
        description="most attempts, the first one included; left out: one more than there are days",
    )
    unknown_code_tries: int = Field(
        default=3,
        ge=1,
        le=16,
        description="most attempts, the first one included, while the decline code is in no table, 1 to 16",
    )


class Waiting(_Strict):
    """No retry: what happens until the customer does something."""

    reminder_days: RisingDays = Field(
        default=(), description="the days on which the customer is reminded, counted from the failure, rising"
    )
    template: Code = Field(
        default="payment-reminder",
        description="code of the reminder's mail template: lower-case letters, digits and hyphens",
    )
    give_up_after: Day | None = Field(
        default=None,
        description="days after the failure on which waiting ends and give_up applies; left out: it never ends of "
        "itself, and the states alone go on with the age",
    )

    @model_validator(mode="after")
    def _reminders_come_first(self) -> Waiting:
        if self.give_up_after and self.reminder_days and self.reminder_days[-1] >= self.give_up_after:
            raise ValueError(
                f"the last reminder (day {self.reminder_days[-1]}) must come before give_up_after "
                f"(day {self.give_up_after})"
            )
        return self


class RetryPolicy(_Strict):
    """What follows a failed payment, by the class of its decline. A payment whose outcome is unknown is not failed."""

    soft: SoftRetry = Field(
        description="soft declines (not enough money, bank not reached): tried again by schedule"
    )
    hard: Waiting = Field(
        default_factory=Waiting,
        description="hard declines (card lost, account closed): not tried again until the payment method changes",
    )
    action: Waiting = Field(
        default_factory=Waiting,
        description="declines that need the customer (authentication, call the bank): not tried again until they act",
    )
    action_hours: int = Field(
        default=23,
        ge=1,
        le=720,
        description="hours in which the customer may confirm a charge that waits for that (3-D Secure); then it is "
        "canceled at the gateway and counts as one that failed and needs the customer, 1 to 720",
    )
    preferred_hour: int | None = Field(
        default=None,
        ge=0,
        le=23,
        description="hour of the account's local day at which retries are made, 0 to 23; left out: when the day begins",
    )
    decline_classes: Annotated[dict[str, DeclineClass], AfterValidator(_are_codes)] = Field(
        default_factory=dict,
        description="your own class for a decline code (small letters, underscores for blanks), above the built-in "
        "table: soft (retry by schedule), hard (wait for another payment method) or action (wait for the customer)",
    )

    @model_validator(mode="after")
    def _tries_can_be_reached(self) -> RetryPolicy:
        _sound(list(tries_problems(len(self.soft.days), self.soft.max_tries)))
        return self


class Clearing(_Strict):
    """How an account comes clear: once no condition holds, by payment, credit or void, it is in the first state."""

    tolerance: dict[Currency, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict,
        description="an invoice that has this much or less left to pay does not count as unpaid, per ISO 4217 currency "
        "in minor units (50 is 0.50 EUR); a currency that is not named here has 0",
    )


def _in_order(states: tuple[StatePolicy, ...]) -> tuple[StatePolicy, ...]:
    _sound(list(state_problems(states)))
    return states


class DunningPolicy(_Strict):
    """What a publisher does about unpaid invoices."""

    format: Literal["masthead.dunning/1"] = Field(
        default="masthead.dunning/1", description="which form of document this is: masthead.dunning/1"
    )
    states: Annotated[tuple[StatePolicy, ...], AfterValidator(_in_order)] = Field(
        min_length=1,
        description="the states of an account from best to worst; the last one whose conditions hold is the account's",
    )
    retry: RetryPolicy = Field(
        description="when a failed payment is tried again, and when the customer is reminded"
    )
    give_up: GiveUp = Field(
        default=GiveUp.LEAVE_UNPAID,
        description="what happens when the last retry failed or waiting ended. cancel: end the subscription, the "
        "invoice stays due; write_off: book the invoice as uncollectible; leave_unpaid: the subscription stays "
        "past_due, and the states go on with the age",
    )
    clearing: Clearing = Field(default_factory=Clearing, description="how an account comes clear again")

    @model_validator(mode="after")
    def _nothing_after_the_write_off(self) -> DunningPolicy:
        _sound(list(write_off_problems(self.states, self.retry.soft.days)))
        return self

    @property
    def clear(self) -> StatePolicy:
        """The state of an account that owes nothing which counts."""
        return self.states[0]

    def state(self, name: str) -> StatePolicy:
        """The state called `name`. Raises UnknownState."""
        for state in self.states:
            if state.name == name:
                return state
        raise UnknownState(name, [state.name for state in self.states])


class UnknownState(ValueError):
    """A state that the dunning policy in force does not have."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(
            f"the dunning policy has no state {name!r}; it has: {', '.join(known)}. "
            "If the policy was changed, evaluate the account again"
        )


def read_policy(document: Mapping[str, Any]) -> DunningPolicy:
    """The policy that `document` says. Raises BadPolicy with everything that is wrong, each with its path. What needs
    the whole document (the write-off and the retries) is looked at once all parts are right by themselves."""
    try:
        return DunningPolicy.model_validate(document)
    except ValidationError as error:
        raise BadPolicy(tuple(_problems(error))) from None


def _problems(error: ValidationError) -> list[Problem]:
    problems = []
    for detail in error.errors(include_url=False):
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, _Unsound):
            found = cause.found
        elif detail["type"] == "extra_forbidden":
            found = [
                ((), f"the policy knows no key {str(detail['loc'][-1])!r} here; take it out or correct it")
            ]
        else:
            found = [((), str(cause) if cause else detail["msg"])]
        problems += [
            Problem(path=(*_place(detail["loc"]), *path), message=message) for path, message in found
        ]
    return problems


def _place(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """`path` as it stands in the document: pydantic puts the kind of an action into it."""
    return path[:4] + path[5:] if path[2:3] == ("on_entry",) else path
