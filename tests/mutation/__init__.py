"""The mutation gate: small faults are put into a copy of the rules of money, time and tax, one by one, and the fast
unit tests have to notice. `python -m tests.mutation.run` runs it; docs/mutation.md explains what survives."""
