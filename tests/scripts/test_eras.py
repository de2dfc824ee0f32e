"""Which era a script is taken for."""

import ast
from textwrap import dedent

import pytest

from nbproxy.scripts import eras
from nbproxy.scripts.eras import Era

# Of an empty filter flowfilter.parse made None until 7; since 8 it raises ValueError.
FILTERS = """
from mitmproxy import ctx, flowfilter
class Filter:
    def load(self, loader): loader.add_option("mine", str, "", "which")
    def configure(self, updated):
        self.filter = {parsed}
    def response(self, flow): print(flowfilter.match(self.filter, flow))
addons = [Filter()]
"""

SHAPES = {
    "A": [
        "def start(ctx): pass\ndef response(ctx, flow): pass",
        "from libmproxy.flow import Response\ndef request(ctx, flow): pass",
        "from netlib.odict import ODictCaseless\ndef request(c, flow): flow.request.reply(None)",
    ],
    "B": [
        'def response(ctx, flow): flow.response.headers["x"] = ["y"]',
        "from libmproxy.protocol.http import decoded\ndef response(ctx, flow): pass",
        "from libmproxy.protocol import KILL\ndef request(ctx, flow): flow.reply(KILL)",
        "def request(ctx, flow):\n    q = flow.request.get_query()\n    flow.request.set_query(q)",
        "def request(context, flow): print(flow.request.pretty_host(hostheader=True))",
    ],
    "C": [
        'def response(context, flow): flow.response.headers["x"] = "y"',
        "from libmproxy.models import HTTPResponse\ndef request(context, flow): pass",
        "from mitmproxy.models import decoded\ndef response(context, flow): pass",
        "from netlib.http import Headers\ndef response(context, flow): pass",
        "def next_layer(context, layer): pass",
        "def response(context, flow): flow.response.status_code = 404",
        "def done(context): pass",
    ],
    "D": [
        "from mitmproxy.models import HTTPResponse\ndef request(flow): pass",
        "from netlib import strutils\ndef response(flow): pass",
        "from mitmproxy.flow import FlowWriter\ndef start(): pass\ndef response(flow): pass",
        "from six.moves import urllib\ndef request(flow): pass",
        "from mitmproxy import master\ndef request(f): master.replay_request(f)",
    ],
    "E": [
        "import sys\ndef start(): pass\ndef response(flow): pass",
        "def start(): return Thing()\nclass Thing:\n    def response(self, flow): pass",
        "def configure(options, updated): pass",
    ],
    "F": [
        "from mitmproxy import http\ndef request(f): f.response = http.HTTPResponse.make(200)",
        "def clientconnect(layer): pass",
        "def m(cs):\n    for c in cs: yield c\ndef responseheaders(f): f.response.stream = m",
        "from mitmproxy.net.http import Headers",
        "from mitmproxy import connections\ndef load(l): pass",
        "from mitmproxy import ctx\ndef request(f):\n    if f.request.is_replay: return",
        FILTERS.format(parsed="flowfilter.parse(ctx.options.mine)"),
    ],
    "G": [
        "from mitmproxy import ctx, http\ndef client_connected(client): ctx.log.info('x')",
        "from mitmproxy import ctx\nclass A:\n    def load(self, l): ctx.log.warn('x')",
    ],
    "H": [
        "def response(flow): flow.response.headers['x'] = 'y'",
        "import logging\nfrom mitmproxy import http\ndef response(flow): logging.info('x')",
        "from mitmproxy.addonmanager import Loader\ndef load(loader: Loader): pass",
        "from mitmproxy import http\ndef request(f): f.response = http.Response.make(200)",
        "def error(self, flow): pass",
        FILTERS.format(parsed="flowfilter.parse(ctx.options.mine or '~all')"),
        FILTERS.format(parsed="flowfilter.parse(ctx.options.mine) if ctx.options.mine else None"),
        FILTERS.format(parsed="ctx.options.mine and flowfilter.parse(ctx.options.mine)"),
        FILTERS.format(parsed="flowfilter.parse('.')"),
        FILTERS.replace('""', '"."').format(parsed="flowfilter.parse(ctx.options.mine)"),
        FILTERS.format(
            parsed="""None
        with suppress(ValueError): self.filter = flowfilter.parse(ctx.options.mine)"""
        ),
    ],
}


@pytest.mark.parametrize(
    ("era", "source"), [(era, source) for era, sources in SHAPES.items() for source in sources]
)
def test_recognition(era, source):
    assert eras.recognise(ast.parse(dedent(source))) == era


@pytest.mark.parametrize(
    ("given", "era"),
    [
        ("0.8", "A"),
        ("0.9.2", "A"),
        ("0.10", "A"),
        ("0.11.3", "B"),
        (0.13, "B"),
        ("v0.14", "C"),
        ("0.17", "C"),
        ("0.18.2", "D"),
        ("1.0", "E"),
        (2, "E"),
        ("3.0.4", "F"),
        ("6", "F"),
        (7, "G"),
        ("8.1.1", "G"),
        ("9.0", "H"),
        ("12.2.3", "H"),
        ("b", "B"),
    ],
)
def test_given_eras(given, era):
    assert eras.parse(given) is Era(era)


@pytest.mark.parametrize("given", ["", "Z", "new", "1.x"])
def test_what_is_no_era(given):
    with pytest.raises(ValueError, match="is no era; give a release such"):
        eras.parse(given)
