"""Libraries of this process for which variables are not enough.

* `urllib.request.urlopen` makes its opener at its first call and keeps it, with the proxies of that
  moment. One that it made itself is put aside while a capture is open; one that the user
  installed stays in use.
* aiohttp looks at proxy variables only with `trust_env=True`, and reads certificates when it is
  imported. While a capture is open its requests are given proxy and certificates, unless they,
  their session or their connector name others. The place is `ClientSession._request`, which tools
  that record or replace its requests have used for years.

A library that is imported while a capture is open is changed then.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import ssl
import sys
import urllib.request
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

_AIOHTTP: Final = "aiohttp.client"


class Libraries:
    """Puts libraries onto a capture's route, and back. Not thread-safe: see `process`."""

    def __init__(self) -> None:
        self._opener: Any = None
        self._opener_is_aside = False
        self._aiohttp = _Aiohttp()

    def divert(self, url: str, bundle: str) -> None:
        """From now on, through this proxy, trusting these certificates; also from another route."""
        if not self._opener_is_aside:
            self._opener, self._opener_is_aside = _opener(), True
        if _is_default(_opener()):
            _set_opener(None)
        self._aiohttp.divert(url, bundle)

    def restore(self) -> None:
        """As it was before, but for what the user has changed since."""
        if self._opener_is_aside:
            if _is_default(_opener()):
                _set_opener(self._opener)
            self._opener, self._opener_is_aside = None, False
        self._aiohttp.restore()


# -- urllib


def _opener() -> Any:
    return getattr(urllib.request, "_opener", None)


def _set_opener(opener: Any) -> None:
    urllib.request._opener = opener  # type: ignore[attr-defined] # noqa: SLF001 - what install_opener sets


_DEFAULT_HANDLERS: Final = frozenset(
    (
        "ProxyHandler",
        "UnknownHandler",
        "HTTPHandler",
        "HTTPDefaultErrorHandler",
        "HTTPRedirectHandler",
        "FTPHandler",
        "FileHandler",
        "HTTPErrorProcessor",
        "DataHandler",
        "HTTPSHandler",
    )
)


def _is_default(opener: Any) -> bool:
    """Whether it is none, or one that urlopen itself has made."""
    if opener is None:
        return True
    if type(opener) is not urllib.request.OpenerDirector:
        return False
    if opener.addheaders != urllib.request.OpenerDirector().addheaders:
        return False
    return all(
        type(each).__module__ == "urllib.request" and type(each).__name__ in _DEFAULT_HANDLERS
        for each in vars(opener)["handlers"]
    )


# -- aiohttp


class _Aiohttp:
    """aiohttp's requests, led through the proxy."""

    def __init__(self) -> None:
        self._url = self._bundle = ""
        self._context: ssl.SSLContext | None = None
        self._session: Any = None
        self._original: Callable[..., Any] | None = None
        self._replacement: Callable[..., Any] | None = None
        self._late = _Late(_AIOHTTP, self._patch)

    def divert(self, url: str, bundle: str) -> None:
        if (url, bundle) != (self._url, self._bundle):
            self._url, self._bundle, self._context = url, bundle, None
        module = sys.modules.get(_AIOHTTP)
        if module is not None:
            self._patch(module)
        elif self._late not in sys.meta_path:
            sys.meta_path.insert(0, self._late)

    def restore(self) -> None:
        if self._late in sys.meta_path:
            sys.meta_path.remove(self._late)
        session, self._session = self._session, None
        if session is not None and vars(session).get("_request") is self._replacement:
            session._request = self._original  # noqa: SLF001 - see the top
        self._url = self._bundle = ""
        self._context = self._original = self._replacement = None

    def _patch(self, module: ModuleType) -> None:
        session = getattr(module, "ClientSession", None)
        original = getattr(session, "_request", None)
        if self._session is not None or original is None:
            return

        @functools.wraps(original)
        async def request(self_: Any, method: Any, url: Any, **settings: Any) -> Any:
            __tracebackhide__ = True  # IPython then shows the user's lines and aiohttp's, not ours
            self._direct(module, self_, url, settings)
            return await original(self_, method, url, **settings)

        self._session, self._original, self._replacement = session, original, request
        session._request = request  # type: ignore[union-attr] # noqa: SLF001 - see the top

    def _direct(self, module: ModuleType, session: Any, url: Any, settings: dict[str, Any]) -> None:
        """Give a request our proxy and certificates, where it has none of its own."""
        connector = getattr(session, "connector", None)
        if not self._url or not isinstance(connector, getattr(module, "TCPConnector", ())):
            return
        given = settings.get("proxy") or getattr(session, "_default_proxy", None)
        if not given and not session.trust_env and not _is_bypassed(session, url):
            settings["proxy"] = self._url
        if getattr(connector, "_ssl", True) is True and _verifies_as_usual(settings):
            if self._context is None:
                self._context = ssl.create_default_context(cafile=self._bundle)
            settings["ssl"] = self._context


def _verifies_as_usual(settings: dict[str, Any]) -> bool:
    """Whether a request says nothing about certificates, in today's words and in older ones."""
    older = ("verify_ssl", "ssl_context", "fingerprint")
    return settings.get("ssl", True) is True and all(settings.get(n) is None for n in older)


def _is_bypassed(session: Any, url: Any) -> bool:
    """Whether no_proxy names the host."""
    host = getattr(session._build_url(url), "raw_host", None)  # noqa: SLF001 - with its base_url
    return bool(host and urllib.request.proxy_bypass(host))


# -- imports while a capture is open


class _Late(importlib.abc.MetaPathFinder):
    """Calls back once a module was imported."""

    def __init__(self, name: str, callback: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._callback = callback
        self._searching = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's own spec, with a loader that calls back."""
        if fullname != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        loader: Any = spec.loader if spec is not None else None
        if loader is None:
            return None
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            self._callback(module)

        loader.exec_module = exec_module
        return spec
