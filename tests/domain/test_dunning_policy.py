"""The dunning policy as a document: what it refuses, and that it says what each key means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from domain.dunning_default import DEFAULT_POLICY
from domain.dunning_policy import BadPolicy, DunningPolicy, read_policy
from tests.domain.dunned import document, policies, policy, state


def problems(*states: dict[str, Any], **parts: Any) -> dict[str, str]:
    """Path → message of all that is wrong."""
    with pytest.raises(BadPolicy) as caught:
        policy(*states, **parts)
    return {".".join(map(str, problem.path)): problem.message for problem in caught.value.problems}


OVERDUE = state("overdue", age_days=1)


def test_the_default_policy_is_one_that_can_be_written() -> None:
    written = DEFAULT_POLICY.model_dump(mode="json")
    assert read_policy(written) == DEFAULT_POLICY
    assert DEFAULT_POLICY.retry.soft.days == (1, 3, 5, 7)
    assert [(one.name, one.when and one.when.age_days) for one in DEFAULT_POLICY.states] == [
        ("current", None), ("overdue", 1), ("restricted", 7), ("suspended", 14), ("canceled", 30), ("written_off", 60),
    ]  # fmt: skip


@given(policies())
def test_every_policy_reads_back(of: DunningPolicy) -> None:
    assert DunningPolicy.model_validate_json(of.model_dump_json()) == of


def test_every_key_says_what_it_means() -> None:
    schema = DunningPolicy.model_json_schema()
    keys = [
        (name, key, what)
        for name, model in [("policy", schema), *schema["$defs"].items()]
        for key, what in model.get("properties", {}).items()
    ]
    assert len(keys) >= 25
    assert [(name, key) for name, key, what in keys if not what.get("description")] == []


@pytest.mark.parametrize(
    ("definition", "key"),
    [("Conditions", "match"), ("Measure", "do"), ("StatePolicy", "blocks"), ("DunningPolicy", "give_up")],
)
def test_every_allowed_value_is_explained(definition: str, key: str) -> None:
    schema = DunningPolicy.model_json_schema()
    described = schema if definition == "DunningPolicy" else schema["$defs"][definition]
    what = described["properties"][key]
    reference = what.get("items", what).get("$ref", "").rsplit("/", 1)[-1]
    values = what.get("enum") or schema["$defs"][reference]["enum"]
    assert len(values) >= 2
    assert [value for value in values if value not in what["description"]] == []


def test_all_errors_are_reported_at_once_with_their_places() -> None:
    found = problems(
        state("overdue", age_days=7),
        {"name": "Restricted!", "when": {}, "colour": "red"},
        soft={"days": [3, 1, 1]},
        hard={"reminder_days": [0]},
        give_up="forget",
        decline_classes={"do_not_honor": "mild"},
        clearing={"tolerance": {"EURO": 5}},
    )
    assert found["states.2.name"].startswith("'Restricted!' is not a name")
    assert found["states.2.when"] == "give at least one of age_days, unpaid_invoices and unpaid_amount"
    assert found["states.2.colour"] == "the policy knows no key 'colour' here; take it out or correct it"
    assert found["retry.soft.days.1"] == "day 1 must come after day 3; the days must rise"
    assert found["retry.soft.days.2"] == "day 1 must come after day 1; the days must rise"
    assert "greater than or equal to 1" in found["retry.hard.reminder_days.0"]
    assert "'soft', 'hard' or 'action'" in found["retry.decline_classes.do_not_honor"]
    assert "'cancel', 'write_off' or 'leave_unpaid'" in found["give_up"]
    assert "not an ISO 4217 currency code" in " ".join(found.values())
    assert len(found) == 9


def test_the_message_of_all_names_each_place() -> None:
    with pytest.raises(BadPolicy, match=r"mend these: states\.1\.name: .*; give_up: "):
        policy(state("1st", age_days=1), give_up="forget")
    with pytest.raises(BadPolicy, match="policy: "):
        read_policy([])  # type: ignore[arg-type]


def test_no_policy_is_made_that_is_unsound() -> None:
    with pytest.raises(ValidationError, match=r"1\.when: state 'late' needs conditions"):
        DunningPolicy.model_validate(document({"name": "late"}))


def test_states_out_of_order() -> None:
    found = problems(state("canceled", age_days=30), state("late", age_days=14), state("gone", age_days=60))
    assert found == {
        "states.1.when": "state 'canceled' is never seen: whenever it holds, the later state 'late' holds too; "
        "put the states in order from best to worst"
    }


def test_two_states_on_one_day() -> None:
    assert (
        "'late' is never seen"
        in problems(state("late", age_days=14), state("gone", age_days=14))["states.1.when"]
    )
    policy(state("late", age_days=13), state("gone", age_days=14))


def test_a_state_hidden_by_two_is_reported_once_and_each_hidden_one_is() -> None:
    found = problems(state("c", age_days=30), state("b", age_days=20), state("a", age_days=10))
    assert set(found) == {"states.1.when", "states.2.when"}


@pytest.mark.parametrize(
    ("better", "worse", "seen"),
    [
        ({"age_days": 7}, {"unpaid_invoices": 2}, True),
        ({"age_days": 7}, {"unpaid_invoices": 1}, False),  # one invoice is past due with any age
        ({"unpaid_invoices": 3}, {"age_days": 1}, False),
        ({"unpaid_invoices": 3}, {"age_days": 2}, True),
        ({"age_days": 7}, {"age_days": 5, "unpaid_invoices": 3, "match": "all"}, True),
        ({"age_days": 7, "unpaid_invoices": 3, "match": "all"}, {"age_days": 7}, False),
        ({"age_days": 7, "unpaid_invoices": 3, "match": "all"}, {"age_days": 8}, True),
        ({"age_days": 7, "unpaid_invoices": 3, "match": "all"},
         {"age_days": 5, "unpaid_invoices": 3, "match": "all"}, False),
        ({"age_days": 7, "unpaid_invoices": 3, "match": "all"},
         {"age_days": 5, "unpaid_invoices": 4, "match": "all"}, True),
        ({"age_days": 7, "unpaid_invoices": 3}, {"age_days": 7}, True),  # three invoices at once are seen
        ({"age_days": 7, "unpaid_invoices": 3}, {"age_days": 7, "unpaid_invoices": 3}, False),
        ({"unpaid_amount": {"EUR": 500}}, {"unpaid_amount": {"EUR": 500, "USD": 1}}, False),
        ({"unpaid_amount": {"EUR": 500, "USD": 500}}, {"unpaid_amount": {"EUR": 500}}, True),
        ({"unpaid_amount": {"EUR": 499}}, {"unpaid_amount": {"EUR": 500}}, True),
        ({"age_days": 5, "unpaid_amount": {"EUR": 500, "USD": 500}, "match": "all"},
         {"age_days": 6, "unpaid_amount": {"EUR": 500}}, True),
        ({"age_days": 6, "unpaid_amount": {"EUR": 500, "USD": 500}, "match": "all"},
         {"age_days": 6, "unpaid_amount": {"EUR": 500}}, False),
        ({"unpaid_invoices": 2, "unpaid_amount": {"EUR": 500}, "match": "all"}, {"unpaid_invoices": 2}, False),
        ({"unpaid_invoices": 2, "unpaid_amount": {"EUR": 500}, "match": "all"}, {"age_days": 2}, True),
        ({"age_days": 7, "unpaid_amount": {"EUR": 500}, "match": "all"}, {"unpaid_invoices": 2}, True),
        ({"unpaid_amount": {"EUR": 500}}, {"unpaid_invoices": 2}, True),
        ({"unpaid_amount": {"EUR": 500}}, {"age_days": 2}, True),
    ],
)  # fmt: skip
def test_a_state_must_be_seen_in_some_situation(
    better: dict[str, Any], worse: dict[str, Any], seen: bool
) -> None:
    states = state("better", **better), state("worse", **worse)
    if seen:
        policy(*states)
    else:
        assert set(problems(*states)) == {"states.1.when"}


def test_names_stand_once() -> None:
    found = problems(OVERDUE, state("overdue", age_days=9))
    assert found == {"states.2.name": "state 'overdue' stands here twice (first at states[1])"}


def test_the_first_state_is_of_those_who_owe_nothing() -> None:
    wrong: dict[str, Any] = {
        "name": "clear", "when": {"age_days": 1}, "blocks": ["billing"],
        "on_entry": [{"do": "mail", "template": "thanks"}, {"do": "cancel"}],
    }  # fmt: skip
    with pytest.raises(BadPolicy) as caught:
        read_policy({"states": [wrong], "retry": {"soft": {"days": [1]}}})
    found = {problem.path: problem.message for problem in caught.value.problems}
    assert set(found) == {("states", 0, "when"), ("states", 0, "blocks"), ("states", 0, "on_entry", 1)}
    assert "it can send mails, not cancel" in found[("states", 0, "on_entry", 1)]
    wrong |= {"when": None, "blocks": [], "on_entry": [{"do": "mail", "template": "thanks"}]}
    read = read_policy({"states": [wrong], "retry": {"soft": {"days": [1]}}})
    assert read.clear.name == "clear"


def test_every_later_state_has_conditions() -> None:
    found = problems({"name": "late"}, {"name": "gone", "when": {"age_days": 2}}, {"name": "end"})
    assert set(found) == {"states.1.when", "states.3.when"}
    assert found["states.1.when"] == "state 'late' needs conditions; only the first state has none"


def test_there_is_a_state() -> None:
    with pytest.raises(BadPolicy, match="states: "):
        read_policy({"states": [], "retry": {"soft": {"days": []}}})


def test_a_worse_state_blocks_no_less() -> None:
    found = problems(
        state("a", age_days=1, blocks=("billing", "plan_change")), state("b", age_days=2, blocks=("billing",))
    )
    assert found == {"states.2.blocks": "state 'b' must block plan_change too, as the better state 'a' does"}


def test_measures_stand_once_and_in_order() -> None:
    found = problems(
        state("a", age_days=1, do=("suspend",)),
        state("b", age_days=2, do=("restrict", "cancel", "cancel")),
    )
    assert set(found) == {"states.2.on_entry.0", "states.2.on_entry.2"}
    assert found["states.2.on_entry.0"].startswith("restrict in state 'b' comes after suspend in state 'a'")
    assert found["states.2.on_entry.2"].startswith("cancel in state 'b' comes after cancel in state 'b'")


def test_a_mail_needs_a_template_and_a_measure_has_none() -> None:
    late = state("late", age_days=1)
    late["on_entry"] = [{"do": "mail"}, {"do": "cancel", "template": "x"}, {"do": "shout"}]
    found = problems(late)
    assert set(found) == {
        "states.1.on_entry.0.template",
        "states.1.on_entry.1.template",
        "states.1.on_entry.2",
    }


def test_mails_may_stand_in_every_state() -> None:
    states = [state(name, age_days=age) for name, age in (("a", 1), ("b", 2))]
    for one in states:
        one["on_entry"] = [{"do": "mail", "template": "reminder"}]
    assert len(policy(*states).states) == 3


def test_nothing_comes_after_the_write_off() -> None:
    found = problems(state("gone", age_days=20, do=("write_off",)), state("later", age_days=30))
    assert set(found) == {"states.1.on_entry.0"}
    assert "'later' is never reached" in found["states.1.on_entry.0"]


def test_a_retry_after_the_write_off_is_never_made() -> None:
    gone = state("gone", age_days=20, do=("write_off",))
    found = problems(gone, soft={"days": [19, 20, 21]})
    assert set(found) == {"retry.soft.days.1", "retry.soft.days.2"}
    assert (
        found["retry.soft.days.1"]
        == "the retry on day 20 is never made: state 'gone' writes off after 20 days"
    )
    policy(gone, soft={"days": [19]})
    policy(state("gone", age_days=20, do=("cancel",)), soft={"days": [21]})
    # Where age is not enough for the state, nobody can tell.
    policy(state("gone", age_days=20, unpaid_invoices=2, match="all", do=("write_off",)), soft={"days": [21]})
    policy(state("gone", unpaid_invoices=2, do=("write_off",)), soft={"days": [21]})
    assert problems(
        state("gone", age_days=20, unpaid_invoices=2, do=("write_off",)), soft={"days": [21]}
    ).keys() == {"retry.soft.days.0"}


def test_more_tries_than_days() -> None:
    assert problems(soft={"days": [1, 3], "max_tries": 4}) == {
        "retry.soft.max_tries": "4 tries cannot be reached: the first one and 2 retry days make 3; "
        "add days, or lower max_tries"
    }
    assert policy(soft={"days": [1, 3], "max_tries": 3}).retry.soft.max_tries == 3


@pytest.mark.parametrize(
    ("soft", "place"),
    [
        ({"days": [0]}, "retry.soft.days.0"),
        ({"days": [3651]}, "retry.soft.days.0"),
        ({"days": list(range(1, 17))}, "retry.soft.days"),
        ({"days": [1], "max_tries": 0}, "retry.soft.max_tries"),
        ({"days": [1], "unknown_code_tries": 0}, "retry.soft.unknown_code_tries"),
        ({"days": [1], "unknown_code_tries": 17}, "retry.soft.unknown_code_tries"),
    ],
)
def test_bounds_of_the_retries(soft: dict[str, Any], place: str) -> None:
    assert set(problems(soft=soft)) == {place}


def test_what_just_fits() -> None:
    fits = policy(
        state("late", age_days=3650, unpaid_amount={"EUR": 1}),
        soft={"days": [*range(1, 15), 3650], "max_tries": 1, "unknown_code_tries": 16},
        hard={"reminder_days": [4], "give_up_after": 5},
        preferred_hour=23,
        clearing={"tolerance": {"JPY": 0}},
    )
    assert fits.retry.preferred_hour == 23


@pytest.mark.parametrize("hour", [-1, 24])
def test_an_hour_is_one_of_the_day(hour: int) -> None:
    assert set(problems(preferred_hour=hour)) == {"retry.preferred_hour"}


def test_reminders_come_before_giving_up() -> None:
    assert problems(hard={"reminder_days": [2, 5], "give_up_after": 5}) == {
        "retry.hard": "the last reminder (day 5) must come before give_up_after (day 5)"
    }
    assert policy(hard={"give_up_after": 5}).retry.hard.reminder_days == ()


def test_classes_of_one_s_own() -> None:
    found = problems(decline_classes={"Do Not Honor": "hard", "timeout": "soft", "do_not_honor": "hard"})
    assert found["retry.decline_classes.Do Not Honor"] == "write the decline code as 'do_not_honor'"
    assert "not a decline" in found["retry.decline_classes.timeout"]
    assert len(found) == 2
    assert policy(decline_classes={"do_not_honor": "hard"}).retry.decline_classes == {"do_not_honor": "hard"}


@pytest.mark.parametrize("name", ["a", "a" * 63, "past_due", "a1"])
def test_names_that_will_do(name: str) -> None:
    assert policy(state(name, age_days=1)).state(name).name == name


@pytest.mark.parametrize("name", ["", "a" * 64, "1a", "_a", "past-due", "Past"])
def test_names_that_will_not(name: str) -> None:
    assert set(problems(state(name, age_days=1))) == {"states.1.name"}
