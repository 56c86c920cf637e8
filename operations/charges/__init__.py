"""Charging open invoices at payment gateways: a charge is written down before it is sent (`begin`), and what it came to
is written by one function, whoever heard of it (`outcome`)."""
