"""The notebook's own proxy, on which the module-level names act.

Kept here and not in `nbproxy/__init__.py`, whose globals `%reload_ext` makes anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbproxy.proxy import Proxy

_proxy: Proxy | None = None


def get(*, started: bool = True) -> Proxy:
    """The proxy; made, and started if `started`, when there is none.

    Raises:
        ConfigError: It cannot listen.
    """
    global _proxy  # noqa: PLW0603 - the one place for it
    if _proxy is None:
        from nbproxy.proxy import Proxy  # noqa: PLC0415 - `import nbproxy` stays cheap

        _proxy = Proxy()
    if started:
        _proxy.start()
    return _proxy


def peek() -> Proxy | None:
    """The proxy, or None if there is none yet."""
    return _proxy


def set(proxy: Proxy | None) -> None:  # noqa: A001 - used as `_current.set`
    """Make this the proxy."""
    global _proxy  # noqa: PLW0603 - the one place for it
    _proxy = proxy
