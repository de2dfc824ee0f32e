"""What we see in files of flows, in the same words as `mitmproxy_view`."""

import base64

from nbproxy.formats import mitm
from nbproxy.formats.pem import pem_of


def text(raw):
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
    target = {k: getattr(r, k) for k in ("method", "scheme", "host", "port", "authority")}
    return message(r) | target | {"path": text(r.path.encode("utf-8", "surrogateescape"))}


def response(r):
    return r and message(r) | {"status": r.status_code, "reason": r.reason}


def address(found):
    return list(found) if found else None


def connection(c):
    found = {
        "id": mitm.connection_id(c),
        "peername": address(c.peername),
        "sockname": address(c.sockname),
        "error": c.error,
        "tls": c.tls,
        "start": c.timestamp_start,
        "end": c.timestamp_end,
    }
    if c.tls:
        found |= {
            "tls_version": c.tls_version,
            "cipher": c.cipher,
            "alpn": text(c.alpn.encode()) if c.alpn else None,
            "alpn_offers": [text(o.encode()) for o in c.alpn_offers],
            "sni": c.sni,
            "tls_setup": c.timestamp_tls_setup,
            "certificates": [text(pem_of(der)) for der in c.certificate_list],
        }
    return found


def websocket(w):
    return w and {
        "messages": [
            [m.type, m.from_client, text(m.content), m.timestamp, m.dropped, m.injected]
            for m in w.messages
        ],
        "close": [w.closed_by_client, w.close_code, w.close_reason, w.timestamp_end],
    }


def flow(f):
    metadata = dict(f.metadata)
    server = connection(f.server_conn) | {
        "address": address(f.server_conn.address),
        "via": f.server_conn.via and [f.server_conn.via[0], list(f.server_conn.via[1])],
        "tcp_setup": f.server_conn.timestamp_tcp_setup,
    }
    return {
        "id": metadata.pop("original_id", None),
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
        "metadata": metadata,
    }
