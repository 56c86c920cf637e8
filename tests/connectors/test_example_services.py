"""The examples of a DRM and a delivery system keep what every connector has to keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from masthead.testing import Suite
from runtime.connector_source import read_connector
from sandbox.reference.stand_in import ReferenceStandIn

EXAMPLES = Path(__file__).parents[2] / "examples" / "connectors"
pytestmark = pytest.mark.deep


class TestLicences(Suite):
    connector = read_connector(EXAMPLES / "licence-service.yaml")
    stand_in = ReferenceStandIn


class TestParcels(Suite):
    connector = read_connector(EXAMPLES / "parcel-service.yaml")
    stand_in = ReferenceStandIn
