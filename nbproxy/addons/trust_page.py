"""The page that offers the CA, as HTML: one file, no script, nothing fetched from anywhere.

Everything that is filled in is escaped here. `CONTENT_SECURITY_POLICY` allows this page's own
style sheet and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbproxy.addons.trust_guide import FORMATS, PLATFORMS, PROGRAMS, Platform, Program

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

_STYLE = """\
:root{color-scheme:light dark;--ink:#1f2328;--faint:#59636e;--paper:#fff;--panel:#f4f6f8;
--line:#d8dee4;--link:#0969da;--accent:#1a7f37}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--faint:#9198a1;--paper:#0d1117;
--panel:#171c23;--line:#30363d;--link:#58a6ff;--accent:#3fb950}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2.5rem 1.25rem 4rem;max-width:46rem;background:var(--paper);
color:var(--ink);font:16px/1.55 system-ui,sans-serif}
h1{font-size:1.75rem;margin:0 0 .25rem}
h2{font-size:1.15rem;margin:2.25rem 0 .75rem}
p{margin:.5rem 0}
a{color:var(--link)}
.lead{color:var(--faint);margin-bottom:1.5rem}
.lead b{color:var(--accent)}
code,pre{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
background:var(--panel);border-radius:5px}
code{padding:.1em .35em;overflow-wrap:anywhere}
pre{padding:.7rem .9rem;margin:.5rem 0;overflow-x:auto;border:1px solid var(--line)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1rem;margin:0}
dt{color:var(--faint)}
dd{margin:0;min-width:0;overflow-wrap:anywhere}
.get{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.6rem;
list-style:none;padding:0;margin:0}
.get a{display:block;height:100%;padding:.6rem .8rem;border:1px solid var(--line);
border-radius:8px;background:var(--panel);text-decoration:none}
.get a:hover,.get a:focus{border-color:var(--link)}
.get span{display:block;font-size:.85rem;color:var(--faint)}
details{border:1px solid var(--line);border-radius:8px;margin:.5rem 0}
summary{cursor:pointer;padding:.6rem .9rem;font-weight:600}
details>div{padding:0 .9rem .7rem}
ol,ul{margin:.25rem 0;padding-left:1.4rem}
li{margin:.35rem 0}
.get li{margin:0}
.undo{border-top:1px solid var(--line);margin-top:.8rem;padding-top:.5rem}
.note{color:var(--faint);font-size:.9rem}
footer{margin-top:2.5rem;padding-top:.75rem;border-top:1px solid var(--line);
color:var(--faint);font-size:.85rem}
"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>nbproxy: trust this proxy's certificate</title>
<style>{style}</style>
</head>
<body>
<h1>nbproxy</h1>
<p class="lead">{lead}</p>
<p>This proxy shows its owner what passes through it. To look into HTTPS it signs certificates of
its own, so programs and browsers refuse it until they trust the certificate authority (CA) below.
It was made for this installation alone, and its key never leaves the machine the proxy runs
on.</p>
<h2>The certificate</h2>
<dl>
<dt>Name</dt><dd>{name}</dd>
<dt>Valid</dt><dd>{begin:%Y-%m-%d} to {end:%Y-%m-%d}</dd>
<dt>SHA-256</dt><dd><code>{sha256}</code></dd>
<dt>SHA-1</dt><dd><code>{sha1}</code></dd>
</dl>
<p class="note">Compare the SHA-256 with what <code>%nbproxy ca</code> prints in the notebook before
you trust it. Whoever has the CA's key can read and change the HTTPS traffic of all who trust it:
trust it on machines and browser profiles of your own, and no longer than you need.</p>
<h2>Download</h2>
<ul class="get">
{downloads}</ul>
<h2>Trust it, and remove it again</h2>
{platforms}<h2>Programs, without installing anything</h2>
<p>Fetch the certificate once: <code>curl -o {pem} {url}/cert/pem</code>. In the notebook itself it
is <code>nbproxy.ca_file</code>, and the proxy is <code>nbproxy.proxies</code>.</p>
{programs}<h2>A whole device, by a PAC file</h2>
<p>Where a device takes an address for automatic configuration, give it
<code>{url}/proxy.pac</code>: all its HTTP and HTTPS then goes through this proxy.</p>
<footer>To remove every trace: undo the steps above where you trusted it, and delete the folder with
the CA, which <code>%nbproxy ca</code> names. The next start then makes a new CA.</footer>
</body>
</html>
"""

_digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_digest}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page says of this very proxy.

    Attributes:
        url: The proxy's address as its clients use it.
        host: Host of that.
        port: Port of that.
        name: How the CA is called in lists of certificates.
        begin: Since when its certificate is valid.
        end: Until when.
        sha256: "AB:CD:...".
        sha1: The same, by the older hash.
        files: Kind of download to name of the file.
        through: Whether the page was asked for through the proxy.
    """

    url: str
    host: str
    port: int
    name: str
    begin: dt.datetime
    end: dt.datetime
    sha256: str
    sha1: str
    files: Mapping[str, str]
    through: bool


