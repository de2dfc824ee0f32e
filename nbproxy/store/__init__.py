"""Keeping flows: recording, bodies on disk, the live view and the DataFrame."""

from nbproxy.store.store import Store
from nbproxy.store.view import Flows

__all__ = ["Flows", "Store"]
