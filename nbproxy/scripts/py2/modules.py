"""Modules as Python 2 had them: old names, and functions that take and give text for bytes."""

from __future__ import annotations

import base64
import binascii
import collections
import configparser
import gzip
import hashlib
import html
import html.parser
import io
import itertools
import json
import pickle
import string
import struct
import subprocess
import types
import urllib.error
import urllib.parse
import urllib.request
import zlib
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from nbproxy.scripts.bytetext import ByteText, data, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self


class _Module(ModuleType):
    """A module with some names of its own; the others are those of a real one."""

    def __init__(self, name: str, own: dict[str, Any], *real: ModuleType) -> None:
        super().__init__(name)
        self.__dict__.update(own)
        self.__real__ = real

    def __getattr__(self, name: str) -> Any:
        for module in self.__real__:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*self.__exports__})

    @property
    def __exports__(self) -> dict[str, Any]:
        """What `import *` gives."""
        found: dict[str, Any] = {}
        for module in reversed(self.__real__):
            names = getattr(module, "__all__", None) or vars(module)
            found.update((n, getattr(module, n)) for n in names if not n.startswith("_"))
        own = vars(self)
        return found | {n: value for n, value in own.items() if not n.startswith("_")}


def _bytewise(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function over bytes that takes text and gives text."""

    def call(*args: Any, **kwargs: Any) -> Any:
        made = function(
            *(_to_bytes(arg) for arg in args), **{n: _to_bytes(v) for n, v in kwargs.items()}
        )
        return _to_text(made)

    call.__name__ = getattr(function, "__name__", "call")
    return call


def _to_bytes(value: Any) -> Any:
    return data(value) if isinstance(value, str) else value


def _to_text(value: Any) -> Any:
    if isinstance(value, bytes):
        return text(value)
    return tuple(map(_to_text, value)) if isinstance(value, tuple) else value


def _wrapped(module: ModuleType, *names: str, **more: Any) -> _Module:
    own = {name: _bytewise(getattr(module, name)) for name in names if hasattr(module, name)}
    return _Module(module.__name__, {**own, **more}, module)


class _Object:
    """An object of bytes, such as a hash: methods take and give text."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        return _bytewise(value) if callable(value) else _to_text(value)


class _Buffer(io.BytesIO):
    """`StringIO.StringIO`: a buffer that takes text and bytes.

    What reads from it and is no converted script (an image library, gzip) wants bytes; a script
    gets what it put in by `getvalue`, as text, so that it can be assigned to `content`.
    """

    def __init__(self, value: Any = b"") -> None:
        super().__init__(_to_bytes(value) or b"")

    def write(self, value: Any) -> int:
        """As `BytesIO.write`; text becomes bytes."""
        return super().write(_to_bytes(value))

    def getvalue(self) -> ByteText:  # type: ignore[override] # its purpose
        """All of it, as text."""
        return text(super().getvalue())


class _StringIO(_Buffer):
    """`StringIO.StringIO` for scripts that read from it themselves: reads give text."""

    def read(self, size: int | None = -1) -> Any:
        """As `BytesIO.read`; text, but for libraries that look for an image's magic bytes."""
        return _Readable(super().read(size))

    def readline(self, size: int | None = -1) -> Any:
        """As `BytesIO.readline`."""
        return _Readable(super().readline(size))


class _Readable(bytes):
    """Bytes that compare, add and search as text does, for whoever has either in mind."""

    __slots__ = ()

    def _text(self) -> ByteText:
        return text(bytes(self))

    def __eq__(self, other: object) -> bool:
        return self._text() == other if isinstance(other, str) else bytes.__eq__(self, other)

    __hash__ = bytes.__hash__

    def __contains__(self, item: Any) -> bool:
        return bytes.__contains__(self, _to_bytes(item))

    def __add__(self, other: Any) -> Any:
        return self._text() + other if isinstance(other, str) else bytes.__add__(self, other)

    def __radd__(self, other: Any) -> Any:
        return other + (bytes(self) if isinstance(other, bytes) else self._text())

    def __str__(self) -> str:
        return str(self._text())

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


for _name in "replace split find index startswith endswith strip lstrip rstrip count".split():  # noqa: SIM905 - reads better

    def _method(self: _Readable, *args: Any, _name: str = _name) -> Any:
        if any(isinstance(arg, str) for arg in args):
            return getattr(self._text(), _name)(*args)
        made = getattr(bytes, _name)(self, *args)
        return _Readable(made) if isinstance(made, bytes) else made

    setattr(_Readable, _name, _method)


def _urlopen(url: Any, data_: Any = None, *args: Any, **kwargs: Any) -> Any:
    response = urllib.request.urlopen(url, _to_bytes(data_), *args, **kwargs)  # noqa: S310 - the script's own business
    return _Response(response)


class _Response:
    """What `urlopen` gives: reads give text, `info()` has Python 2's getters too."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if name in {"read", "readline", "readlines"}:
            return lambda *args: _lines(value(*args))
        return value

    def __iter__(self) -> Any:
        return map(text, self._real)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._real.close()


def _lines(value: Any) -> Any:
    return [text(line) for line in value] if isinstance(value, list) else text(value)


class _Request(urllib.request.Request):
    """`urllib2.Request`: data may be text."""

    def __init__(self, url: str, data: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(url, _to_bytes(data), *args, **kwargs)

    def add_data(self, data: Any) -> None:
        """As in Python 2."""
        self.data = _to_bytes(data)

    def get_data(self) -> Any:
        """As in Python 2."""
        return self.data

    def get_host(self) -> str:
        """As in Python 2."""
        return self.host


def _urllib() -> ModuleType:
    own = {"urlopen": _urlopen, "urlencode": _urlencode}
    return _Module("urllib", own, urllib.parse, urllib.request, urllib.error)


def _urlencode(query: Any, doseq: bool = False) -> str:
    return urllib.parse.urlencode(query, doseq)


def _urllib2() -> ModuleType:
    own = {"urlopen": _urlopen, "Request": _Request, "build_opener": _build_opener}
    return _Module("urllib2", own, urllib.request, urllib.error, urllib.parse)


def _build_opener(*handlers: Any) -> Any:
    opener = urllib.request.build_opener(*handlers)
    plain = opener.open
    opener.open = lambda url, data=None, *args: _Response(plain(url, _to_bytes(data), *args))  # type: ignore[method-assign] # gives text
    return opener


def _hashes() -> ModuleType:
    names = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")

    def make(name: str, value: Any = b"") -> _Object:
        return _Object(hashlib.new(name, _to_bytes(value)))

    own: dict[str, Any] = {name: lambda value=b"", _name=name: make(_name, value) for name in names}
    return _Module("hashlib", {**own, "new": make}, hashlib)


def _hash(name: str, function: str) -> Callable[[], ModuleType]:
    def make_module() -> ModuleType:
        make_hash = getattr(_hashes(), function)
        return _Module(name, {"new": make_hash, name: make_hash})

    return make_module


def _zlib() -> ModuleType:
    return _wrapped(
        zlib,
        *("compress", "decompress", "crc32", "adler32"),
        compressobj=lambda *args: _Object(zlib.compressobj(*args)),
        decompressobj=lambda *args: _Object(zlib.decompressobj(*args)),
    )


def _string() -> ModuleType:
    def method(name: str) -> Callable[..., Any]:
        return lambda value, *args: getattr(value, name)(*args)

    names = "replace split lower upper strip lstrip rstrip find rfind index count ljust rjust zfill"
    own: dict[str, Any] = {name: method(name) for name in names.split()}
    own |= {
        "letters": string.ascii_letters,
        "lowercase": string.ascii_lowercase,
        "uppercase": string.ascii_uppercase,
        "join": lambda words, between=" ": between.join(words),
        "joinfields": lambda words, between=" ": between.join(words),
        "splitfields": lambda value, *args: value.split(*args),
        "maketrans": str.maketrans,
        "atoi": int,
        "atof": float,
    }
    return _Module("string", own, string)


def _itertools() -> ModuleType:
    own = {
        "izip": zip,
        "imap": map,
        "ifilter": filter,
        "izip_longest": itertools.zip_longest,
        "ifilterfalse": itertools.filterfalse,
    }
    return _Module("itertools", own, itertools)


def _types() -> ModuleType:
    own = {
        "StringType": str,
        "UnicodeType": str,
        "StringTypes": (str,),
        "IntType": int,
        "LongType": int,
        "FloatType": float,
        "BooleanType": bool,
        "ListType": list,
        "TupleType": tuple,
        "DictType": dict,
        "NoneType": type(None),
        "FileType": io.IOBase,
        "ClassType": type,
        "TypeType": type,
        "InstanceType": object,
        "ObjectType": object,
    }
    return _Module("types", own, types)


def _json() -> ModuleType:
    def loads(value: Any, encoding: str | None = None, **kwargs: Any) -> Any:  # noqa: ARG001 - Python 2's
        return json.loads(bytes(value) if isinstance(value, ByteText) else value, **kwargs)

    def dumps(value: Any, encoding: str | None = None, **kwargs: Any) -> str:  # noqa: ARG001 - as above
        return json.dumps(value, **kwargs)

    return _Module("json", {"loads": loads, "dumps": dumps}, json)


def _pickle() -> ModuleType:
    def pickled(value: Any, protocol: int = 0) -> ByteText:
        return text(pickle.dumps(value, protocol))

    def restored(value: Any) -> Any:
        return pickle.loads(_to_bytes(value), encoding="latin-1")  # noqa: S301 - the script's own business

    return _Module("pickle", {"dumps": pickled, "loads": restored}, pickle)


class _Popen(subprocess.Popen[Any]):
    """`subprocess.Popen` whose pipes carry text."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("encoding", "utf-8")
        kwargs.setdefault("errors", "surrogateescape")
        super().__init__(*args, **kwargs)


def _subprocess() -> ModuleType:
    def check_output(*args: Any, **kwargs: Any) -> ByteText:
        return text(subprocess.check_output(*args, **kwargs))  # noqa: S603 - the script's own business

    return _Module("subprocess", {"Popen": _Popen, "check_output": check_output}, subprocess)


def _commands() -> ModuleType:
    own = {
        "getoutput": subprocess.getoutput,
        "getstatusoutput": subprocess.getstatusoutput,
    }
    return _Module("commands", own)


def _config() -> ModuleType:
    class SafeConfigParser(configparser.ConfigParser):
        """As in Python 2."""

        def readfp(self, file: Any, filename: str | None = None) -> None:
            """As in Python 2."""
            self.read_file(file, filename)

    own = {"SafeConfigParser": SafeConfigParser, "ConfigParser": SafeConfigParser}
    return _Module("ConfigParser", own, configparser)


def _html_parser() -> ModuleType:
    class HTMLParser(html.parser.HTMLParser):
        """As in Python 2, with `unescape`."""

        def __init__(self) -> None:
            super().__init__(convert_charrefs=False)

        def unescape(self, value: str) -> str:
            """As in Python 2."""
            return html.unescape(value)

    own = {"HTMLParser": HTMLParser, "HTMLParseError": ValueError}
    return _Module("HTMLParser", own, html.parser)


def _gzip() -> ModuleType:
    class GzipFile(gzip.GzipFile):
        """Reads give text, writes take it."""

        def read(self, size: int | None = -1) -> Any:
            """As in Python 2."""
            return text(super().read(size))

        def write(self, value: Any) -> int:
            """As in Python 2."""
            return super().write(_to_bytes(value))

    return _Module("gzip", {"GzipFile": GzipFile}, gzip)


def _struct() -> ModuleType:
    def pack(layout: str, *values: Any) -> ByteText:
        return text(struct.pack(layout, *map(_to_bytes, values)))

    def unpack(layout: str, value: Any) -> Any:
        return _to_text(struct.unpack(layout, _to_bytes(value)))

    return _Module("struct", {"pack": pack, "unpack": unpack}, struct)


def _binary() -> ModuleType:
    names = [n for n in vars(binascii) if callable(getattr(binascii, n)) and n[0].islower()]
    return _wrapped(binascii, *names)


def _base64() -> ModuleType:
    names = [n for n in base64.__all__ if n not in {"encode", "decode"}]
    old = {
        "encodestring": _bytewise(base64.encodebytes),
        "decodestring": _bytewise(base64.decodebytes),
    }
    return _wrapped(base64, *names, **old)


def _urlparse() -> ModuleType:
    return _Module("urlparse", {}, urllib.parse)


MAKERS: Final[dict[str, Callable[[], ModuleType]]] = {
    "urllib": _urllib,
    "urllib2": _urllib2,
    "urlparse": _urlparse,
    "StringIO": lambda: _Module("StringIO", {"StringIO": _StringIO}),
    "cStringIO": lambda: _Module("cStringIO", {"StringIO": _StringIO}),
    "string": _string,
    "itertools": _itertools,
    "types": _types,
    "base64": _base64,
    "binascii": _binary,
    "hashlib": _hashes,
    "md5": _hash("md5", "md5"),
    "sha": _hash("sha", "sha1"),
    "zlib": _zlib,
    "gzip": _gzip,
    "struct": _struct,
    "json": _json,
    "simplejson": _json,
    "pickle": _pickle,
    "cPickle": _pickle,
    "sets": lambda: _Module("sets", {"Set": set, "ImmutableSet": frozenset}, collections),
    "commands": _commands,
    "subprocess": _subprocess,
    "ConfigParser": _config,
    "HTMLParser": _html_parser,
}
"""How each module is made."""


def make(name: str) -> ModuleType:
    """A module of Python 2 by its old name."""
    return MAKERS[name]()
