"""What a reader or writer left out or had to mend, counted, to be told in one sentence."""

from __future__ import annotations

from collections import Counter


class Notes:
    """Collects what was not taken over as it stood.

    Attributes:
        left_out: What was left out ("TCP flow"), and how often.
        mended: What was mended, and how often.
        problems: Sentences about single places, the first few.
        not_read: How many entries could not be read at all.
    """

    _MAX_PROBLEMS = 5

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        self.mended: Counter[str] = Counter()
        self.problems: list[str] = []
        self.not_read = 0

    def leave_out(self, what: str) -> None:
        """Count something that has no place here."""
        self.left_out[what] += 1

    def mend(self, what: str) -> None:
        """Count something that was put right."""
        self.mended[what] += 1

    def skip(self, problem: str) -> None:
        """Count an entry that cannot be used, and why."""
        self.not_read += 1
        if len(self.problems) < self._MAX_PROBLEMS:
            self.problems.append(problem)

    def __str__(self) -> str:
        """All that was left out, in one sentence; "" if nothing was."""
        left_out = self.left_out.items()
        parts = [f"{count} {what}{'' if count == 1 else 's'}" for what, count in left_out]
        if self.not_read:
            shown = "; ".join(self.problems)
            more = ", ..." if self.not_read > len(self.problems) else ""
            plural = "y" if self.not_read == 1 else "ies"
            parts.append(f"{self.not_read} entr{plural} that cannot be used ({shown}{more})")
        return f"left out {', '.join(parts)}" if parts else ""
