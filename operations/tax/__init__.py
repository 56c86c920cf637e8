"""Tax by a connected engine: the rows of its documents, from posting to recorded, refunded or voided.
Asking the engine is the activities' part; here are the transactions before and after."""
