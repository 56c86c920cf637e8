"""Everything that a connector is written with. Authors import from here, and from here only.

The bridges of vendors' own libraries are imported by their modules, connectors.sdk.bridges.*, since each needs its
library.
"""

from __future__ import annotations

from pydantic import Field

from connectors.sdk.auth import ApiKey, Auth, Basic, Bearer
from connectors.sdk.bridges.threads import in_thread
from connectors.sdk.capabilities.campaigns import CampaignEvent, Campaigns, Profile
from connectors.sdk.capabilities.card_facts import CardChange, CardFact, TellsOfCards
from connectors.sdk.capabilities.crm import Crm, CrmChange, CrmKind, CrmRecord
from connectors.sdk.capabilities.drm import (
    Drm,
    Licence,
    LicenceExtension,
    LicenceOrder,
    LicenceRevocation,
    LicenceStatus,
)
from connectors.sdk.capabilities.ledger import (
    GeneralLedger,
    Journal,
    JournalPosting,
    JournalReversal,
    PostedJournal,
)
from connectors.sdk.capabilities.mail import Attachment, Mail, Mailer, MailReceipt
from connectors.sdk.capabilities.payment import (
    ActionResult,
    CaptureOrder,
    CardDetails,
    ChargeOrder,
    Decline,
    Payment,
    PaymentActions,
    PaymentGateway,
    PaymentMethods,
    PaymentSetups,
    PaymentStatus,
    Refund,
    RefundOrder,
    RefundStatus,
    Setup,
    SetupOrder,
    VoidOrder,
)
from connectors.sdk.capabilities.payment_facts import (
    Happened,
    OtherAccount,
    PaymentFact,
    Standing,
    TellsOfPayments,
    standing,
)
from connectors.sdk.capabilities.provisioning import ProvisionedUser, Provisioner, UserDeactivation, UserState
from connectors.sdk.capabilities.publishing import Cms, Offering, OfferingWithdrawal, PublishedOffering
from connectors.sdk.capabilities.shipping import (
    AddressCheck,
    Label,
    LabelVoid,
    Parcel,
    Shipper,
    ShippingRate,
    TrackingStatus,
)
from connectors.sdk.capabilities.support import (
    CustomerView,
    SupportCustomer,
    SupportDesk,
    Ticket,
    TicketComment,
    TicketOrder,
)
from connectors.sdk.capabilities.tax import (
    TaxDocument,
    TaxedLine,
    TaxEngine,
    TaxOrder,
    TaxOrderLine,
    TaxPart,
    TaxQuote,
    TaxRefund,
    TaxStatus,
    TaxVoid,
)
from connectors.sdk.config import Config, MissingSecret, Secret
from connectors.sdk.connector import Connector
from connectors.sdk.context import Context
from connectors.sdk.cursors import Incremental
from connectors.sdk.error_table import ErrorRule, on
from connectors.sdk.errors import (
    Broken,
    ConnectorError,
    DefinitionError,
    RateLimited,
    Rejected,
    Transient,
    Unauthorized,
    Unknown,
)
from connectors.sdk.http import Http
from connectors.sdk.http_client import HttpClient, Reply
from connectors.sdk.idempotency import by_find, is_writing, native, never
from connectors.sdk.key import Key
from connectors.sdk.memory import memory_context
from connectors.sdk.oauth import ClientCredentials, JwtBearer, OAuth2Refresh
from connectors.sdk.paging import Chunk, by_cursor, by_link, by_number, by_offset
from connectors.sdk.ports import Rate, Token
from connectors.sdk.registry import find, installed
from connectors.sdk.retry_after import Quota, RetryAfter
from connectors.sdk.transport import Timeouts
from connectors.sdk.values import Address, Currency, Health, Page, RecordOutcome, RecordStatus, Value

__all__ = [
    "ActionResult",
    "Address",
    "AddressCheck",
    "ApiKey",
    "Attachment",
    "Auth",
    "Basic",
    "Bearer",
    "Broken",
    "CampaignEvent",
    "Campaigns",
    "CaptureOrder",
    "CardChange",
    "CardDetails",
    "CardFact",
    "ChargeOrder",
    "Chunk",
    "ClientCredentials",
    "Cms",
    "Config",
    "Connector",
    "ConnectorError",
    "Context",
    "Crm",
    "CrmChange",
    "CrmKind",
    "CrmRecord",
    "Currency",
    "CustomerView",
    "Decline",
    "DefinitionError",
    "Drm",
    "ErrorRule",
    "Field",
    "GeneralLedger",
    "Happened",
    "Health",
    "Http",
    "HttpClient",
    "Incremental",
    "Journal",
    "JournalPosting",
    "JournalReversal",
    "JwtBearer",
    "Key",
    "Label",
    "LabelVoid",
    "Licence",
    "LicenceExtension",
    "LicenceOrder",
    "LicenceRevocation",
    "LicenceStatus",
    "Mail",
    "MailReceipt",
    "Mailer",
    "MissingSecret",
    "OAuth2Refresh",
    "Offering",
    "OfferingWithdrawal",
    "OtherAccount",
    "Page",
    "Parcel",
    "Payment",
    "PaymentActions",
    "PaymentFact",
    "PaymentGateway",
    "PaymentMethods",
    "PaymentSetups",
    "PaymentStatus",
    "PostedJournal",
    "Profile",
    "ProvisionedUser",
    "Provisioner",
    "PublishedOffering",
    "Quota",
    "Rate",
    "RateLimited",
    "RecordOutcome",
    "RecordStatus",
    "Refund",
    "RefundOrder",
    "RefundStatus",
    "Rejected",
    "Reply",
    "RetryAfter",
    "Secret",
    "Setup",
    "SetupOrder",
    "Shipper",
    "ShippingRate",
    "Standing",
    "SupportCustomer",
    "SupportDesk",
    "TaxDocument",
    "TaxEngine",
    "TaxOrder",
    "TaxOrderLine",
    "TaxPart",
    "TaxQuote",
    "TaxRefund",
    "TaxStatus",
    "TaxVoid",
    "TaxedLine",
    "TellsOfCards",
    "TellsOfPayments",
    "Ticket",
    "TicketComment",
    "TicketOrder",
    "Timeouts",
    "Token",
    "TrackingStatus",
    "Transient",
    "Unauthorized",
    "Unknown",
    "UserDeactivation",
    "UserState",
    "Value",
    "VoidOrder",
    "by_cursor",
    "by_find",
    "by_link",
    "by_number",
    "by_offset",
    "find",
    "in_thread",
    "installed",
    "is_writing",
    "memory_context",
    "native",
    "never",
    "on",
    "standing",
]
