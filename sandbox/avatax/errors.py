"""Errors in AvaTax's form: a code, a sentence, and details with the code's number."""

from __future__ import annotations

from typing import Any

from sandbox.calls import Answer, Refused, json_answer

#: Code → number, as in AvaTax's published list of error codes.
NUMBERS = {
    "CompanyInvalidException": 3,
    "EntityNotFoundError": 4,
    "ValueRequiredError": 5,
    "StringLengthError": 13,
    "InvalidQueryField": 17,
    "SyntaxError": 19,
    "DateFormatError": 26,
    "AuthenticationException": 30,
    "ValidationException": 32,
    "AuthenticationIncomplete": 34,
    "ModelRequiredException": 38,
    "JsonFormatError": 47,
    "InvalidDecimalValue": 48,
    "UnhandledException": 50,
    "InvalidCountry": 125,
    "InvalidCountryRegion": 126,
    "InvalidEnumValue": 164,
    "NoLinesDiscounted": 190,
    "DuplicateEntry": 193,
    "CannotAdjustDocumentType": 195,
    "TransactionAlreadyCancelled": 198,
    "QueryParameterOutOfRange": 199,
    "GetTaxError": 300,
    "DocumentCodeConflict": 303,
    "MissingAddress": 304,
    "InvalidAddress": 309,
    "MissingLine": 311,
    "InvalidAddressTextCase": 312,
    "DocumentNotCommitted": 313,
    "ServerUnreachable": 500,
    "RefundTypeAndPercentageMismatch": 701,
    "InvalidDocumentTypeForRefund": 702,
    "RefundTypeAndLineMismatch": 703,
    "RefundLinesRequired": 704,
    "LineNoOutOfRange": 707,
    "RefundPercentageOutOfRange": 708,
    "RefundPercentageMissing": 709,
    "CannotModifyLockedTransaction": 1100,
    "LineAlreadyExists": 1101,
    "TransactionIsCommitted": 1313,
    "InvalidDocumentStatus": 1314,
    "RateLimitExceededError": 1723,
}

#: What the stand-in's own kinds of error are called here.
BY_KIND = {
    "rate_limited": "RateLimitExceededError",
    "unavailable": "ServerUnreachable",
    "server_error": "UnhandledException",
    "unauthorized": "AuthenticationException",
    "error_in_200": "GetTaxError",
    "conflict": "DuplicateEntry",
    "not_found": "EntityNotFoundError",
    "method_not_allowed": "ValidationException",
    "malformed": "JsonFormatError",
}


def error_json(
    code: str, message: str, target: str = "HttpRequest", *, fault: str = "Client"
) -> dict[str, Any]:
    """The body of an error answer."""
    detail = {
        "code": code,
        "number": NUMBERS[code],
        "message": message,
        "description": message,
        "faultCode": fault,
        "helpLink": f"/avatax/errors/{code}",
        "severity": "Error",
    }
    return {"error": {"code": code, "message": message, "target": target, "details": [detail]}}


def error_answer(code: str, message: str, status: int = 400, target: str = "HttpRequest") -> Answer:
    """The answer that carries it."""
    return json_answer(error_json(code, message, target), status)


def refused(code: str, message: str, status: int = 400, target: str = "HttpRequest") -> Refused:
    """The same to be raised."""
    return Refused(error_answer(code, message, status, target))


def not_found(what: str) -> Refused:
    """404: no such document, company or id."""
    return refused("EntityNotFoundError", f"{what} was not found.", 404)
