"""The pages by which the proxy itself answers: short, readable, inert."""

from __future__ import annotations

import html

from nbproxy.model.message import Response
from nbproxy.model.reasons import REASONS

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{status} {reason}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44em;margin:4em auto;padding:0 1em;
color:#222;background:#fff}}h1{{font-size:1.4em}}code{{background:#eee;padding:.1em .3em}}
footer{{color:#666;font-size:.85em;border-top:1px solid #ddd;margin-top:2em;padding-top:.5em}}
@media(prefers-color-scheme:dark){{body{{color:#ddd;background:#1b1b1b}}code{{background:#333}}}}
</style><h1>{status} {reason}</h1><p>{message}</p>{advice}<footer>nbproxy</footer></html>
"""


def error_response(status: int, message: str, advice: str = "") -> Response:
    """An error page as a response; both texts are escaped here."""
    page = _PAGE.format(
        status=status,
        reason=html.escape(REASONS.get(status, "Error")),
        message=html.escape(message),
        advice=f"<p>{html.escape(advice)}</p>" if advice else "",
    )
    return Response.make(
        status,
        page.encode("utf-8", "replace"),
        {"content-type": "text/html; charset=utf-8", "cache-control": "no-store"},
    )
