"""Codings of bodies and of files by the names that modules of all releases gave them."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, Final

from nbproxy.formats import tnetstring
from nbproxy.model import coding

if TYPE_CHECKING:
    from collections.abc import Mapping

_BODIES: Final = frozenset(("gzip", "x-gzip", "deflate", "deflateraw", "br", "zstd", "identity"))


def decode(encoded: Any, encoding: str, errors: str = "strict") -> Any:
    """Undo a content coding, or decode text by the name of a character set.

    Raises:
        ValueError: That cannot be done.
    """
    if encoded is None:
        return None
    if encoding.lower() in _BODIES or encoding == "none":
        return encoded if encoding == "none" else coding.decode(encoded, encoding)
    try:
        return codecs.decode(encoded, encoding, errors)
    except (LookupError, TypeError) as error:
        raise ValueError(f"{type(error).__name__} when decoding with {encoding!r}") from None


def encode(decoded: Any, encoding: str, errors: str = "strict") -> Any:
    """Put a content coding on, or encode text by the name of a character set.

    Raises:
        ValueError: That cannot be done.
    """
    if decoded is None:
        return None
    if encoding.lower() in _BODIES or encoding == "none":
        return decoded if encoding == "none" else coding.encode(decoded, encoding)
    try:
        return codecs.encode(decoded, encoding, errors)
    except (LookupError, TypeError) as error:
        raise ValueError(f"{type(error).__name__} when encoding with {encoding!r}") from None


def _load(file: Any) -> Any:
    """The next value of a file."""
    for _, value in tnetstring.read(file):
        return value
    raise ValueError("the file has no further value")


ENCODING: Final[Mapping[str, Any]] = {"decode": decode, "encode": encode}
"""`netlib.encoding`, then `net.http.encoding`, since 7 `net.encoding`."""

TNETSTRING: Final[Mapping[str, Any]] = {
    "loads": tnetstring.parse,
    "dumps": tnetstring.write,
    "load": _load,
    "dump": lambda value, file: file.write(tnetstring.write(value)),
}
"""`tnetstring`, then `contrib.tnetstring`, since 3.0 `io.tnetstring`."""
