"""Side effects that workflows call, as methods of classes built with their dependencies.
An activity unpacks its contract, calls one operation and reports progress; rules live elsewhere."""
