"""The exceptions that nbproxy raises, and whose fault each one is.

```
NbproxyError
├── ProtocolError            a message broke HTTP's rules
│   ├── LocalProtocolError   ours, or a handler's: what we were asked to send is not sendable
│   └── RemoteProtocolError  the peer's; `status` hints at the answer it deserves
├── ConnectionFailed         nobody answered, or the peer left (`status` hints 502, 504, ...)
├── TLSError                 a handshake or a certificate check failed
├── ConfigError              an option, a file of ours or an address cannot be used
├── FilterError              a filter expression does not parse (`source`, `position`)
├── FormatError              a file of flows is damaged or foreign (`file`, `offset`)
└── ScriptError              a script failed to load (`path`, `line`)
```

Bad arguments stay `ValueError` and `TypeError`. An error keeps fields and words itself in
`__str__`: what happened, where, and what to do next.
"""

from __future__ import annotations


class NbproxyError(Exception):
    """Base of all errors that nbproxy raises on purpose."""


class ProtocolError(NbproxyError):
    """A message that breaks the rules of HTTP.

    Attributes:
        message: What is wrong, in words fit for a log line or an error page.
        status: The status code with which a proxy answers it.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class LocalProtocolError(ProtocolError):
    """We were asked to send something that HTTP does not allow."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that HTTP does not allow."""


class ConnectionFailed(NbproxyError):  # noqa: N818 - says what happened, as ConnectionRefusedError does
    """A connection could not be made, or ended before its time.

    Attributes:
        message: What happened, with the address.
        status: The status code to answer with: 502, 504 on a time-out, 508 for a loop.
        fresh: True while not one byte of a response has come on the connection.
    """

    def __init__(self, message: str, status: int = 502, *, fresh: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.fresh = fresh


class TLSError(NbproxyError):
    """A TLS handshake failed, or a certificate did not pass.

    Attributes:
        message: Which check failed, for which name.
        status: The status code to answer with.
    """

    def __init__(self, message: str, status: int = 502) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class ConfigError(NbproxyError):
    """An option, an address or a file of nbproxy's own cannot be used."""


class FilterError(NbproxyError, ValueError):
    """A filter expression that does not parse.

    Attributes:
        source: The expression.
        position: Index into `source`, 0-based, where the trouble begins.
        problem: What is wrong there.
        hint: What was probably meant, or "".
    """

    def __init__(self, problem: str, source: str, position: int, hint: str = "") -> None:
        super().__init__(problem, source, position, hint)
        self.problem = problem
        self.source = source
        self.position = position
        self.hint = hint

    def __str__(self) -> str:
        shown = self.source.replace("\n", " ").replace("\r", " ").replace("\t", " ")
        text = f"{self.problem}\n  {shown}\n  {' ' * self.position}^"
        return f"{text}\n{self.hint}" if self.hint else text


class FormatError(NbproxyError):
    """A file of flows that is damaged, foreign, or of an unknown version.

    Attributes:
        file: The file's name.
        offset: Byte offset of the damage, or None if unknown.
    """

    def __init__(self, message: str, file: str = "", offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.offset = offset

    def __str__(self) -> str:
        where = f" at byte {self.offset}" if self.offset is not None else ""
        return f"{self.file or 'data'}{where}: {self.message}"


class ScriptError(NbproxyError):
    """A script that cannot be loaded.

    Attributes:
        path: The script's file name.
        line: The line, 1-based, or None.
    """

    def __init__(self, message: str, path: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.line = line

    def __str__(self) -> str:
        where = f", line {self.line}" if self.line is not None else ""
        return f"{self.path or 'script'}{where}: {self.message}"
