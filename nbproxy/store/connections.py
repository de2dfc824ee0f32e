"""Connections as rows of a capture, and back.

A row says all that is known of a connection. What a column cannot say exactly is in `extra`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from nbproxy.model.clean import clean_float, clean_int, clean_text
from nbproxy.model.connection import Client, Connection, Server, format_address
from nbproxy.store import tagged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = tuple[Any, ...]


@lru_cache(maxsize=4096)
def _address_text(value: Any) -> str:
    """`host:port`.

    Raises:
        ValueError: It would not come back as it is.
    """
    try:
        text = format_address(value)
        if type(value) is tuple and read_address(text) == value and type(value[1]) is int:
            text.encode()
            return text
    except (TypeError, IndexError, UnicodeEncodeError):
        pass
    raise ValueError("no address")


@lru_cache(maxsize=4096)
def read_address(text: str) -> tuple[str, int]:
    """The host and port that `host:port` stands for."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host, int(port)


@lru_cache(maxsize=256)
def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate, in hex."""
    return sha256(der).hexdigest()


def _exactly(*kinds: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) not in kinds:
            raise ValueError("of another type")
        return value

    return check


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("no text")
    value.encode()  # UnicodeEncodeError is a ValueError
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError("no number of 64 bits")
    return value


def _time(value: Any) -> float:
    if type(value) is not float or value != value:  # noqa: PLR0124 - NaN, which SQLite cannot say
        raise ValueError("no time")
    return value


def _names(value: Any) -> str:
    if type(value) is not tuple or not all(type(item) is str for item in value):
        raise ValueError("no names")
    return json.dumps(value)


def _fingerprints(value: Any) -> str:
    if type(value) is not tuple or not all(type(item) is bytes for item in value):
        raise ValueError("no certificates")
    return json.dumps([fingerprint(der) for der in value])


# attribute -> column, to the column's value (or ValueError: it cannot say that), and back
_FIELDS: Final[dict[str, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "peername": ("peer", _address_text, read_address),
    "sockname": ("sock", _address_text, read_address),
    "address": ("address", _address_text, read_address),
    "tunnel": ("tunnel", _address_text, read_address),
    "via": ("via", tagged.dumps, tagged.loads),
    "timestamp_start": ("started", _time, float),
    "timestamp_tcp_setup": ("tcp_setup", _time, float),
    "timestamp_tls_setup": ("tls_setup", _time, float),
    "timestamp_end": ("ended", _time, float),
    "tls": ("tls", _exactly(bool), bool),
    "tls_version": ("tls_version", _text, str),
    "cipher": ("cipher", _text, str),
    "alpn": ("alpn", _text, str),
    "alpn_offers": ("alpn_offers", _names, lambda text: tuple(json.loads(text))),
    "sni": ("sni", _text, str),
    "certificate_list": ("certificates", _fingerprints, None),  # type: ignore[dict-item] # see `restore`
    "verified": ("verified", _exactly(bool), bool),
    "requests": ("requests", _number, int),
    "error": ("error", _text, str),
}
COLUMNS: Final = ("id", "kind", *(column for column, _, _ in _FIELDS.values()), "extra")
"""The columns of a row, in its order."""

_INDEX: Final = {column: index for index, column in enumerate(COLUMNS)}
_CERTIFICATES: Final = _INDEX["certificates"]
_BLANK: Final = (None,) * len(COLUMNS)
_KINDS: Final[dict[type, str]] = {Client: "client", Server: "server"}
_CLEAN: Final[dict[str, Callable[[Any], Any]]] = {
    **{column: clean_text for column, _, _ in _FIELDS.values()},
    **dict.fromkeys(("started", "tcp_setup", "tls_setup", "ended"), clean_float),
    **dict.fromkeys(("tls", "verified", "requests"), lambda value: clean_int(value, 0)),
    **dict.fromkeys(("alpn_offers", "certificates", "via"), lambda _: None),
}
_shapes: set[tuple[str, ...]] = set()


def is_blank(connection: Any) -> bool:
    """True if nothing is known of a connection, so that it needs no row."""
    kind, state = type(connection), vars(connection)
    return (kind is Client and len(state) == 1) or (
        kind is Server and len(state) == 2 and state.get("address", 0) is None
    )


def is_plain(connection: Any) -> bool:
    """Whether a connection has nothing but what the model gives it."""
    if type(connection) not in _KINDS:
        return False
    shape = tuple(vars(connection))
    if shape in _shapes:
        return True
    plain = all(name in _FIELDS or name == "id" or name.startswith("_") for name in shape)
    if plain and len(_shapes) < 4096:
        _shapes.add(shape)
    return plain


def to_row(connection: Connection, key: int) -> tuple[Row, tuple[bytes, ...], bool]:
    """A connection as a row, its certificates, and whether an equal one can be made of these."""
    row: list[Any] = list(_BLANK)
    row[0] = key
    row[1] = _KINDS.get(type(connection), "client")
    exact = is_plain(connection)
    certificates: tuple[bytes, ...] = ()
    odd: dict[str, Any] = {}
    for name, value in list(vars(connection).items()):
        if name not in _FIELDS:
            continue
        if value is None:
            if getattr(type(connection), name, None) is not None:  # None is not what it begins with
                odd[name] = None
            continue
        column, convert, _ = _FIELDS[name]
        if name in {"certificate_list", "alpn_offers"} and type(value) is list:
            value = tuple(value)  # noqa: PLW2901 - they are sequences; which kind does not matter
        try:
            row[_INDEX[column]] = convert(value)
        except (ValueError, TypeError):
            row[_INDEX[column]] = _cleaned(column, value)
            odd[name] = value
        else:
            if name == "certificate_list":
                certificates = value
    if odd:
        kept, complete = keep(odd)
        exact = exact and complete
        row[-1] = tagged.dumps({"set": kept})
    return tuple(row), certificates, exact


def _cleaned(column: str, value: Any) -> Any:
    cleaned = _CLEAN[column](value)
    return None if cleaned != cleaned else cleaned  # noqa: PLR0124 - NaN


def keep(odd: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Those of some values that JSON can say exactly, and whether that is all of them."""
    kept = {}
    for name, value in odd.items():
        try:
            tagged.dumps(value)
        except (ValueError, TypeError):
            continue
        kept[name] = value
    return kept, len(kept) == len(odd)


def certificates_of(row: Sequence[Any]) -> list[str]:
    """The fingerprints that a row names."""
    try:
        found = json.loads(row[_CERTIFICATES] or "[]")
    except (TypeError, ValueError):
        return []
    return [each for each in found if type(each) is str] if type(found) is list else []


def from_row(row: Sequence[Any], certificates: Mapping[str, bytes]) -> Client | Server:
    """A connection made anew, with a number of its own."""
    connection = Server() if row[1] == "server" else Client()
    state = vars(connection)
    for name, (column, _, read) in _FIELDS.items():
        value = row[_INDEX[column]]
        if value is None:
            continue
        if column == "certificates":
            prints = certificates_of(row)
            state[name] = tuple(certificates[each] for each in prints if each in certificates)
            continue
        try:
            state[name] = read(value)
        except (TypeError, ValueError):  # somebody else wrote this
            continue
    if row[-1] is not None:
        state.update(_overrides(row[-1]))
    return connection


def _overrides(extra: Any) -> dict[str, Any]:
    try:
        found = tagged.loads(extra)["set"]
        return {name: value for name, value in found.items() if name in _FIELDS}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
