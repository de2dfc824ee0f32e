"""The pages of the proxy itself: at http://mitm.it/ and at its own address.

    /                 how to trust the CA on each platform
    /cert/KIND        its certificate: pem, cer, crt, p12, mobileconfig; never the key
    /proxy.pac        automatic configuration that names this proxy

Everything is the same for everybody, may be asked for by any web page, and changes nothing: all
answers are to GET and HEAD (RFC 9110, 9.2.1).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from nbproxy.addons.trust_guide import FORMATS
from nbproxy.addons.trust_page import CONTENT_SECURITY_POLICY, Facts, render
from nbproxy.model import url
from nbproxy.model.message import Response

if TYPE_CHECKING:
    import datetime as dt

    from nbproxy.model.flow import HTTPFlow

_METHODS: Final = frozenset(("GET", "HEAD"))
_ALWAYS: Final = {
    "cache-control": "no-store",  # the CA may be another one tomorrow
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": CONTENT_SECURITY_POLICY,
}
_PAC: Final = """\
// Sends everything through nbproxy. There is no "DIRECT" behind it, so that nothing passes by
// unseen while the proxy is stopped.
function FindProxyForURL(url, host) {
  return %s;
}
"""


class Authority(Protocol):
    """The CA, as far as these pages need it; `CertificateAuthority` is one."""

    anchor: Any
    """The certificate to trust, of `cryptography`'s class."""

    @property
    def fingerprint_sha256(self) -> str:
        """SHA-256 of the certificate, "AB:CD:..."."""

    def export(self, kind: str) -> tuple[bytes, str, str]:
        """The certificate in a format: content, media type, file name."""


class Addressed(Protocol):
    """What has an address: the proxy."""

    @property
    def url(self) -> str:
        """Such as `http://127.0.0.1:8080`."""


class Onboarding:
    """Answers requests for the pages.

    Args:
        ca: Whose certificate it offers.
        proxy: Whose address it names if the request does not tell.
    """

    def __init__(self, ca: Authority, proxy: Addressed) -> None:
        self._ca = ca
        self._proxy = proxy

    def respond(self, flow: HTTPFlow) -> Response:
        """The answer to a request, whatever it asks for; a 404 or 405 in the end."""
        method = flow.request.method
        path = flow.request.path.partition("?")[0]
        response = self._find(path, flow)
        if response is None:
            response = _plain(404, "There is no such page. / has all there is.\n")
        elif method not in _METHODS:
            response = _plain(405, "These pages are only read.\n")
            response.headers["allow"] = "GET, HEAD"
        for name, value in _ALWAYS.items():
            response.headers[name] = value
        if method == "HEAD":  # RFC 9110, 9.3.2: the head of the answer to GET, and no body
            response.hold_body(b"")
        return response

    def _find(self, path: str, flow: HTTPFlow) -> Response | None:
        if path == "/":
            page = render(self._facts(flow), flow.request.headers.get("user-agent", ""))
            return Response.make(200, page, {"content-type": "text/html; charset=utf-8"})
        if path == "/proxy.pac":
            _, host, port = self._address(flow)
            code = _PAC % json.dumps(f"PROXY {url.hostport('', host, port)}")
            return Response.make(
                200, code, {"content-type": "application/x-ns-proxy-autoconfig; charset=utf-8"}
            )
        folder, _, kind = path.rpartition("/")
        if folder != "/cert" or kind not in dict(FORMATS):
            return None
        content, media_type, name = self._ca.export(kind)
        disposition = f'attachment; filename="{name}"'
        return Response.make(
            200, content, {"content-type": media_type, "content-disposition": disposition}
        )

    def _facts(self, flow: HTTPFlow) -> Facts:
        anchor = self._ca.anchor
        begin: dt.datetime = anchor.not_valid_before_utc
        end: dt.datetime = anchor.not_valid_after_utc
        address, host, port = self._address(flow)
        exports = {kind: self._ca.export(kind) for kind, _ in FORMATS}
        return Facts(
            url=address,
            host=host,
            port=port,
            name=_common_name(anchor),
            begin=begin,
            end=end,
            sha256=self._ca.fingerprint_sha256,
            # systems find certificates by it; nobody's safety rests on it here
            sha1=hashlib.sha1(exports["cer"][0], usedforsecurity=False).digest().hex(":").upper(),
            files={kind: name for kind, (_, _, name) in exports.items()},
            through=bool(flow.request.authority) or flow.client_conn.tunnel is not None,
        )

    def _address(self, flow: HTTPFlow) -> tuple[str, str, int]:
        """The proxy as this client reaches it: URL, host, port.

        A proxy that listens on every address has no address of its own; the end of the client's
        connection is one that works.
        """
        ours = flow.client_conn.sockname
        if ours is not None:
            host, port = ours[0].removeprefix("::ffff:"), ours[1]
            return f"http://{url.hostport('', host, port)}", host, port
        parts = urlsplit(self._proxy.url)
        return self._proxy.url, parts.hostname or "127.0.0.1", parts.port or 80


def _common_name(certificate: Any) -> str:
    """How lists of certificates call it: its CN, else all of its subject."""
    subject = certificate.subject.rfc4514_string()
    parts = dict(part.partition("=")[::2] for part in subject.split(","))
    return str(parts.get("CN") or subject)


def _plain(status: int, text: str) -> Response:
    return Response.make(status, text, {"content-type": "text/plain; charset=utf-8"})
