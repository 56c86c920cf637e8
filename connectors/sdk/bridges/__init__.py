"""Ways for vendors' own SDKs and other transports through our guard, budget, log and error table.
Each gives the SDK what it calls a session, a pool or a client."""
