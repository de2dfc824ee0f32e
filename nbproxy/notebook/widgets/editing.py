"""Messages as text that can be edited, and what was edited put back.

Secrets are masked in the text too. What a mask stands for is remembered here, so that a request can
be changed and sent without anybody having to look at its credentials; and a line or a body that was
not touched keeps its very bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from nbproxy.model import url
from nbproxy.model.escape import visible
from nbproxy.model.headers import Headers
from nbproxy.model.masking import default_masker
from nbproxy.model.message import Request, Response
from nbproxy.model.secrets import Masker
from nbproxy.notebook.shown import size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbproxy.model.message import Message

#: Bodies that are larger are not edited in a browser, but kept as they are.
MAX_BODY: Final = 512 * 1024

_REMEMBERED: Final = 20_000
_FORM: Final = "application/x-www-form-urlencoded"
_MASK: Final = re.compile(r"\*\*\*[0-9a-f]{8}")


class Remembering(Masker):
    """Masks as everywhere in this process, and knows what they stand for.

    Attributes:
        known: The secrets by their masks; the oldest are forgotten.
    """

    __slots__ = ("known",)
    known: dict[str, str]

    def __init__(self) -> None:
        super().__init__(default_masker().salt)
        object.__setattr__(self, "known", {})  # the class is frozen

    def mask(self, value: str) -> str:
        """The mask of a secret."""
        shown = super().mask(value)
        if shown != value:
            self.known[shown] = value
            if len(self.known) > _REMEMBERED:
                del self.known[next(iter(self.known))]
        return shown

    def unmask(self, text: str, *, quote: bool = False) -> str:
        """The text with secrets in place of their masks.

        Args:
            text: What somebody may have edited; a mask that is not known stays as it is.
            quote: Whether they stand in a query or a form, where they must be quoted.
        """

        def secret(match: re.Match[str]) -> str:
            value = self.known.get(match[0])
            if value is None:
                return match[0]
            return url.quote(value) if quote else value

        return _MASK.sub(secret, text)


class Editing:
    """Gives messages out to be edited, and takes the edits back."""

    def __init__(self) -> None:
        self._masker = Remembering()

    # -- out

    def editable(self, message: Message) -> dict[str, Any]:
        """A message as text: what the form in the browser shows."""
        found: dict[str, Any] = {
            "headers": self._fields(message),
            **self._body(message),
        }
        if isinstance(message, Request):
            found |= {"side": "request", "method": message.method, "url": self._url(message)}
        elif isinstance(message, Response):
            status, reason = message.status_code, visible(message.reason, 500)
            found |= {"side": "response", "status": status, "reason": reason}
        return found

    def _url(self, request: Request) -> str:
        return visible(self._masker.mask_url(request.url), 100_000)

    def _fields(self, message: Message) -> list[tuple[str, str]]:
        return [
            (visible(name, 1000), visible(self._masker.mask_header(name, value), 100_000))
            for name, value in message.headers.items(multi=True)
        ]

    def _body(self, message: Message) -> dict[str, Any]:
        data = message.get_content(strict=False)
        if data is None:
            return {"body": "", "binary": True, "body_note": "The body was not recorded."}
        if len(data) > MAX_BODY:
            note = f"The body has {size_text(len(data))}, and stays as it is."
            return {"body": "", "binary": True, "body_note": note}
        text = message.get_text(strict=False) or ""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return {"body": "", "binary": True}
        if "\x00" in text:
            return {"body": "", "binary": True}
        return {"body": self._body_text(message, text), "binary": False}

    def _body_text(self, message: Message, text: str) -> str:
        kind = message.headers.get("content-type", "")
        masked = self._masker.mask_text(text, kind, len(text) + 1)
        return masked.replace("\r\n", "\n")  # as a text area has it

    # -- back

    def apply(self, message: Message, edited: Mapping[str, Any]) -> None:
        """Change a message as its text was edited.

        Args:
            message: The one that was given out; nothing else may have changed it since.
            edited: What the form gives: `method url headers body`, or `status reason ...`; `body`
                is None if it was not touched.

        Raises:
            ValueError: Something in it cannot be sent.
        """
        headers = edited.get("headers")
        host = message.headers.get("host")
        if isinstance(headers, list):
            message.headers = self._edited_fields(message, headers)
        if isinstance(message, Request):
            self._apply_request(message, edited, host)
        elif isinstance(message, Response):
            _apply_response(message, edited)
        body = edited.get("body")
        if isinstance(body, str):
            self._apply_body(message, body)

    def _edited_fields(self, message: Message, edited: Sequence[Sequence[str]]) -> Headers:
        """The fields: those that were not touched to the byte."""
        kept: dict[tuple[str, str], list[tuple[bytes, bytes]]] = {}
        for shown, field in zip(self._fields(message), message.headers.fields, strict=True):
            kept.setdefault((shown[0].strip(), shown[1].strip()), []).append(field)
        found: list[tuple[str | bytes, str | bytes]] = []
        for name, value in edited:
            known = kept.get((str(name).strip(), str(value).strip()))
            if known:
                found.append(known.pop(0))
            else:
                found.append((str(name), self._masker.unmask(str(value))))
        return Headers(found)

    def _apply_request(
        self, request: Request, edited: Mapping[str, Any], host_field: str | None
    ) -> None:
        method = str(edited.get("method") or request.method)
        if method != request.method:
            request.method = method
        wanted = str(edited.get("url") or "")
        if not wanted or wanted == self._url(request):
            return
        named = request.headers.get("host")
        scheme, host, port, path = url.parse(self._masker.unmask(wanted, quote=True))
        if (scheme, host, port) == (request.scheme, request.host, request.port):
            request.path = path
            return
        request.url = url.unparse(scheme, host, port, path)
        if named is not None and named != host_field:  # somebody wrote another one
            request.headers["host"] = named

    def _apply_body(self, message: Message, body: str) -> None:
        old = message.get_text(strict=False) or ""
        if body == self._body_text(message, old):
            return
        kind = message.headers.get("content-type", "")
        text = self._masker.unmask(body, quote=_FORM in kind.lower())
        if "\r\n" in old and "\r\n" not in text:
            text = text.replace("\n", "\r\n")
        message.text = text


def _apply_response(response: Response, edited: Mapping[str, Any]) -> None:
    status = edited.get("status")
    if status not in (None, ""):
        response.status_code = _status(status)
    reason = edited.get("reason")
    if isinstance(reason, str) and reason != visible(response.reason, 500):
        response.reason = reason


def _status(value: Any) -> int:
    try:
        status = int(value)
    except (TypeError, ValueError):
        status = 0
    if not 100 <= status <= 999:
        raise ValueError(f"{value!r:.20} is not a status code: three digits")
    return status


def answer(edited: Mapping[str, Any]) -> Response:
    """A response made of what the form says.

    Raises:
        ValueError: Something in it cannot be sent.
    """
    pairs = [(str(name), str(value)) for name, value in edited.get("headers") or []]
    response = Response.make(_status(edited.get("status") or 200), headers=pairs)
    response.text = str(edited.get("body") or "")
    reason = edited.get("reason")
    if isinstance(reason, str) and reason:
        response.reason = reason
    return response
