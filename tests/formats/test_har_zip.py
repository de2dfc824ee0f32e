import io
import zipfile

import pytest

from nbproxy.errors import FormatError
from nbproxy.formats.har_zip import unzip


def zipped(members, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def test_members():
    har, others = unzip(zipped([("har.har", b"{}"), ("a.bin", b"abc")]), 1000)
    assert har == b"{}"
    assert {name: read() for name, read in others.items()} == {"a.bin": b"abc"}


def test_the_bound_holds_for_all_members_together():
    members = [("har.har", b"{}"), ("a.bin", b"a" * 600), ("b.bin", b"b" * 600)]
    _, others = unzip(zipped(members), 1000)
    assert len(others["a.bin"]()) == 600
    with pytest.raises(FormatError, match="more than 1000 bytes"):
        others["b.bin"]()
    with pytest.raises(FormatError, match="more than 1 bytes"):
        unzip(zipped(members), 1)


def test_any_flipped_bit():
    good = zipped([("har.har", b'{"log": {}}'), ("a.bin", b"abc" * 20)])
    for place in range(len(good)):
        raw = bytearray(good)
        raw[place] ^= 1 << (place % 8)
        try:
            _, others = unzip(bytes(raw), 10_000)
            for read in others.values():
                read()
        except FormatError:
            pass
