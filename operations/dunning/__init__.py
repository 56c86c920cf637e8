"""Dunning of live accounts: their cases, opened and looked at, held and released. The rules are those of
`domain.account.collecting`, by which test clocks dun too."""
