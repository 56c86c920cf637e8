"""Pure rules of subscription billing: money, periods, catalog, pricing, rating, tax, invoices, ledger.
No I/O, no clock, no Temporal; standard library and pydantic only."""
