"""The rules of HAR 1.2, checked on whole documents: required fields, types, sums."""

from datetime import datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest

ENTRY = {"startedDateTime": str, "time": float, "request": dict, "response": dict, "cache": dict}
COMMON = {"httpVersion": str, "cookies": list, "headers": list, "headersSize": int, "bodySize": int}
REQUEST = COMMON | {"method": str, "url": str, "queryString": list}
RESPONSE = COMMON | {"status": int, "statusText": str, "content": dict, "redirectURL": str}
CONTENT = {"size": int, "mimeType": str}
PAIR = {"name": str, "value": str}
PHASES = ("blocked", "dns", "connect", "send", "wait", "receive")


def has(found, wanted, optional=()):
    for name, kind in wanted.items():
        kinds = (int, float) if kind is float else kind
        assert isinstance(found[name], kinds), (name, found[name])
    for name in found:
        assert name.startswith("_") or name in wanted or name in optional, name


def check_message(message, wanted, optional):
    has(message, wanted, (*optional, "comment"))
    for header in message["headers"]:
        has(header, PAIR)
    for cookie in message["cookies"]:
        has(cookie, PAIR, ("path", "domain", "expires", "httpOnly", "secure", "sameSite"))
        if "expires" in cookie:
            datetime.fromisoformat(cookie["expires"])


def check_timings(entry):
    timings = entry["timings"]
    assert set(timings) == {*PHASES, "ssl"}
    for name in ("send", "wait", "receive"):
        assert timings[name] >= 0, name
    assert all(value >= 0 or value == -1 for value in timings.values())
    applying = [timings[name] for name in PHASES if timings[name] >= 0]
    assert entry["time"] == pytest.approx(sum(applying))
    assert timings["ssl"] <= max(timings["connect"], -1)


def check_content(response):
    content = response["content"]
    has(content, CONTENT, ("compression", "text", "encoding", "comment"))
    if "compression" in content and response["status"] != 304:
        assert content["compression"] == content["size"] - response["bodySize"]
    if "encoding" in content:
        assert content["encoding"] == "base64"


def check(document):
    """Raises AssertionError where a document breaks a rule."""
    assert set(document) == {"log"}
    log = document["log"]
    has(log, {"version": str, "creator": dict, "pages": list, "entries": list})
    assert log["version"] == "1.2"
    has(log["creator"], {"name": str, "version": str})
    started = [entry["startedDateTime"] for entry in log["entries"]]
    assert started == sorted(started)
    for entry in log["entries"]:
        has(entry, ENTRY, ("timings", "serverIPAddress", "connection", "comment"))
        assert datetime.fromisoformat(entry["startedDateTime"]).tzinfo is not None
        check_timings(entry)
        if "serverIPAddress" in entry:
            ip_address(entry["serverIPAddress"])
        request, response = entry["request"], entry["response"]
        check_message(request, REQUEST, ("postData",))
        parts = urlsplit(request["url"])
        assert parts.scheme in {"http", "https"}
        assert not parts.fragment
        for item in request["queryString"]:
            has(item, PAIR)
        if "postData" in request:
            posted = request["postData"]
            has(posted, {"mimeType": str, "text": str}, ("params",))
            for param in posted.get("params", ()):
                has(param, PAIR, ("fileName", "contentType"))
        check_message(response, RESPONSE, ())
        check_content(response)
