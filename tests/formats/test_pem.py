import ssl

import pytest

from nbproxy.formats.pem import der_of, looks_like_certificate, pem_of
from tests.support.origins import issue


def test_both_ways():
    issued = issue("example.org")
    der = issued.der
    assert looks_like_certificate(der)
    assert der_of(pem_of(der)) == der
    assert pem_of(der) == issued.pem.split(b"-----END CERTIFICATE-----\n")[0] + (
        b"-----END CERTIFICATE-----\n"
    )
    assert ssl.PEM_cert_to_DER_cert(pem_of(der).decode()) == der


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"junk",
        b"-----BEGIN CERTIFICATE-----\nAAAA",
        b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate(pem):
    with pytest.raises(ValueError, match="certificate"):
        der_of(pem)


@pytest.mark.parametrize(
    ("der", "good"),
    [
        (b"", False),
        (b"junk", False),
        (b"\x30\x02ab", True),
        (b"\x30\x03ab", False),
        (b"\x30\x82\x00\x02ab", True),
        (b"\x30\x82\x00\x02abc", False),
        (b"\x30\x80ab", False),
        (b"\x30\xff" + b"a" * 200, False),
    ],
)
def test_one_whole_sequence(der, good):
    assert looks_like_certificate(der) is good
