"""`python -m nbproxy`: the command line."""

from __future__ import annotations

import sys

from nbproxy.cli import main

sys.exit(main())
