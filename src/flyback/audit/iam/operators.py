"""Condition operators.

Source: IAM user guide, "IAM JSON policy elements: Condition operators" and "Creating a condition
with multiple keys or values": values of one key are alternatives, a negated operator wants none of
them; a missing key fails a plain operator and satisfies a negated one, `…IfExists` and
`ForAllValues`.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from flyback.audit.iam.document import Condition
from flyback.audit.iam.patterns import arn_matches, expand, like, literal

__all__ = ["NAMES", "PARSERS", "holds"]

Comparison = Callable[[str, str], bool]
Context = Mapping[str, tuple[str, ...]]

_NUMBER = re.compile(r"^-?[0-9]+(\.[0-9]+)?\Z")
_EPOCH_SECONDS = re.compile(r"^[0-9]{5,}\Z")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# https://www.w3.org/TR/NOTE-datetime: a time of day has a zone.
_TIME = r"T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})"
_W3C_DATE = re.compile(rf"^[0-9]{{4}}(-[0-9]{{2}}(-[0-9]{{2}}({_TIME})?)?)?\Z")


def _number(text: str) -> Decimal:
    """An integer or a decimal, exactly."""
    if not _NUMBER.match(text):
        raise ValueError(text)
    return Decimal(text)


def _moment(text: str) -> int:
    """Microseconds since the epoch, from its seconds or from a W3C date.

    Four digits are a year: W3C's formats begin with it, and no request is from 1970.
    """
    if _EPOCH_SECONDS.match(text):
        return int(text) * 10**6
    if not _W3C_DATE.match(text):
        raise ValueError(text)
    whole = text + "-01-01"[len(text) - len("2020") :] if len(text) < len("2020-01-01") else text
    moment = dt.datetime.fromisoformat(whole)
    since = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - _EPOCH
    return since // dt.timedelta(microseconds=1)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _inside(wanted: str, found: str) -> bool:
    address = ipaddress.ip_address(found)
    network = _network(wanted)
    return address.version == network.version and address in network


def _arn(wanted: str, found: str) -> bool:
    return found.startswith("arn:") and arn_matches(wanted, found)


# What a policy's values must be, by the word that the operator begins with.
PARSERS: Mapping[str, Callable[[str], object]] = {
    "Numeric": _number,
    "Date": _moment,
    "Bool": _boolean,
    "BinaryEquals": _bytes,
    "IpAddress": _network,
    "NotIpAddress": _network,
    "Null": _boolean,
}
# Plain operators: (value in the policy, value in the request) → whether they match.
_PLAIN: Mapping[str, Comparison] = {
    "StringEquals": lambda wanted, found: literal(wanted) == found,
    "StringEqualsIgnoreCase": lambda wanted, found: literal(wanted).lower() == found.lower(),
    "StringLike": like,
    "NumericEquals": lambda wanted, found: _number(wanted) == _number(found),
    "NumericLessThan": lambda wanted, found: _number(found) < _number(wanted),
    "NumericLessThanEquals": lambda wanted, found: _number(found) <= _number(wanted),
    "NumericGreaterThan": lambda wanted, found: _number(found) > _number(wanted),
    "NumericGreaterThanEquals": lambda wanted, found: _number(found) >= _number(wanted),
    "DateEquals": lambda wanted, found: _moment(wanted) == _moment(found),
    "DateLessThan": lambda wanted, found: _moment(found) < _moment(wanted),
    "DateLessThanEquals": lambda wanted, found: _moment(found) <= _moment(wanted),
    "DateGreaterThan": lambda wanted, found: _moment(found) > _moment(wanted),
    "DateGreaterThanEquals": lambda wanted, found: _moment(found) >= _moment(wanted),
    "Bool": lambda wanted, found: _boolean(wanted) == _boolean(found),
    "BinaryEquals": lambda wanted, found: _bytes(wanted) == _bytes(found),
    "IpAddress": _inside,
    "ArnEquals": _arn,
    "ArnLike": _arn,
}
_NEGATED: Mapping[str, str] = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
NAMES: Mapping[str, str] = {name.lower(): name for name in (*_PLAIN, *_NEGATED, "Null")}
"""Every operator without qualifier and `IfExists`: lower case → as AWS spells it."""

_WITH_VARIABLES = ("String", "Arn", "Bool")


def holds(condition: Condition, context: Context, *, variables: bool) -> bool:
    """Whether a condition holds.

    Args:
        condition: From a policy.
        context: Of the request; keys in lower case.
        variables: Whether the policy's version knows policy variables.

    Raises:
        UnresolvedError: a variable of it has no value in this request.
    """
    found = context.get(condition.key)
    if condition.operator == "Null":
        absent = not any(found or ())
        return any(_boolean(value) == absent for value in condition.values)
    if found is None:
        return _without_key(condition)
    wanted = condition.values
    if variables and condition.operator.startswith(_WITH_VARIABLES):
        wanted = tuple(expand(value, lambda key: single(context, key)) for value in wanted)
    negated = condition.operator in _NEGATED
    compare = _PLAIN[_NEGATED.get(condition.operator, condition.operator)]

    def matches(value: str) -> bool:
        return any(_safely(compare, one, value) for one in wanted)

    if not condition.qualifier:
        return any(matches(value) for value in found) != negated
    if not any(found):  # no values, or only empty ones
        return condition.qualifier == "ForAllValues"
    together = all if condition.qualifier == "ForAllValues" else any
    return together(matches(value) != negated for value in found)


def single(context: Context, key: str) -> str | None:
    """The one value of a key; None where it has none, or several."""
    values = context.get(key.lower(), ())
    return values[0] if len(values) == 1 else None


def _without_key(condition: Condition) -> bool:
    if condition.if_exists or condition.qualifier == "ForAllValues":
        return True
    return condition.qualifier != "ForAnyValue" and condition.operator in _NEGATED


def _safely(compare: Comparison, wanted: str, found: str) -> bool:
    try:
        return compare(wanted, found)
    except ValueError:  # the request's value is of another type: no match
        return False
