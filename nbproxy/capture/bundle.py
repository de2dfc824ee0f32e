"""Files that clients are pointed at by variables: CA certificates, and settings of wget.

A variable such as SSL_CERT_FILE replaces a client's certificates, it adds none. So the file holds
what clients would have trusted without it, and our CA: traffic that does not come through the
proxy is verified as before. It lies beside the CA's certificate, readable by everybody (programs
run by another user need it too), and is written again when one of its sources has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from nbproxy.capture.environment import TRUST
from nbproxy.certs.files import write_public

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME: Final = "nbproxy-bundle.pem"
WGET_NAME: Final = "nbproxy-wgetrc"

# Where systems keep theirs, if OpenSSL's own idea of it leads nowhere: Debian and Alpine, Fedora
# and RHEL, SUSE, and macOS with the BSDs.
_KNOWN: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----"
)
_MAX_SOURCE: Final = 16 * 2**20  # bytes; bundles have a quarter of a megabyte
_WGETRC: Final = ("/etc/wgetrc", "/usr/local/etc/wgetrc", "/opt/homebrew/etc/wgetrc")


class Authority(Protocol):
    """The proxy, as far as its CA goes."""

    @property
    def confdir(self) -> Path:
        """The folder of its CA."""
        ...

    @property
    def ca_file(self) -> str:
        """Its CA's certificate."""
        ...


def files_for(proxy: Authority, environ: Mapping[str, str]) -> tuple[str, str]:
    """The paths of a file of CA certificates, the proxy's among them, and of settings for wget.

    Args:
        proxy: Whose CA is to be trusted.
        environ: The variables without ours.

    Raises:
        ConfigError: One of them cannot be written.
    """
    folder = proxy.confdir.expanduser()
    path = ca_bundle(folder, proxy.ca_file, sources(environ, TRUST))
    return path, wget_settings(folder, path, environ)


def sources(environ: Mapping[str, str], names: Iterable[str]) -> list[Path]:
    """The files whose certificates clients trust, as far as they exist.

    Args:
        environ: The variables without ours.
        names: Variables of clients that name such files.
    """
    paths = ssl.get_default_verify_paths()
    found = [environ.get(name) for name in names]
    found += [paths.openssl_cafile, *_KNOWN]
    with contextlib.suppress(ImportError):
        found.append(importlib.import_module("certifi").where())
    unique = {os.path.realpath(each): None for each in found if each}
    return [path for path in map(Path, unique) if path.is_file()]


def ca_bundle(folder: Path, ca_file: str, trusted: Iterable[Path]) -> str:
    """The path of a PEM file with the certificates of these files and of our CA.

    Args:
        folder: Where it lies.
        ca_file: Our CA's certificate.
        trusted: The other files; one that cannot be read is left out.

    Raises:
        ConfigError: It cannot be written.
    """
    files = [Path(ca_file), *(path for path in trusted if path.name != NAME)]
    state = _state(files)
    path = folder / NAME
    if not _is_of(path, state):
        write_public(path, b"# %b\n# Made by nbproxy; do not edit.\n%b" % (state, _pem(files)))
    return str(path)


def wget_settings(folder: Path, bundle: str, environ: Mapping[str, str]) -> str:
    """The path of settings for wget, which looks at no variable for its certificates.

    They take the place of the system's (SYSTEM_WGETRC) and hold those as well; the user's own
    come after both.
    """
    given = environ.get("SYSTEM_WGETRC")
    system = next((p for p in map(Path, [given] if given else _WGETRC) if p.is_file()), None)
    text = b""
    if system is not None and system.name != WGET_NAME:
        text = system.read_bytes().rstrip() + b"\n"
    text += b"ca_certificate = %b\n" % os.fsencode(bundle)
    path = folder / WGET_NAME
    if not path.is_file() or path.read_bytes() != text:
        write_public(path, text)
    return str(path)


def _state(files: Iterable[Path]) -> bytes:
    """What must be the same for a bundle to be still right."""
    marks = []
    for path in files:
        try:
            facts = path.stat()
        except OSError:
            continue
        marks.append(f"{path}\0{facts.st_mtime_ns}\0{facts.st_size}")
    return hashlib.sha256("\n".join(marks).encode("utf-8", "surrogateescape")).hexdigest().encode()


def _is_of(path: Path, state: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.readline(200) == b"# %b\n" % state
    except OSError:
        return False


def _pem(files: Iterable[Path]) -> bytes:
    """Their certificates, each once, ours first."""
    found: dict[bytes, None] = {}
    for path in files:
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_SOURCE)
        except OSError:
            continue
        for body in _CERTIFICATE.findall(data):
            found[b"".join(body.split())] = None
    return b"".join(
        b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----\n" % b"\n".join(_lines(body))
        for body in found
    )


def _lines(body: bytes) -> list[bytes]:
    return [body[start : start + 64] for start in range(0, len(body), 64)]
