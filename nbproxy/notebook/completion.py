"""Tab completion: the verbs of `%nbproxy`, hook names and filters inside `nbproxy.on("...")`.

One matcher for IPython's completer (API version 2). It says what it completes and suppresses the
others only where it has something to say; everywhere else it is silent.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from IPython.core.completer import SimpleCompletion, context_matcher

from nbproxy import filters, hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from IPython.core.completer import CompletionContext, MatcherAPIv2, SimpleMatcherResult

# the name before the dot is looked at by `_is_ours`
_HOOK = re.compile(r"(?<![\w.])(\w+)\.(?:on|off)\(\s*(['\"])(?P<fragment>\w*)$")
_FILTER = re.compile(
    r"(?<![\w.])(\w+)\.(?:"
    r"on\(\s*(?P<q1>['\"])\w+(?P=q1)\s*,\s*(?:filter\s*=\s*)?"  # on("response", "~d ...
    r"|flows\.filter\(\s*"  # flows.filter("~d ...
    # intercept("~m ... and its like
    r"|(?:intercept|next|next_sync|block|throttle|modify_headers|modify_body)\("
    r"\s*(?:filter\s*=\s*)?"
    r")(?P<q2>['\"])(?P<fragment>[^'\"\n]*)$"
)
_MAGIC = re.compile(r"^\s*%?nbproxy[ \t]+(?P<line>[^\n]*)$")


def make_matcher(
    magic: Callable[[str], tuple[str, Iterable[str]]],
    is_ours: Callable[[str], bool],
) -> MatcherAPIv2:
    """The matcher, to be appended to `ip.Completer.custom_matchers`.

    Args:
        magic: Completes the line behind `%nbproxy`: the fragment before the cursor, and what may
            stand in its place.
        is_ours: Whether a name in the user's namespace is `nbproxy` or a `Proxy`.
    """

    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        text = _until_cursor(context)
        line = text.rpartition("\n")[2]
        if found := _MAGIC.match(line):
            # without % it may be Python: then IPython's own matchers speak as well
            return _result(*magic(found["line"]), "magic", suppress=line.lstrip().startswith("%"))
        if (found := _HOOK.search(text)) and is_ours(found[1]):
            return _result(found["fragment"], hooks.all_names(), "hook")
        if (found := _FILTER.search(text)) and is_ours(found[1]):
            return _result(*filter_choices(found["fragment"]), "filter")
        return {"completions": []}  # a new one: IPython writes into it

    return cast("MatcherAPIv2", context_matcher(identifier="nbproxy")(matcher))


def paths(fragment: str, suffixes: tuple[str, ...]) -> list[str]:
    """Folders, and files that end so, that an unfinished path may go on with."""
    folder, slash, name = fragment.rpartition("/")
    try:
        found = sorted(Path(folder + slash).expanduser().iterdir())
    except (OSError, RuntimeError):  # not there; the home of a user whom nobody knows
        return []
    return [
        f"{folder}{slash}{each.name}{'/' if each.is_dir() else ''}"
        for each in found
        if each.name.startswith(name) and (each.name.endswith(suffixes) or each.is_dir())
    ]


def filter_choices(source: str) -> tuple[str, list[str]]:
    """What may stand at the end of an unfinished filter expression.

    Returns:
        The part of an operator before the cursor, and the operators that begin like it.
    """
    found = filters.complete(source, len(source))
    if not found:
        return "", []
    return source[found[0].start :], [f"{o.text} " if o.argument else o.text for o in found]


def _until_cursor(context: CompletionContext) -> str:
    lines = context.full_text.split("\n")[: context.cursor_line + 1]
    lines[-1] = lines[-1][: context.cursor_position]
    return "\n".join(lines)


def _result(
    fragment: str, choices: Iterable[str], kind: str, *, suppress: bool = True
) -> SimpleMatcherResult:
    found = [choice for choice in choices if choice.startswith(fragment)]
    return {
        "completions": [SimpleCompletion(text=choice, type=kind) for choice in found],
        "matched_fragment": fragment,
        "suppress": suppress and bool(found),
        "ordered": True,
    }
