"""How commands reach the inspector while the kernel is busy.

A message from the browser to the kernel waits while a cell runs; "a cell calls, the user edits the
request that is held and presses resume" is what an inspector is for. So there are three ways, and a
command may come by all of them:

1. the widget's comm, always tried;
2. the same by way of a subshell (ipykernel 7): JupyterLab sends comm messages there by itself, but
   the kernel leads them back to the main shell; `Inspector` undoes that;
3. this: a POST to the proxy's own port, which lives on while cells block. From a page on the same
   machine directly, else through jupyter-server-proxy, which is on the same machine.

Who may come in: a loopback peer that knows the token, a random one that the browser got over the
kernel's own channel and that is in no notebook. Against pages that somebody lures the browser to,
which do not know the token anyway: the Origin must be on this machine, or be the very host that the
Jupyter server was asked by (RFC 6454), and a Host that is neither loopback nor forwarded by
jupyter-server-proxy is refused, so that a name cannot be rebound to us.
"""

from __future__ import annotations

import hmac
import json
import secrets
import weakref
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from nbproxy.engine.door import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.model.connection import Address
    from nbproxy.model.headers import Fields
    from nbproxy.proxy import Proxy

    Deliver = Callable[[Any], None]

TOKEN_FIELD: Final = "x-nbproxy-token"  # noqa: S105 - the name of the field

_LOOPBACK_NAMES: Final = frozenset(("localhost", "127.0.0.1", "::1"))
_LOOPBACK_PEERS: Final = ("127.", "::1", "::ffff:127.")
_JSON: Final = "application/json"


class Control:
    """The door of one proxy, for all inspectors that use it."""

    def __init__(self, proxy: Proxy) -> None:
        self.token = secrets.token_urlsafe(32)
        self._proxy = weakref.ref(proxy)
        self._inspectors: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()

    def add(self, session: str, inspector: Any) -> None:
        """Let messages for this session reach an inspector's `deliver`, while it exists."""
        self._inspectors[session] = inspector

    def access(self, session: str) -> dict[str, Any] | None:
        """What the browser must know to come in; None while the proxy is stopped."""
        proxy = self._proxy()
        if proxy is None or not proxy.running:
            return None
        return {"port": proxy.port, "path": f"{PREFIX.decode()}{session}", "token": self.token}

    def __call__(
        self, method: bytes, path: bytes, fields: Fields, body: bytes, peer: Address | None
    ) -> tuple[int, Fields]:
        """Answer a request: the engine's `Door`."""
        named = {n.decode("latin-1").lower(): v.decode("latin-1").strip() for n, v in fields}
        origin = named.get("origin", "")
        if not _is_here(peer) or not self._is_allowed(named, origin):
            return 403, ()
        allow = _allowing(origin, named)
        if method == b"OPTIONS":
            return 204, allow
        if method != b"POST":
            return 405, ((b"allow", b"POST, OPTIONS"), *allow)
        if not hmac.compare_digest(named.get(TOKEN_FIELD, "").encode(), self.token.encode()):
            return 403, allow
        if named.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
            return 415, allow
        inspector = self._inspectors.get(path.decode("latin-1"))
        if inspector is None:
            return 404, allow
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            return 400, allow
        inspector.deliver(message)
        return 204, allow

    def _is_allowed(self, named: dict[str, str], origin: str) -> bool:
        """Whether Host and Origin are those of a page that may speak to us."""
        host, asked = _hostname(f"//{named.get('host', '')}"), _hostname(origin)
        if not host or not asked:
            return False
        if host in _LOOPBACK_NAMES and asked in _LOOPBACK_NAMES:
            return True
        proxy = self._proxy()
        forwarded = named.get("x-forwarded-prefix", named.get("x-proxycontextpath", ""))
        through_jupyter = proxy is not None and forwarded.rstrip("/").endswith(f"/{proxy.port}")
        return through_jupyter and (asked == host or host in _LOOPBACK_NAMES)


def _is_here(peer: Address | None) -> bool:
    return peer is not None and peer[0].startswith(_LOOPBACK_PEERS)


def _hostname(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _allowing(origin: str, named: dict[str, str]) -> Fields:
    """What lets a page of that origin, and no other, read our answer (Fetch, 3.2)."""
    allow: list[tuple[bytes, bytes]] = [
        (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
        (b"access-control-allow-methods", b"POST"),
        (b"access-control-allow-headers", f"content-type, {TOKEN_FIELD}".encode()),
        (b"access-control-max-age", b"600"),
        (b"vary", b"origin"),
        (b"cache-control", b"no-store"),
    ]
    if "access-control-request-private-network" in named:
        allow.append((b"access-control-allow-private-network", b"true"))
    return tuple(allow)


_controls: weakref.WeakKeyDictionary[Proxy, Control] = weakref.WeakKeyDictionary()


def control_of(proxy: Proxy) -> Control:
    """The door of a proxy; made, and put there, at the first call."""
    found = _controls.get(proxy)
    if found is None:
        found = _controls[proxy] = Control(proxy)
        proxy.set_door(found)
    return found
