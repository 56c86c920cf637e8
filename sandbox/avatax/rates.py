"""The rates that the stand-in taxes by: one place per state or country, so that totals can be checked by hand.

US states have their own state rate; those in `_LOCAL` also have the local parts of one well-known city. Tax codes that
start with one of REDUCED_TAX_CODES (books and newspapers here) get a country's reduced rate where it has one; NT is not
taxed anywhere. Real rates depend on the street, the date and the product: nobody should file by this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

NOT_TAXABLE = "NT"
REDUCED_TAX_CODES = ("PB", "DB", "PN")


@dataclass(frozen=True)
class Jurisdiction:
    """One authority and its rate. `kind` is STA, CTY, CIT, STJ or CNT; `rate_type` is AvaTax's word for the rate."""

    kind: str
    code: str
    name: str
    tax_name: str
    rate: Decimal
    tax_type: str
    rate_type: str


class UnknownPlace(ValueError):
    """A country or region that the table lacks; `field` says which."""

    def __init__(self, field: str, value: str) -> None:
        super().__init__(f"{field} {value!r} is not known here")
        self.field = field
        self.value = value


_STATES = {
    "AL": "4", "AK": "0", "AZ": "5.6", "AR": "6.5", "CA": "6", "CO": "2.9", "CT": "6.35", "DC": "6", "DE": "0",
    "FL": "6", "GA": "4", "HI": "4", "IA": "6", "ID": "6", "IL": "6.25", "IN": "7", "KS": "6.5", "KY": "6",
    "LA": "4.45", "MA": "6.25", "MD": "6", "ME": "5.5", "MI": "6", "MN": "6.875", "MO": "4.225", "MS": "7",
    "MT": "0", "NC": "4.75", "ND": "5", "NE": "5.5", "NH": "0", "NJ": "6.625", "NM": "5.125", "NV": "6.85",
    "NY": "4", "OH": "5.75", "OK": "4.5", "OR": "0", "PA": "6", "RI": "7", "SC": "6", "SD": "4.5", "TN": "7",
    "TX": "6.25", "UT": "4.85", "VA": "4.3", "VT": "6", "WA": "6.5", "WI": "5", "WV": "6", "WY": "4",
}  # fmt: skip

_LOCAL = {
    "NY": (("CIT", "51000", "NEW YORK", "4.5"), ("STJ", "359071", "METROPOLITAN COMMUTER", "0.375")),
    "CA": (("CTY", "037", "LOS ANGELES", "0.25"), ("STJ", "EMTV0", "LOS ANGELES DISTRICTS", "3.25")),
    "TX": (("CIT", "05000", "AUSTIN", "1"), ("STJ", "6000811", "AUSTIN TRANSIT", "1")),
    "WA": (("CIT", "63000", "SEATTLE", "3.85"),),
    "IL": (("CTY", "031", "COOK", "1.75"), ("CIT", "14000", "CHICAGO", "1.25"), ("STJ", "EMAG0", "RTA", "1")),
}

_COUNTRIES = {
    "DE": ("GERMANY", "19", "7"),
    "FR": ("FRANCE", "20", "5.5"),
    "GB": ("UNITED KINGDOM", "20", "0"),
    "JP": ("JAPAN", "10", "8"),
    "AT": ("AUSTRIA", "20", "10"),
    "CH": ("SWITZERLAND", "8.1", "2.6"),
    "ES": ("SPAIN", "21", "4"),
    "IE": ("IRELAND", "23", "0"),
    "IT": ("ITALY", "22", "4"),
    "NL": ("NETHERLANDS", "21", "9"),
    "NZ": ("NEW ZEALAND", "15", None),
    "AU": ("AUSTRALIA", "10", None),
    "CA": ("CANADA", "5", None),
}


def jurisdictions(country: str, region: str, tax_code: str) -> tuple[Jurisdiction, ...]:
    """Who taxes a delivery to this place; empty where nobody does. Raises UnknownPlace."""
    country = _country(country)
    found = _in_state(_region(region)) if country == "US" else (_in_country(country, tax_code),)
    return () if tax_code == NOT_TAXABLE else tuple(one for one in found if one.rate)


def checked_place(country: str, region: str) -> tuple[str, str]:
    """Country and region as AvaTax writes them. Raises UnknownPlace."""
    country = _country(country)
    return country, _region(region) if country == "US" else region.strip().upper()


def _country(country: str) -> str:
    code = country.strip().upper() or "US"
    code = {"USA": "US", "UK": "GB"}.get(code, code)
    if code != "US" and code not in _COUNTRIES:
        raise UnknownPlace("country", country)
    return code


def _region(region: str) -> str:
    code = region.strip().upper()
    if code not in _STATES:
        raise UnknownPlace("region", region)
    return code


def _in_state(state: str) -> tuple[Jurisdiction, ...]:
    parts = (("STA", state, state, _STATES[state]), *_LOCAL.get(state, ()))
    words = {"STA": "STATE", "CTY": "COUNTY", "CIT": "CITY", "STJ": "SPECIAL"}
    return tuple(
        Jurisdiction(kind, code, name, f"{state} {words[kind]} TAX", _share(percent), "Sales", "General")
        for kind, code, name, percent in parts
    )


def _in_country(country: str, tax_code: str) -> Jurisdiction:
    name, standard, reduced = _COUNTRIES[country]
    if reduced is None or not tax_code.startswith(REDUCED_TAX_CODES):
        return Jurisdiction("CNT", country, name, "Standard Rate", _share(standard), "Output", "Standard")
    kind = "ReducedA" if reduced != "0" else "Zero"
    return Jurisdiction("CNT", country, name, "Reduced Rate", _share(reduced), "Output", kind)


def _share(percent: str) -> Decimal:
    return Decimal(percent) / 100
