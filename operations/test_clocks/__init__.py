"""Test clocks: made, given accounts, and moved on; and how one account's time passes on one."""
