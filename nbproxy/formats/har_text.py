"""Bodies as the text that stands in a HAR, and back: exactly, or not as text at all."""

from __future__ import annotations

import re
from typing import Final

from nbproxy.model import charset

# What an editor or a viewer would change or refuse; a body with one of these is no text.
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]").search


def codec_of(content_type: str) -> str:
    """The codec for text of this Content-Type: its charset's, UTF-8 if it names none."""
    return charset.text_codec(charset.charset_of(content_type) or "") or "utf-8"


def text_of(body: bytes, content_type: str) -> str | None:
    """The body as text; None if `bytes_of` would not give the same bytes back."""
    codec = codec_of(content_type)
    try:
        text = body.decode(codec)
        exact = text.encode(codec) == body
    except (UnicodeError, ValueError):
        return None
    return text if exact and _UNFIT(text) is None else None


def bytes_of(text: str, content_type: str) -> bytes:
    """The body of a text; in UTF-8 if the charset of its Content-Type cannot say it."""
    try:
        return text.encode(codec_of(content_type))
    except (UnicodeError, ValueError):
        return text.encode("utf-8", "surrogatepass")