def render(facts: Facts, user_agent: str) -> str:
    """The page, with the instructions for this browser open."""
    here = _recognize(user_agent)
    if facts.through:
        lead = f"<b>This browser goes through the proxy</b> at {_code(facts.url)}."
    else:
        lead = f"This is an intercepting proxy. Clients use it as {_code(facts.url)}."
    escaped = {name: html.escape(value) for name, value in _values(facts).items()}
    return _PAGE.format(
        style=_STYLE,
        lead=lead,
        name=escaped["name"],
        begin=facts.begin,
        end=facts.end,
        sha256=html.escape(facts.sha256),
        sha1=html.escape(facts.sha1),
        pem=escaped["pem"],
        url=escaped["url"],
        downloads="".join(
            f'<li><a href="/cert/{kind}">{html.escape(facts.files[kind])}'
            f"<span>{html.escape(purpose)}</span></a></li>\n"
            for kind, purpose in FORMATS
        ),
        platforms="".join(_platform(each, facts, each is here) for each in PLATFORMS),
        programs="".join(_program(each, facts) for each in PROGRAMS),
    )


def _recognize(user_agent: str) -> Platform | None:
    return next((p for p in PLATFORMS if any(part in user_agent for part in p.agents)), None)


def _values(facts: Facts) -> dict[str, str]:
    return {
        "url": facts.url,
        "host": facts.host,
        "port": str(facts.port),
        "name": facts.name,
        "sha1": facts.sha1.replace(":", ""),
        **facts.files,
    }


def _fill(text: str, facts: Facts) -> str:
    values = _values(facts)
    return re.sub(r"@(\w+)@", lambda match: values[match[1]], text)


def _platform(platform: Platform, facts: Facts, is_open: bool) -> str:
    link = f'<a href="/cert/{platform.kind}">{html.escape(facts.files[platform.kind])}</a>'
    return (
        f"<details{' open' if is_open else ''}><summary>{html.escape(platform.name)}</summary>"
        f"<div><p>The file for it is {link}.</p><ol>{_steps(platform.trust, facts)}</ol>"
        f'<div class="undo"><b>To remove it again</b><ul>{_steps(platform.remove, facts)}</ul>'
        "</div></div></details>\n"
    )


def _program(program: Program, facts: Facts) -> str:
    note = f'<p class="note">{_text(program.note, facts)}</p>' if program.note else ""
    return (
        f"<details><summary>{html.escape(program.name)}</summary>"
        f"<div>{_pre(program.code, facts)}{note}</div></details>\n"
    )


def _steps(text: str, facts: Facts) -> str:
    """The paragraphs as items of a list; code belongs to the one before."""
    items: list[str] = []
    for paragraph in text.strip("\n").split("\n\n"):
        if paragraph.startswith(" "):
            items[-1] += _pre(textwrap.dedent(paragraph), facts)
        else:
            items.append(_text(paragraph, facts))
    return "".join(f"<li>{item}</li>" for item in items)


def _pre(lines: str, facts: Facts) -> str:
    return f"<pre>{html.escape(_fill(lines.strip(), facts))}</pre>"


def _text(text: str, facts: Facts) -> str:
    """A paragraph; what stands between backquotes is code."""
    parts = _fill(text, facts).split("`")
    return "".join(_code(part) if i % 2 else html.escape(part) for i, part in enumerate(parts))


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"
