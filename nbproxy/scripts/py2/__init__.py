"""What Python 2 had and Python 3 has not, for converted scripts only.

Converted source imports from here by name: builtins (`unicode`, `xrange`, a `map` that gives a
list), the functions that operators became (`_py2_div`), and modules under their old names
(`urllib2`, `StringIO`, a `base64` that takes and gives text). Modules are made when first asked
for.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from nbproxy.scripts.py2 import builtin, modules

if TYPE_CHECKING:
    from types import ModuleType

_made: dict[str, ModuleType] = {}
_lock = threading.RLock()  # scripts may import in several threads


def __getattr__(name: str) -> Any:
    if name in builtin.NAMES:
        return builtin.NAMES[name]
    if name in modules.MAKERS:
        with _lock:
            if name not in _made:
                _made[name] = modules.make(name)
            return _made[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
