"""Webhooks that vendors send here: one open route, which believes a signature and no key.
The answer waits for one insert and nothing else."""
