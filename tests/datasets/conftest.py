"""Files of flows to scan, made anew for each test."""

import pytest

from nbproxy import saved
from nbproxy.model.headers import Headers
from tests.bench.reading import flow


def flow_to(number, host=None, day=0, **how):
    """A flow as a page makes it; `day` counts from 2023-11-14."""
    made = flow(number)
    made.request.headers = Headers([("Host", "x"), ("X-Odd", b"caf\xe9"), ("X-Odd", "2")])
    if host is not None:
        made.request.host = host
    for message in (made.request, made.response):
        message.timestamp_start += day * 86400
        message.timestamp_end += day * 86400
    for name, value in how.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def captures(tmp_path):
    """A capture of 25 flows, a mitmproxy file of 5, a HAR of 4."""
    saved.save([flow_to(n) for n in range(25)], tmp_path / "a.nbproxy")
    saved.save([flow_to(100 + n) for n in range(5)], tmp_path / "b.mitm")
    saved.save([flow_to(200 + n) for n in range(4)], tmp_path / "c.har")
    return tmp_path


@pytest.fixture
def script(tmp_path):
    """A classic script that changes a header, and counts in its own partition."""
    path = tmp_path / "tag script.py"
    path.write_text(
        "def start(context, argv):\n"
        "    context.word, context.count = argv[1], 0\n"
        "def response(context, flow):\n"
        "    context.count += 1\n"
        '    flow.response.headers["x-tag"] = ["%s %d" % (context.word, context.count)]\n'
        'def done(context): print "that is all"\n'
    )
    return path
