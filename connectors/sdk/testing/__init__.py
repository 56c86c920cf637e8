"""The conformance kit: what every connector must show against a stand-in of its vendor, faults included.
`class TestAcme(TaxEngineSuite): connector = Acme; stand_in = AcmeStandIn` is all that an author writes."""
