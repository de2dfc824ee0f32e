"""`exceptions` of era C, and the errors of the modules before it."""

# ruff: noqa: N818, D101 - the era's names say it all

from __future__ import annotations


class ProxyException(Exception):
    """Base of all."""

    def __init__(self, message: object = None) -> None:
        super().__init__(message if message is not None else "")


class Kill(ProxyException): ...


class ProtocolException(ProxyException): ...


class TlsProtocolException(ProtocolException): ...


class ClientHandshakeException(TlsProtocolException):
    def __init__(self, message: object = None, server: object = None) -> None:
        super().__init__(message)
        self.server = server


class Socks5ProtocolException(ProtocolException): ...


class HttpProtocolException(ProtocolException): ...


class Http2ProtocolException(ProtocolException): ...


class ServerException(ProxyException): ...


class ContentViewException(ProxyException): ...


class ReplayException(ProxyException): ...


class ScriptException(ProxyException): ...


class FlowReadException(ProxyException): ...


class ControlException(ProxyException): ...


class ProxyError(Exception):
    """`libmproxy.proxy.ProxyError` of eras A and B."""

    def __init__(self, code: int = 502, message: str = "", headers: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers


class NetlibException(Exception):
    """Base of netlib's."""


class HttpException(NetlibException): ...


class TcpException(NetlibException): ...


class TlsException(NetlibException): ...


EXCEPTIONS = {
    kind.__name__: kind
    for kind in (
        *(ProxyException, Kill, ProtocolException, TlsProtocolException, ServerException),
        *(ClientHandshakeException, Socks5ProtocolException, HttpProtocolException),
        *(Http2ProtocolException, ContentViewException, ReplayException, ScriptException),
        *(FlowReadException, ControlException),
    )
}
NETLIB_EXCEPTIONS = {
    kind.__name__: kind for kind in (NetlibException, HttpException, TcpException, TlsException)
}
