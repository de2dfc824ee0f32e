"""Environment variables that send clients through a proxy, and let them trust its CA.

Two uses: all variables for what a capture starts (`captured`), and those to type into a terminal
(`exports`). Which client looks at what:

| client | proxy | certificates |
|---|---|---|
| requests, niquests | http_proxy, ... | REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE |
| httpx, urllib, aiohttp (`trust_env=True`), most of Python | http_proxy, ... | SSL_CERT_FILE |
| curl, R | http_proxy, HTTPS_PROXY, ... (never HTTP_PROXY) | CURL_CA_BUNDLE, SSL_CERT_FILE |
| wget | http_proxy, https_proxy | ca_certificate in its settings |
| git | as curl, unless `http.proxy` is configured | GIT_SSL_CAINFO |
| pip, uv, conda, poetry | http_proxy, ... | PIP_CERT, SSL_CERT_FILE, REQUESTS_CA_BUNDLE |
| boto3, the AWS command | http_proxy, ... | AWS_CA_BUNDLE |
| Google's Cloud SDK, httplib2 | http_proxy, ... | CLOUDSDK_..._CERTS_FILE, HTTPLIB2_CA_CERTS |
| Node, npm, Bun, Deno | HTTPS_PROXY, ... and NODE_USE_ENV_PROXY | NODE_EXTRA_CA_CERTS, DENO_CERT |
| cargo | https_proxy, HTTP_PROXY | CARGO_HTTP_CAINFO |
| Go, Ruby, .NET and others that use OpenSSL's defaults | http_proxy, ... | SSL_CERT_FILE |
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROXY: Final = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
NO_PROXY: Final = ("no_proxy", "NO_PROXY")

TRUST: Final = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "DENO_CERT",
    "CARGO_HTTP_CAINFO",
    "HTTPLIB2_CA_CERTS",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "NIX_SSL_CERT_FILE",
)
"""Each names a file of CA certificates in PEM form."""

# From Node 22.21 and 24 on; older ones ignore the proxy variables.
_NODE: Final = {"NODE_USE_ENV_PROXY": "1"}

# A client's own setting that counts more than the variables above: ours only where it is set.
_STRONGER: Final = ("PIP_PROXY", "npm_config_proxy", "npm_config_https_proxy", "CARGO_HTTP_PROXY")

_LOOPBACK_NAMES: Final = frozenset(("localhost", "localhost.localdomain", "<local>"))


def exports(url: str, bundle: str, wget: str) -> dict[str, str]:
    """Variables for a terminal.

    Args:
        url: The proxy's address.
        bundle: File of CA certificates, ours among them.
        wget: File of settings for wget.
    """
    return {
        **dict.fromkeys(PROXY, url),
        **dict.fromkeys(TRUST, bundle),
        "SYSTEM_WGETRC": wget,
        **_NODE,
    }


def captured(
    url: str, bundle: str, wget: str, environ: Mapping[str, str], no_proxy: str | None = None
) -> dict[str, str | None]:
    """Variables while a capture is open; None for those that must not be set.

    Args:
        url: The proxy's address, with the capture's credentials.
        bundle: File of CA certificates, ours among them.
        wget: File of settings for wget.
        environ: What is set otherwise.
        no_proxy: The hosts to leave alone; by default those that `environ` names, but for
            loopback ones, which most machines name without anybody's wish.
    """
    result: dict[str, str | None] = dict(exports(url, bundle, wget))
    # git asks curl to try without credentials first, and nobody asks for them (CURLAUTH_ANY)
    result["GIT_HTTP_PROXY_AUTHMETHOD"] = "basic"
    # gRPC needs HTTP/2, which the proxy does not speak: empty, this keeps it away from http_proxy
    result["grpc_proxy"] = environ.get("grpc_proxy", "")
    result.update(_git_settings(url, environ))
    result.update((name, url) for name in _STRONGER if environ.get(name))
    for name in NO_PROXY:
        given = without_loopback(environ.get(name, "")) if no_proxy is None else no_proxy
        result[name] = given or None
    return result


def _git_settings(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Settings from variables count more than those of files (git 2.31), where a proxy may be."""
    given = environ.get("GIT_CONFIG_COUNT") or "0"
    if not given.isdecimal():
        return {}
    return {
        "GIT_CONFIG_COUNT": str(int(given) + 1),
        f"GIT_CONFIG_KEY_{given}": "http.proxy",
        f"GIT_CONFIG_VALUE_{given}": url,
    }


def without_loopback(no_proxy: str) -> str:
    """The list without the entries that stand for this machine."""
    return ",".join(entry for entry in _entries(no_proxy) if not _is_loopback(entry))


def entry_for(no_proxy: str, host: str, port: int) -> str | None:
    """The entry that keeps clients from using a proxy for a host, None if none does.

    An entry is "*", a name (that of the host or of a domain it is in, with or without a dot before
    it), an address, or a network ("10.0.0.0/8"), perhaps with a port. Clients differ in details;
    this is what most of them do.
    """
    name = host.strip("[]").rstrip(".").lower()
    for entry in _entries(no_proxy):
        given, only_port = _split_port(entry.lower())
        if only_port is not None and only_port != port:
            continue
        domain = given.strip("[]").lstrip("*").lstrip(".").rstrip(".")
        if given == "*" or (domain and (name == domain or name.endswith(f".{domain}"))):
            return entry
        if _is_in_network(name, domain):
            return entry
    return None


def _entries(no_proxy: str) -> Iterator[str]:
    return (entry for part in no_proxy.split(",") for entry in part.split())


def _split_port(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    is_port = colon and port.isdecimal() and (":" not in host or host.endswith("]"))
    return (host, int(port)) if is_port else (entry, None)


def _is_loopback(entry: str) -> bool:
    host = _split_port(entry.lower())[0].strip("[]").lstrip("*").lstrip(".")
    if host in _LOOPBACK_NAMES:
        return True
    try:
        network = ipaddress.ip_network(host, strict=False)
    except ValueError:
        return False
    return network.is_loopback or host == "0.0.0.0"  # noqa: S104 - compared, not bound


def _is_in_network(name: str, network: str) -> bool:
    try:
        return "/" in network and ipaddress.ip_address(name) in ipaddress.ip_network(
            network, strict=False
        )
    except ValueError:
        return False
