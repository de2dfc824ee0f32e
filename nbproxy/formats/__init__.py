"""Flows in files: mitmproxy's format of every version, HAR, and requests as commands and code.

| module | reads | writes |
|---|---|---|
| `mitm` | mitmproxy 0.8 to 12 | the current version |
| `har` | HAR 1.1 and 1.2, plain, zlib, gzip, zip | HAR 1.2 |
| `curl`, `python_code` | | one request as a command, as code |

`files` finds out which format a file is in, and is what the rest of the package uses. A reader
gives flows one by one and raises `FormatError` where a file is damaged, after the flows before that
place; nothing else ever comes out of a file, whatever stands in it. Readers and writers tell
`Notes` what they had to leave out.
"""

from __future__ import annotations

from nbproxy.formats.curl import curl_command
from nbproxy.formats.files import (
    SUFFIXES,
    Format,
    Paths,
    detect,
    find,
    open_flows,
    read_files,
    read_flows,
    save_flows,
)
from nbproxy.formats.notes import Notes
from nbproxy.formats.python_code import httpx_code, requests_code

__all__ = [
    "SUFFIXES",
    "Format",
    "Notes",
    "Paths",
    "curl_command",
    "detect",
    "find",
    "httpx_code",
    "open_flows",
    "read_files",
    "read_flows",
    "requests_code",
    "save_flows",
]
