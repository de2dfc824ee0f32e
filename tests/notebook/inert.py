"""Whether HTML of ours is inert: our elements, our attributes, nothing that runs or fetches."""

import re
from html.parser import HTMLParser

TAGS = {
    *("style", "div", "span", "table", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary", "pre", "b", "img"),
}
ATTRIBUTES = {
    *("class", "title", "scope", "style", "role", "aria-label", "colspan", "open", "alt", "src"),
}
VOID = {"img"}

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</pre></textarea></style></title><iframe src=//evil.example>",
    "]]><!-- --!><b>bold</b>",
    "javascript:alert(1)",
    "&lt;script&gt;&#x3c;script&#x3e;",
    "\x1b[31mred \u202egnp.exe\u200b \x00 \ud800",
    "${alert(1)} {{7*7}} `x`",
]


class Page(HTMLParser):
    """Reads a page and checks it on the way."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags = []
        self.text = ""
        self.open = []
        self.images = []
        self.titles = []
        self.feed(html)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS, tag
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert name in ATTRIBUTES, name
            if name == "style":
                assert re.fullmatch(r"width:\d+%", value)
            elif name == "class":
                assert re.fullmatch(r"[a-z0-9 -]*", value)
            elif name == "src":
                assert re.fullmatch(r"data:image/(png|jpeg|gif|webp);base64,[\w+/=]*", value)
                self.images.append(value)
            elif name == "title":
                self.titles.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    handle_decl = handle_pi = unknown_decl = handle_comment


def check(html):
    """Parse and check a page; the page.

    Raises:
        AssertionError: It is not inert, or cannot be saved in a notebook.
    """
    html.encode("utf-8")
    page = Page(html)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u200b\ud800-\udfff]", html)
    return page
