"""`mitmproxy.exceptions` of 0.18 to 12: one tree, with all names that it ever had."""

from __future__ import annotations

from typing import Any, Final

from nbproxy.scripts import settings
from nbproxy.scripts.compat import dumps, flows
from nbproxy.scripts.compat.master import ReplayException

_TREE: Final = {
    "MitmproxyException": "Exception",
    "ProxyException": "MitmproxyException",
    "ProtocolException": "ProxyException",
    "HttpException": "MitmproxyException",
    "HttpSyntaxException": "HttpException",
    "HttpReadDisconnect": "HttpException",
    "HttpProtocolException": "ProtocolException",
    "Http2ProtocolException": "ProtocolException",
    "Http2ZombieException": "ProtocolException",
    "ServerException": "ProxyException",
    "Socks5ProtocolException": "ProtocolException",
    "TlsException": "MitmproxyException",
    "TlsProtocolException": "ProtocolException",
    "ClientHandshakeException": "TlsProtocolException",
    "InvalidServerCertificate": "TlsProtocolException",
    "InvalidCertificateException": "TlsException",
    "TcpException": "MitmproxyException",
    "TcpDisconnect": "TcpException",
    "TcpReadIncomplete": "TcpException",
    "TcpTimeout": "TcpException",
    "NetlibException": "MitmproxyException",
    "ContentViewException": "ProxyException",
    "ScriptException": "ProxyException",
    "AddonManagerError": "MitmproxyException",
    "AddonHalt": "MitmproxyException",
    "TypeError": "MitmproxyException",
    "Kill": "Exception",
}


def _exceptions() -> dict[str, Any]:
    made: dict[str, type[Exception]] = {
        "Exception": Exception,
        "FlowReadException": dumps.FlowReadException,
        "ControlException": flows.ControlException,
        "ReplayException": ReplayException,
        "OptionsError": settings.OptionsError,
        "CommandError": settings.CommandError,
    }
    for name, parent in _TREE.items():
        made[name] = type(name, (made[parent],), {"__module__": "mitmproxy.exceptions"})
    del made["Exception"]
    return dict(made)


EXCEPTIONS: Final = _exceptions()
"""By name."""
