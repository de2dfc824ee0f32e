"""Ordinary clients that go through a proxy and trust its CA."""

from __future__ import annotations

import ssl
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.proxies import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy import Proxy


def through(proxy: Proxy, **options: Any) -> httpx.Client:
    """A client for HTTP and HTTPS; no variable of the environment changes it."""
    trust = ssl.create_default_context(cafile=proxy.ca_file)
    settings = {"proxy": proxy.url, "verify": trust, "trust_env": False, "timeout": PATIENCE_S}
    return httpx.Client(**{**settings, **options})


def through_async(proxy: Proxy) -> httpx.AsyncClient:
    """The same for coroutines."""
    trust = ssl.create_default_context(cafile=proxy.ca_file)
    return httpx.AsyncClient(proxy=proxy.url, verify=trust, trust_env=False, timeout=PATIENCE_S)


def aside(work: Callable[[], Any]) -> Future[Any]:
    """Do something in a thread of its own; the result, or what it raised."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
