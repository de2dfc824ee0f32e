"""Which views fit a body, and making them.

What a body says of itself comes first, what it looks like second. Any view can be asked for of any
body: what cannot be read is said in the notes, with the text or the bytes in its place. Views that
scripts add (`nbproxy.contentviews.added`) say themselves how well they fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nbproxy.contentviews import (
    cbor,
    graphql,
    hexdump,
    images,
    items,
    json_tree,
    markup,
    msgpack,
    protobuf,
    tables,
    tokens,
)
from nbproxy.contentviews.added import ADDED
from nbproxy.contentviews.body import MAX_WHOLE, Body, looks_like_text
from nbproxy.contentviews.building import TreeBuilder
from nbproxy.contentviews.shown import Eyes, size_text
from nbproxy.contentviews.view import MAX_LIMIT, MIN_LIMIT, View
from nbproxy.model import charset
from nbproxy.model.escape import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbproxy.contentviews.added import AddedView
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Message

    Draw = Callable[[Body, Eyes, int, int], View]

ALWAYS: Final = ("text", "hex", "raw")
#: Bytes of binary formats that are read.
MAX_BINARY: Final = 2**20
_GUESSED: Final = 64 * 1024  # bytes of a body that are looked at to guess a binary format
_LEAD: Final = 4096
_MAX_MARKS: Final = 400_000
_MAX_SEARCHED: Final = 256 * 1024  # bytes that are looked through for secrets as a whole

# Subtypes, and what they end with after a plus sign, to views.
_BY_TYPE: Final = {
    "json": "json",
    "ndjson": "json",
    "x-ndjson": "json",
    "jsonl": "json",
    "json-seq": "json",
    "graphql": "graphql",
    "graphql-response": "json",
    "xml": "xml",
    "html": "html",
    "css": "css",
    "javascript": "javascript",
    "x-javascript": "javascript",
    "ecmascript": "javascript",
    "x-www-form-urlencoded": "form",
    "form-data": "multipart",
    "event-stream": "events",
    "protobuf": "protobuf",
    "x-protobuf": "protobuf",
    "vnd.google.protobuf": "protobuf",
    "x-google-protobuf": "protobuf",
    "proto": "protobuf",
    "msgpack": "msgpack",
    "x-msgpack": "msgpack",
    "vnd.msgpack": "msgpack",
    "cbor": "cbor",
    "cose": "cbor",
    "jwt": "jwt",
}


def names(message: Message | Body, *, flow: HTTPFlow | None = None) -> list[str]:
    """The views that fit a body, the best first; "text", "hex" and "raw" are always among them.

    So are all views that scripts have added, unless the body is empty: those that fit before
    others, the rest at the end. To ask these may take seconds, if a script's code does.

    Args:
        message: A request or response; or a `Body`, for bytes from elsewhere.
        flow: The flow of the message, for views of scripts that look at it.
    """
    body = message if isinstance(message, Body) else Body.of(message, flow)
    return _names(body, ADDED.views(_TAKEN))


def render(
    message: Message | Body,
    view: str = "auto",
    *,
    offset: int = 0,
    limit: int = 65_536,
    reveal: bool = False,
    flow: HTTPFlow | None = None,
) -> View:
    """A part of a view of a body. Whatever the body holds, this gives a view.

    Args:
        message: A request or response; or a `Body`, for bytes from elsewhere.
        view: One of `names(message)`, "auto" for the first of them, or any other of `VIEWS`; that
            of a script in whatever case.
        offset: Where the part begins, as `next_offset` of the part before says.
        limit: Characters of the part, roughly; 256 to 1,048,576.
        reveal: Whether secrets are shown.
        flow: As in `names`.

    Raises:
        ValueError: There is no such view.
    """
    body = message if isinstance(message, Body) else Body.of(message, flow)
    added = ADDED.views(_TAKEN)
    if view == "auto":
        view = _names(body, added)[0]
    draw = VIEWS.get(view)
    if draw is None:
        view = next((name for name in added if name.lower() == view.lower()), view)
        if view not in added:
            known = ", ".join([*VIEWS, *added])
            raise ValueError(f"there is no view {view!r:.60}; there are auto, {known}")
        draw = _added(added[view])
    eyes = Eyes(reveal)
    offset = max(0, offset)
    limit = max(MIN_LIMIT, min(limit, MAX_LIMIT))
    try:
        found = draw(body, eyes, offset, limit)
    except ValueError as error:
        problem = f"It cannot be shown as {view}: {eyes.text(str(error), 300)}."
        found = replace(_text(body, eyes, offset, limit), problem=problem)
    except OSError as error:
        problem = f"The body cannot be read any more: {eyes.text(str(error), 300)}."
        found = View("text", problem=problem)
    notes = [*([found.problem] if found.problem else []), *body.notes]
    if not body.size and found.kind != "table":
        notes = notes or ["No body."]
    elif not body.is_whole and view not in ALWAYS and found.kind != "image":
        notes.append(
            f"Only the first {size_text(len(body.data))} of {size_text(body.size)} were read for "
            "this view; text and hex show all."
        )
    return replace(found, name=view, notes=(*notes, *found.notes), total_bytes=body.size)


# -- what fits


def _names(body: Body, added: Mapping[str, AddedView]) -> list[str]:
    own = _built_in(body)
    if not added or not body.size:
        return own
    ratings = {name: view.rate(body) for name, view in added.items()}
    best = sorted(ratings, key=lambda name: -ratings[name])
    first = [name for name in best if ratings[name] >= 1]
    fair = [name for name in best if 0 < ratings[name] < 1]
    general = next(index for index, name in enumerate(own) if name in ALWAYS)
    shown = [*first, *own[:general], *fair, *own[general:]]
    return [*shown, *(name for name in best if name not in shown)]


def _built_in(body: Body) -> list[str]:
    found = list(dict.fromkeys(_fitting(body)))
    if not body.size:
        return [*found, *ALWAYS]
    first = ("text", "hex") if body.is_text else ("hex", "text")
    return [*found, *first, "raw", *(["query"] if body.query else [])]


def _fitting(body: Body) -> list[str]:
    found: list[str] = []
    main, _, sub = body.media_type.partition("/")
    if images.media_type(body.data):
        found.append("image")
    if body.size and body.is_text:
        found += _fitting_text(body)
    if body.size:
        if sub.startswith(("grpc", "connect+proto")):
            found.append("grpc")
        declared = _BY_TYPE.get(sub) or _BY_TYPE.get(sub.rpartition("+")[2])
        if declared == "json":
            found += ["json", "json source"]
        elif declared is not None:
            found.append(declared)
        elif main in ("", "application") and not found and not body.is_text:
            found += _guessed(body)
    if body.query:
        graph = any(name == "query" and graphql.is_document(text) for name, text in body.query)
        found += ["graphql"] if graph and not body.size else []
        found += [] if body.size else ["query"]
    return found


def _fitting_text(body: Body) -> list[str]:
    """Views of a text by what it looks like, where that says more than its type."""
    head = body.data[:65_536].lstrip(b"\xef\xbb\xbf \t\r\n")
    sub = body.media_type.partition("/")[2]
    plain = sub in ("", "plain", "octet-stream", "x-www-form-urlencoded", "json") or "json" in sub
    if head[:1] in (b"{", b"[") and plain:
        is_form = body.media_type == "application/x-www-form-urlencoded"  # what curl -d says
        looks = ["json", "json source"] if not is_form or head[1:2] in b'"{[' else []
        return ["graphql", *looks] if graphql.is_request(body.text) else looks
    if head[:1] == b"<" and ("xml" in sub or plain):
        return ["html" if _is_html(head) else "xml"]
    if plain and "json" not in sub and tokens.is_jwt(body.text):
        return ["jwt"]
    if plain and sub in ("", "plain", "octet-stream") and tokens.is_base64(body.text):
        return ["base64"]
    return []


def _is_html(head: bytes) -> bool:
    start = head[:200].lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<div", b"<p"))


def _guessed(body: Body) -> list[str]:
    """Binary formats that a body without a telling type could be in."""
    data = body.data[:_GUESSED]
    if protobuf.is_grpc(data, len(data)) and data[5:6] != b"\0":
        return ["grpc"]
    nothing = Eyes()
    if len(data) == body.size:
        for name, item, starts in (
            ("msgpack", msgpack.item, (*range(0x81, 0x90), *range(0x91, 0xA0), *range(0xDC, 0xE0))),
            ("cbor", cbor.item, (*range(0x81, 0xC0), 0xD9)),
        ):
            values, notes = (
                items.read(data, item, TreeBuilder(nothing, len(data) + 1, 0))
                if data[0] in starts
                else (0, [])
            )
            if values == 1 and not notes:
                return [name]
    reader = protobuf.Reader(TreeBuilder(nothing, 0, 0))
    return ["protobuf"] if data and reader.is_message(data, 0, len(data)) else []


# -- text and bytes


def _window(text: str, eyes: Eyes, offset: int, limit: int, body: Body, syntax: str) -> View:
    """A part of a text that is held as a whole. Offsets are those of the masked text."""
    # Masking takes its time for each quote and tag: of a text of little else, the part alone.
    heavy = text.count('"') + text.count("<") > _MAX_MARKS
    shown = text if heavy else eyes.mask(text, body.media_type)
    end = min(len(shown), offset + limit)
    if end < len(shown):  # better between lines
        line = shown.rfind("\n", offset + limit // 2, end)
        end = line + 1 if line > 0 else end
    part = shown[offset:end]
    if heavy:
        before, after = text[max(0, offset - _LEAD) : offset], text[end : end + _LEAD]
        part = eyes.window(before, part, after, body.media_type)
    return View(
        "text",
        source=visible(part, len(part), multiline=True),
        syntax=syntax,
        offset=offset,
        next_offset=end if end < len(shown) else None,
        total=len(shown),
    )


def _text(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
    if body.is_whole:
        return _window(body.text, eyes, offset, limit, body, _syntax(body))
    return _large_text(body, eyes, offset, limit)


def _large_text(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
    """A part of a text that is too large to be held. Offsets are in bytes."""
    codec = body.codec
    if codec.startswith(("utf_16", "utf_32")):
        offset -= offset % 4
        limit -= limit % 4
    start = max(0, offset - _LEAD)
    raw = body.part(start, offset + limit + _LEAD)
    cut = offset - start
    end = min(len(raw), cut + limit)
    if start + end < body.size:
        line = raw.rfind(b"\n", cut + limit // 2, end)
        if line > 0 and not codec.startswith(("utf_16", "utf_32")):
            end = line + 1
        else:  # not in the middle of a character
            while codec.startswith("utf-8") and cut < end - 4 and raw[end] & 0xC0 == 0x80:
                end -= 1
    before, part, after = (
        piece.decode(codec, "replace") for piece in (raw[:cut], raw[cut:end], raw[end:])
    )
    shown = eyes.window(before, part, after, body.media_type)
    stop = start + end
    return View(
        "text",
        source=visible(shown, len(shown), multiline=True),
        offset=offset,
        next_offset=stop if stop < body.size and end > cut else None,
        total=body.size,
        unit="bytes",
    )


def _syntax(body: Body) -> str:
    sub = body.media_type.partition("/")[2]
    known = _BY_TYPE.get(sub) or _BY_TYPE.get(sub.rpartition("+")[2], "")
    return known if known in ("json", "xml", "html", "css", "javascript", "graphql") else ""


def _hex(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
    return _bytes(body, eyes, offset, limit, body.part, body.size)


def _bytes(
    body: Body,
    eyes: Eyes,
    offset: int,
    limit: int,
    part: Callable[[int, int], bytes],
    size: int,
) -> View:
    offset -= offset % hexdump.BYTES_IN_LINE
    count = max(1, limit // 4 // hexdump.BYTES_IN_LINE) * hexdump.BYTES_IN_LINE
    is_small = body.size <= _MAX_SEARCHED and size <= _MAX_SEARCHED
    lead = max(0, offset - _LEAD)
    search_all = is_small or part != body.part  # what is coded holds its secrets anywhere
    around = body.data if search_all else body.part(lead, offset + count + _LEAD)
    end = min(size, offset + count)
    following = end if end < size else None
    if eyes.holds_secrets(around, body.media_type) or eyes.holds_secrets(b'"' + around):
        note = "There are secrets in it; reveal them to see the bytes."
        return View("hex", offset=offset, total=size, unit="bytes", notes=(note,))
    return View(
        "hex",
        source=hexdump.dump(part(offset, end), offset),
        offset=offset,
        next_offset=following,
        total=size,
        unit="bytes",
    )


def _raw(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
    """The body as it was sent: text as it is, anything else and what is coded as bytes."""
    raw = body.raw
    if raw is not None:
        view = _bytes(body, eyes, offset, limit, lambda start, stop: raw[start:stop], len(raw))
        return replace(view, notes=(*view.notes, f"As sent: {size_text(len(raw))}, coded."))
    draw = _text if looks_like_text(body.data) else _hex
    return replace(draw(body, eyes, offset, limit), syntax="")


# -- source


def _source(syntax: str) -> Draw:
    def draw(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
        text = body.text
        if syntax in ("xml", "html"):
            text = markup.indented(text.removeprefix("\ufeff"), html=syntax == "html")
        elif syntax == "json":
            text = json_tree.indented(text.removeprefix("\ufeff"))
        return _window(text, eyes, offset, limit, body, syntax)

    return draw


# -- trees


def _tree(read: Callable[[Body, TreeBuilder, Eyes], list[str]]) -> Draw:
    def draw(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
        builder = TreeBuilder(eyes, offset, limit)
        notes = read(body, builder, eyes)
        root = builder.finish()
        return View(
            "tree",
            root=root,
            offset=offset,
            next_offset=builder.next_offset,
            total=builder.seen,
            unit="nodes",
            notes=tuple(notes),
        )

    return draw


def _binary(body: Body) -> bytes:
    if len(body.data) > MAX_BINARY:
        note = f"Read as far as {size_text(MAX_BINARY)}."
        body.notes += [note] if note not in body.notes else []
    return body.data[:MAX_BINARY]


def _json(body: Body, builder: TreeBuilder, eyes: Eyes) -> list[str]:
    del eyes
    return json_tree.read(body.text, builder)


def _graphql(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
    text = body.text
    is_document = "graphql" in body.media_type and "json" not in body.media_type
    if is_document or (body.size and not text.lstrip("\ufeff \t\r\n").startswith(("{", "["))):
        return _window(graphql.pretty(text), eyes, offset, limit, body, "graphql")
    return _tree(_graphql_tree)(body, eyes, offset, limit)


def _graphql_tree(body: Body, builder: TreeBuilder, eyes: Eyes) -> list[str]:
    del eyes
    builder.rewrite = graphql.rewrite
    if body.size:
        return json_tree.read(body.text, builder)
    notes = []
    builder.open("object")
    for name, value in body.query:
        builder.key(name)
        if name in ("variables", "extensions"):
            notes += json_tree.read(value, builder)
            while builder.depth > 1:
                builder.close()
        else:
            builder.leaf("string", value, lines=True)
    builder.close()
    return notes


def _items(item: Callable[[bytes, int], items.Item]) -> Draw:
    def read(body: Body, builder: TreeBuilder, eyes: Eyes) -> list[str]:
        del eyes
        return items.read(_binary(body), item, builder)[1]

    return _tree(read)


def _protobuf(body: Body, builder: TreeBuilder, eyes: Eyes) -> list[str]:
    del eyes
    data = _binary(body)
    builder.open("message")
    notes = protobuf.Reader(builder).read(data, 0, len(data))
    return ["Read without a schema: names are not known, and types are guessed.", *notes]


def _grpc(body: Body, builder: TreeBuilder, eyes: Eyes) -> list[str]:
    del eyes
    data = _binary(body)
    if "grpc-web-text" in body.media_type:
        data = tokens.decode(data.decode("latin-1"))
    return protobuf.read_grpc(data, body.headers.get("grpc-encoding", ""), builder)


def _jwt(body: Body, builder: TreeBuilder, eyes: Eyes) -> list[str]:
    return tokens.read_jwt(body.text, builder, reveal=eyes.reveal)


def _base64(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
    """What is coded, in the view that fits it best."""
    inner = Body(tokens.decode(body.text[:MAX_WHOLE]))
    fitting = [name for name in _built_in(inner) if name not in ("base64", "raw")]
    view = VIEWS[fitting[0]](inner, eyes, offset, limit)
    note = f"Decoded from base64, {size_text(inner.size)}, shown as {fitting[0]}."
    return replace(view, notes=(*view.notes, note))


def _image(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
    del eyes, offset, limit
    image, notes = images.read(body.data, body.size)
    return View(
        "image" if image else "text",
        image=image,
        notes=tuple(notes),
        total=body.size,
        unit="bytes",
    )


def _added(view: AddedView) -> Draw:
    """The text of a view that a script added, in windows like any other."""

    def draw(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
        if not body.size:
            return View("text")
        seen, hidden = _without_secrets(body, eyes)
        laid = view.lay_out(seen, again=offset > 0)
        about = eyes.text(f"{view.name}, by {view.by}", 200)
        if laid.description:
            about += f": {eyes.text(laid.description, 200)}"
        found = _window(laid.text, eyes, offset, limit, Body(b""), laid.syntax)
        return replace(found, notes=(f"{about}.", *laid.notes, *hidden))

    return draw


def _without_secrets(body: Body, eyes: Eyes) -> tuple[Body, list[str]]:
    """What a view may see that makes of it what it likes: no mask would know its secrets again.

    Raises:
        ValueError: There are secrets in it that cannot be masked.
    """
    if eyes.reveal:
        return body, []
    if not body.is_text:
        if eyes.holds_secrets(body.data, body.media_type):
            raise ValueError("there are secrets in it; reveal them to see this view")
        return body, []
    text = eyes.mask(body.text, body.media_type)
    if text == body.text:
        return body, []
    data, kind = charset.encode_text(text, body.content_type, body.data)
    masked = replace(body, data=data, content_type=kind, _text=None)
    return masked, ["It was given the body with its secrets masked."]


VIEWS: Final[dict[str, Draw]] = {
    "image": _image,
    "graphql": _graphql,
    "json": _tree(_json),
    "json source": _source("json"),
    "xml": _source("xml"),
    "html": _source("html"),
    "css": _source("css"),
    "javascript": _source("javascript"),
    "form": tables.urlencoded,
    "multipart": tables.multipart,
    "query": tables.query,
    "events": tables.events,
    "jwt": _tree(_jwt),
    "base64": _base64,
    "grpc": _tree(_grpc),
    "protobuf": _tree(_protobuf),
    "msgpack": _items(msgpack.item),
    "cbor": _items(cbor.item),
    "text": _text,
    "hex": _hex,
    "raw": _raw,
}
"""Every view that is built in, by its name."""

_TAKEN: Final = frozenset((*VIEWS, "auto"))
