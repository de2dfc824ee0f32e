"""What the local site serves: its pages, pictures and data, as plain values.

Nothing here knows of sockets; `site_server` puts it on the wire.
"""

from __future__ import annotations

import math
import struct
import zlib

INDEX = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>The Teapot Shop</title>
<link rel="stylesheet" href="/style.css">
<script src="/app.js" defer></script>
</head>
<body>
<h1>The Teapot Shop</h1>
<p><img src="/image.png" width="64" height="64" alt="a gradient">
<img src="/photo.svg" width="64" height="64" alt="a teapot"></p>
<p id="users">Loading the customers</p>
<form action="/submit" method="post">
<label>Name <input name="name" value="Ada"></label>
<label>Teapots <input name="teapots" type="number" value="1"></label>
<button>Order</button>
</form>
<p>
<a href="/api/users?page=1">users</a>
<a href="/slow?seconds=1">slow</a>
<a href="/error">error</a>
</p>
</body>
</html>
"""

STYLE = """body { font-family: sans-serif; margin: 2rem auto; max-width: 40rem; color: #223 }
h1 { color: #a52 }
"""

SCRIPT = """fetch("/api/users?page=1")
  .then(answer => answer.json())
  .then(page => {
    document.querySelector("#users").textContent = `${page.total} happy customers`;
  });
"""

PHOTO = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
<path d="M14 30h30c0 14-5 22-15 22S14 44 14 30z" fill="#a52"/>
<path d="M44 34c10-2 10 12-3 12" fill="none" stroke="#a52" stroke-width="3"/>
<path d="M14 36 4 26" stroke="#a52" stroke-width="4"/>
<circle cx="29" cy="25" r="3" fill="#523"/>
</svg>
"""

ANSWER = ("A", " proxy", " in", " a", " note", "book", " sees", " all", " that", " passes", ".")
"""The tokens of `/events`, as a language model would stream them."""

_FIRST = (
    "Ada",
    "Alan",
    "Barbara",
    "Donald",
    "Edsger",
    "Frances",
    "Grace",
    "Ken",
    "Margaret",
    "Tim",
)
_LAST = ("Lovelace", "Turing", "Liskov", "Knuth", "Dijkstra")
_POTS = ("Brown Betty", "Kyusu", "Samovar", "Utah", "Yixing", "Cadogan")
USER_COUNT = 42
PAGE_SIZE = 10


def user(number: int) -> dict[str, object] | None:
    """One customer, or None where there is none of that number."""
    if not 1 <= number <= USER_COUNT:
        return None
    first = _FIRST[number % len(_FIRST)]
    last = _LAST[number // len(_FIRST) % len(_LAST)]
    return {
        "id": number,
        "name": f"{first} {last}",
        "email": f"{first}.{last}@shop.test".lower(),
        "teapots": number * 7 % 5,
    }


def orders(number: int) -> dict[str, object] | None:
    """What a customer has ordered, or None where there is none of that number."""
    if user(number) is None:
        return None
    items = [
        {
            "sku": f"T{each % len(_POTS):02d}",
            "name": _POTS[each % len(_POTS)],
            "count": each % 3 + 1,
            "price": 9.5 + each % 7 * 4,
            "gift_for": None if each % 4 else _FIRST[each % len(_FIRST)],
        }
        for each in range(number, number + 1 + number % 4)
    ]
    return {"user": number, "items": items}


def orders_wait_s(number: int) -> float:
    """How long the shop looks for a customer's orders: for some much longer."""
    return 0.45 if number % 5 == 0 else 0.01 + number % 7 * 0.005


def users_page(page: int) -> dict[str, object] | None:
    """A page of customers with a link to the next, or None past the end."""
    pages = math.ceil(USER_COUNT / PAGE_SIZE)
    if not 1 <= page <= pages:
        return None
    first = (page - 1) * PAGE_SIZE + 1
    last = min(first + PAGE_SIZE - 1, USER_COUNT)
    return {
        "page": page,
        "pages": pages,
        "total": USER_COUNT,
        "next": f"/api/users?page={page + 1}" if page < pages else None,
        "users": [user(number) for number in range(first, last + 1)],
    }


def png(size: int = 64) -> bytes:
    """A square RGB gradient as a PNG file (PNG specification, third edition, 5 and 9)."""
    step = 255 // (size - 1)
    rows = b"".join(
        b"\0" + b"".join(bytes((x * step, y * step, 160)) for x in range(size)) for y in range(size)
    )
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", header)
        + _png_chunk(b"IDAT", zlib.compress(rows, 9))
        + _png_chunk(b"IEND", b"")
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
