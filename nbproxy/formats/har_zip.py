"""A HAR inside a zip, as Playwright writes it: bodies are members of their own, named in `_file`.

Names are only looked up among the members; nothing is ever written or opened under them.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from functools import partial
from typing import TYPE_CHECKING, Final

from nbproxy.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_MEMBERS: Final = 100_000
_DAMAGES: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)


def unzip(data: bytes, limit_bytes: int) -> tuple[bytes, Mapping[str, Callable[[], bytes]]]:
    """The HAR in a zip, and functions that read the other members by their names.

    Args:
        data: The zip.
        limit_bytes: More than that is not unpacked, counted over all members.

    Raises:
        FormatError: It is damaged, too large, or has no HAR.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    except _DAMAGES as error:
        raise FormatError(f"a zip that cannot be read: {error}", offset=0) from None
    if len(members) > _MAX_MEMBERS:
        raise FormatError(f"a zip with more than {_MAX_MEMBERS} members", offset=0)
    archives = [member for member in members if member.filename.lower().endswith(".har")]
    if len(archives) != 1:
        raise FormatError(f"a zip with {len(archives)} HAR files in it, not one", offset=0)
    left = limit_bytes

    def read(member: zipfile.ZipInfo) -> bytes:
        nonlocal left
        try:
            with archive.open(member) as file:
                found = file.read(left + 1)
        except _DAMAGES as error:
            raise FormatError(f"{member.filename!r:.80} in the zip is damaged: {error}") from None
        left -= len(found)
        if left < 0:
            raise FormatError(f"a zip with more than {limit_bytes} bytes in it")
        return found

    har = read(archives[0])
    return har, {m.filename: partial(read, m) for m in members if m is not archives[0]}
