"""Simulation: a scenario played in memory, day by day, through the same rules as the books.
Nothing here bills anybody; `masthead simulate` and the random walks of the tests come in here."""
