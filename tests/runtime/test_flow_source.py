"""Flows from files: what is sound, and everything that is wrong with file and line before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.sync_flow import InboundFlow, OutboundFlow
from runtime.connector_source import read_connector
from runtime.flow_source import SHIPPED, FlowErrors, FlowShelf, read_flow, read_flows
from runtime.settings import Settings
from runtime.syncs import load_flows
from runtime.yaml_source import DocumentError
from tests.synced import CONTACTS, CRM

EXAMPLES = Path(__file__).parents[2] / "examples" / "connectors"


def problems(folder: Path, text: str) -> list[str]:
    """What is wrong with a flow, as `LINE: field: message`."""
    file = folder / "flow.yaml"
    file.write_text(text.strip() + "\n")
    with pytest.raises(DocumentError) as found:
        read_flow(file)
    return [line.removeprefix(f"{file}:") for line in found.value.lines()]


def test_the_flows_of_the_house_are_sound_and_know_whom_they_fit() -> None:
    shelf = read_flows()
    assert {name: type(flow) for name, flow in shelf.flows.items()} == {
        "crm-contact-changes": InboundFlow,
        "crm-contacts": OutboundFlow,
        "crm-products": OutboundFlow,
        "crm-transactions": OutboundFlow,
        "mail-receipts": OutboundFlow,
    }
    assert set(shelf.names_for(CRM)) == set(shelf.flows) - {"mail-receipts"}
    assert shelf.names_for(read_connector(EXAMPLES / "tax-service.yaml")) == []


def test_everything_that_is_wrong_with_an_outbound_flow_is_told(tmp_path: Path) -> None:
    text = (
        CONTACTS.replace("[account.*, subscription.*]", "[acount.*, invoice.posted, catalog.loaded, Account]")
        .replace("to: crm.upsert", "to: crm.upsrt\nwhere: {stauts: active}")
        .replace("status: status", "status: statuss")
    )
    assert problems(tmp_path, text) == [
        "3: on[0]: there are no events 'acount.*'; did you mean 'account.created'?",
        "3: on[2]: catalog.loaded does not tell of a account; those that do begin with account, subscription, invoice",
        "3: on[3]: 'Account' is no kind of event: write words of a-z, 0-9 and _ joined by full stops, as in "
        "invoice.posted; a * may stand alone or as the last word",
        "5: to: crm has no method 'upsrt'; did you mean 'upsert'?",
        "6: where.stauts: a account has no field 'stauts'; did you mean 'status'?",
        "11: map.fields.status: there is no field 'statuss' to read; did you mean 'status'?",
    ]


INBOUND = """
format: masthead.flow/1
name: back
from: crm.changes contact
command: account.update_contact
map: {account: key, name: fields.name}
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "update_contact",
            "update_contacts",
            "4: command: there is no command 'account.update_contacts'; did you mean",
        ),
        (
            "crm.changes contact",
            "crm.changes contcat",
            "3: from: 'contcat' is no kind: Input should be 'contact'",
        ),
        (
            "crm.changes contact",
            "crm.changes",
            "3: from: write `webhook KIND`, or a method and what it is asked for",
        ),
        ("crm.changes contact", "crm.upsert contact", "3: from: crm.upsert is asked with "),
        (
            "fields.name",
            "vendor_ids",
            "5: map.name: there is no field 'vendor_ids' to read; did you mean 'vendor_id'?",
        ),
        ("account: key, ", "", "5: map: says nothing about 'account', which the target needs"),
        ("name: fields", "nam: fields", "5: map.nam: the target has no field 'nam'; did you mean 'name'?"),
        ("command:", "to: crm.upsert\ncommand:", "a flow outwards has `on`, `state` and `to`"),
        ("masthead.flow/1", "masthead.flow/2", "1: format: 'masthead.flow/2' is not known to this version"),
    ],
)
def test_what_is_wrong_with_an_inbound_flow_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in INBOUND
    (found,) = problems(tmp_path, INBOUND.replace(old, new, 1))
    assert told in found


@pytest.mark.parametrize(
    ("to", "more", "told"),
    [
        ("mail.send", "", "map.kind: the target has no field 'kind'"),
        ("crm.changes", "", "crm.changes only asks; name a method that writes"),
        (
            "crm.upsert",
            "once: true",
            "crm.upsert brings records to a state; `once` is for calls like mail.send",
        ),
        ("crmm.upsert", "", "there is no capability 'crmm'; did you mean 'crm'?"),
    ],
)
def test_a_method_that_does_not_fit_is_told(tmp_path: Path, to: str, more: str, told: str) -> None:
    text = CONTACTS.replace("to: crm.upsert", f"to: {to}\n{more}".strip())
    assert any(told in line for line in problems(tmp_path, text))


def test_a_field_that_the_other_system_does_not_have_is_told(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(CONTACTS.strip())
    with pytest.raises(DocumentError, match="the other system has no field 'status'; did you mean 'state'"):
        read_flow(file, known=["email", "name", "state"])


def test_a_publisher_s_own_flow_takes_the_place_of_ours_and_a_broken_one_stops_all(tmp_path: Path) -> None:
    own = tmp_path / "flows"
    own.mkdir()
    (tmp_path / "masthead.yaml").write_text("format: masthead.config/1\n")
    (own / "mine.yaml").write_text(CONTACTS.strip().replace("name: contacts", "name: crm-contacts"))
    settings = Settings(MASTHEAD_CONFIG=tmp_path / "masthead.yaml")
    shelf = load_flows(settings)
    assert shelf.files["crm-contacts"] == own / "mine.yaml"
    assert shelf.files["crm-products"].parent == SHIPPED
    (own / "same.yaml").write_text(CONTACTS.strip().replace("name: contacts", "name: crm-contacts"))
    (own / "broken.yaml").write_text(CONTACTS.strip().replace("crm.upsert", "crm.upsrt"))
    with pytest.raises(FlowErrors) as found:
        load_flows(settings)
    told = str(found.value)
    assert f"{own / 'broken.yaml'}:5: to" in told
    assert "'crm-contacts' is the name of mine.yaml, too" in told
    assert isinstance(shelf, FlowShelf)
