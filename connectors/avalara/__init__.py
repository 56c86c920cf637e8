"""Sales tax through AvaTax and its own SDK: estimates, committed documents, refunds and voids.
A document's code is its identity there for ever, which makes recording it twice the same as once."""
