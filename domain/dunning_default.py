"""The dunning policy of a publisher who has not written one.

Reminded from the first day, cut off after two weeks, canceled after a month, written off after two; meanwhile a soft
decline is tried four times more within a week.
"""

from __future__ import annotations

from domain.dunning_policy import read_policy

DEFAULT_POLICY = read_policy(
    {
        "states": [
            {"name": "current"},
            {
                "name": "overdue",
                "when": {"age_days": 1},
                "on_entry": [{"do": "mail", "template": "payment-overdue"}],
            },
            {
                "name": "restricted",
                "when": {"age_days": 7},
                "blocks": ["plan_change"],
                "on_entry": [{"do": "mail", "template": "account-restricted"}, {"do": "restrict"}],
            },
            {
                "name": "suspended",
                "when": {"age_days": 14},
                "blocks": ["plan_change", "entitlement"],
                "on_entry": [{"do": "mail", "template": "account-suspended"}, {"do": "suspend"}],
            },
            {
                "name": "canceled",
                "when": {"age_days": 30},
                "blocks": ["plan_change", "entitlement", "billing"],
                "on_entry": [{"do": "mail", "template": "subscription-canceled"}, {"do": "cancel"}],
            },
            {
                "name": "written_off",
                "when": {"age_days": 60},
                "blocks": ["plan_change", "entitlement", "billing"],
                "on_entry": [{"do": "write_off"}],
            },
        ],
        "retry": {
            "soft": {"days": [1, 3, 5, 7]},
            "hard": {"reminder_days": [1, 3, 7, 14], "template": "payment-method-needed"},
            "action": {"reminder_days": [1, 3, 7], "template": "payment-action-needed"},
        },
        "give_up": "leave_unpaid",
    }
)
