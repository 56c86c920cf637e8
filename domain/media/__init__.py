"""Rules that only news media have: deliveries and holiday stops, gifts, household seats, metered reading, retention
offers. Pure like the rest of the domain: no I/O, no clock."""
