"""What mitmproxy itself sees in files of flows; run by the Python of its own environment.

For each file named on the command line one line of JSON: a list of flows, or the error.
"""

import base64
import json
import sys

from mitmproxy import http, io


def text(raw):
    if isinstance(raw, str):  # messages of WebSockets in files of version 7
        raw = raw.encode()
    return None if raw is None else base64.b64encode(raw).decode()


def message(m):
    if m is None:
        return None
    trailers = m.trailers
    if trailers is not None:
        trailers = [[text(n), text(v)] for n, v in trailers.fields]
    return {
        "http_version": m.http_version,
        "headers": [[text(n), text(v)] for n, v in m.headers.fields],
        "content": text(m.raw_content),
        "trailers": trailers,
        "start": m.timestamp_start,
        "end": m.timestamp_end,
    }


def request(r):
    target = {k: getattr(r, k) for k in ("scheme", "host", "port", "authority")}
    # as it stands in the file: the property writes it in capitals
    target["method"] = r.data.method.decode()
    return message(r) | target | {"path": text(r.data.path)}


def response(r):
    return r and message(r) | {"status": r.status_code, "reason": r.reason}


def address(found):
    return list(found[:2]) if found and tuple(found[:2]) != ("", 0) else None


def connection(c):
    found = {
        "id": c.id,
        "peername": address(c.peername),
        "sockname": address(c.sockname),
        "error": c.error,
        "tls": c.tls,
        "start": c.timestamp_start or None,
        "end": c.timestamp_end,
    }
    if c.tls:
        found |= {
            "tls_version": c.tls_version,
            "cipher": c.cipher,
            "alpn": text(c.alpn or None),
            "alpn_offers": [text(o) for o in c.alpn_offers],
            "sni": c.sni,
            "tls_setup": c.timestamp_tls_setup,
            "certificates": [text(cert.to_pem()) for cert in c.certificate_list],
        }
    return found


def websocket(w):
    return w and {
        "messages": [
            [int(m.type), m.from_client, text(m.content), m.timestamp, m.dropped, m.injected]
            for m in w.messages
        ],
        "close": [w.closed_by_client, w.close_code, w.close_reason, w.timestamp_end],
    }


def flow(f):
    server = connection(f.server_conn) | {
        "address": address(f.server_conn.address),
        "via": f.server_conn.via and [f.server_conn.via[0], list(f.server_conn.via[1])],
        "tcp_setup": f.server_conn.timestamp_tcp_setup,
    }
    return {
        "id": f.id,
        "request": request(f.request),
        "response": response(f.response),
        "client": connection(f.client_conn),
        "server": server,
        "websocket": websocket(f.websocket),
        "error": f.error and [f.error.msg, f.error.timestamp],
        "marked": f.marked,
        "comment": f.comment,
        "replay": f.is_replay,
        "intercepted": f.intercepted,
        "created": f.timestamp_created,
        "metadata": f.metadata,
    }


for name in sys.argv[1:]:
    with open(name, "rb") as file:  # noqa: PTH123 - as mitmproxy's own examples
        try:
            found = [flow(f) for f in io.FlowReader(file).stream() if isinstance(f, http.HTTPFlow)]
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shall see it
            found = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(found))
