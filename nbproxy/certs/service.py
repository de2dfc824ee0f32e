"""Both sides of TLS for one proxy, as the engine asks for them."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nbproxy.certs.certificate import names_of
from nbproxy.certs.explain import explain, explain_client
from nbproxy.certs.leaf import LeafCertificates
from nbproxy.certs.trust import peer_chain, upstream_context
from nbproxy.errors import NbproxyError, TLSError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from nbproxy.certs.ca import CertificateAuthority
    from nbproxy.options import Options


class TLSService:
    """Leaves for clients, trust for servers; satisfies the engine's two contracts.

    Args:
        ca: Signs the leaves; never trusted upstream.
        options: `ssl_insecure` and `ssl_verify_upstream_trusted_ca` are read at each use.
    """

    def __init__(self, ca: CertificateAuthority, options: Options) -> None:
        self.ca = ca
        self._options = options
        self._contexts: dict[tuple[bool, str | None], ssl.SSLContext] = {}

    @cached_property
    def _leaves(self) -> LeafCertificates:
        return LeafCertificates(self.ca)

    # -- clients

    def context_for(
        self,
        host: str,
        *,
        sni: str | None = None,
        upstream_names: Sequence[str] = (),
        organization: str | None = None,
    ) -> ssl.SSLContext:
        """A server's context with a leaf for these names; see `LeafCertificates`."""
        return self._leaves.context_for(
            host, sni=sni, upstream_names=upstream_names, organization=organization
        )

    def names_in(self, der: bytes) -> tuple[Sequence[str], str | None]:
        """The names and the organization in a certificate; nothing if it is garbage."""
        return _names_of(der)

    def explain_client(self, error: Exception, name: str) -> str:
        """Why TLS with a client failed that asked for this name."""
        return explain_client(_as_os_error(error), name, self.ca)

    # -- servers

    def context(self) -> ssl.SSLContext:
        """A client's context, as the options say now; kept, since making one is slow.

        Raises:
            ConfigError: The file of CA certificates cannot be used.
        """
        options = self._options
        key = (options.ssl_insecure, options.ssl_verify_upstream_trusted_ca)
        context = self._contexts.get(key)
        if context is None:
            trusted = Path(key[1]) if key[1] is not None else None
            context = upstream_context(insecure=key[0], trusted_ca=trusted, refuse=self.ca)
            self._contexts = {key: context}
        return context

    def chain(self, tls: ssl.SSLObject) -> list[bytes]:
        """The certificates that the server has shown."""
        return peer_chain(tls)

    def check(self, chain: Sequence[bytes], host: str) -> None:
        """Refuse servers that show a certificate of our own CA: a loop, or a stolen key.

        Raises:
            TLSError: This one does.
        """
        if not self._options.ssl_insecure and self.ca.has_signed(*chain):
            raise TLSError(
                f"The certificate of {host} is signed by this proxy's own CA, which is never "
                "trusted for servers."
            )

    def explain(self, error: Exception, host: str, chain: Sequence[bytes]) -> str:
        """Which check failed, and for which name."""
        if isinstance(error, NbproxyError):
            return str(error)
        return explain(_as_os_error(error), host, chain)


# asked at each CONNECT, for the same few servers
_names_of = lru_cache(maxsize=1000)(names_of)


def _as_os_error(error: Exception) -> OSError:
    return error if isinstance(error, OSError) else ConnectionResetError(str(error))
