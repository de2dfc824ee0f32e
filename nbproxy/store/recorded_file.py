"""The file that a capture is recorded to, and what may become of it meanwhile.

It is made when there is something to write. It may be moved; somebody may remove it, and then it is
written anew; it may be damaged, and then recording goes on in another one.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING, Final

from nbproxy.errors import NbproxyError
from nbproxy.store import moving
from nbproxy.store.batches import Batches
from nbproxy.store.capture_file import CaptureFile
from nbproxy.store.chunks import Bodies
from nbproxy.store.reading import Shelf
from nbproxy.store.troubles import Trouble, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAULTS: Final = (sqlite3.Error, OSError, NbproxyError)
"""What a file that cannot be used raises."""


class RecordedFile:
    """A file, from its making to its end. All but the attributes is for the writer's thread.

    Args:
        file: The file, or what makes it: called when there is something to write.
        inline_limit: Gives the size up to which bodies lie in their rows.
        on_problem: Told what is wrong, in a sentence.

    Attributes:
        file: The file, once there is one.
        shelf: The same, for reading; stays when the file is closed.
        bodies: The large bodies that are in memory.
        batches: What writes into it, once there is one.
        trouble: What people were told.
    """

    def __init__(
        self,
        file: CaptureFile | Callable[[], CaptureFile],
        inline_limit: Callable[[], int],
        on_problem: Callable[[str], None],
    ) -> None:
        self.file: CaptureFile | None = None
        self.shelf: Shelf | None = None
        self.bodies = Bodies()
        self.batches: Batches | None = None
        self.trouble = Trouble(on_problem)
        self._inline_limit = inline_limit
        self._looked = time.monotonic()
        self._kept: CaptureFile | None = None
        self._damages = 0
        if isinstance(file, CaptureFile):
            self._opened(file)
        else:
            self._open_file = file

    def ready(self) -> Batches:
        """What writes into the file, which is made now if there is none yet.

        Raises:
            OSError, sqlite3.Error, NbproxyError: There can be none.
        """
        if self.file is None:
            self._opened(self._open_file())
        assert self.batches is not None  # noqa: S101 - made with the file
        return self.batches

    def _opened(self, file: CaptureFile, shifts: tuple[int, int, int] = (0, 0, 0)) -> None:
        """This is the file from now on; an earlier one was copied to it."""
        with self.bodies.lock:
            self.file = file
            batches = self.batches
            if batches is None:
                batches = Batches(file, self.bodies, file.next_keys, self._inline_limit)
                self.batches = batches
            else:
                batches.moved_to(file, shifts)
            self.bodies.lie_in(file)
            self.shelf = Shelf(
                file,
                self.bodies,
                batches.live,
                batches.flow_offset,
                batches.connection_offset,
            )

    def move(self, path: Path) -> bool:
        """Go on at another path, with all that was written so far; False if it is there already.

        Raises:
            FormatError, OSError, sqlite3.Error: It stays where it is.
            RuntimeError: It was finished.
        """
        old = self.file
        if old is None and self.shelf is None:
            self._opened(CaptureFile(path, temporary=False))
        elif old is None:
            raise RuntimeError("the recording has ended: save the flows instead")
        elif path.exists() and path.samefile(old.path):
            return False
        else:
            new = CaptureFile(path, temporary=False)
            try:
                shifts = moving.copy(old.db, new)
            except BaseException:
                new.end()
                raise
            self._opened(new, shifts)
            old.dismiss()
        return True

    def look_after(self, every_s: float) -> None:
        """If somebody removed the file, write it anew; looks no more often than every so long."""
        file, now = self.file, time.monotonic()
        if file is None or now - self._looked < every_s:
            return
        self._looked = now
        if file.is_there:
            return
        try:
            with self.bodies.lock:  # who cannot read meanwhile waits for this, and tries again
                path, lock = moving.replace(file)
                self._open_later(path, file, lock)
                self.ready()
        except FAULTS as error:  # what is open can be written on; only nobody finds it
            self.trouble.met(error, file.path)
            return
        self.trouble.say(
            f"the capture {file.path} was removed or replaced while it was recorded: all of it "
            f"was written again, to {path}. To stop recording, stop the proxy."
        )

    def _open_later(self, path: Path, old: CaptureFile, lock: int | None = None) -> None:
        """Another file takes the place of one that is closed."""
        locks = [lock]

        def open_file() -> CaptureFile:
            lock, locks[:] = locks[0], [None]
            return CaptureFile(path, temporary=old.temporary, lock=lock)

        self.file = None
        self._open_file = open_file

    # -- trouble

    def met(self, error: Exception) -> None:
        """It could not be written: tell people."""
        file = self.file
        self.trouble.met(error, file.path if file is not None else None)

    def mend(self, error: Exception) -> None:
        """After this, open it anew; if it is damaged beyond use, go on in another one."""
        file = self.file
        kind = kind_of(error)
        if file is None or kind in {"full", "locked"}:
            return
        self._damages += kind == "damaged"
        try:
            file.reopen()
        except FAULTS as again:
            self._damages += kind_of(again) == "damaged"
        if self._damages > 1:
            self._begin_anew(file)

    def is_well(self) -> None:
        """It can be written again."""
        self._damages = 0
        self.trouble.over()

    def _begin_anew(self, damaged: CaptureFile) -> None:
        """A file is damaged beyond use: leave it as it is, go on in another one."""
        path = moving.free_name(damaged.path)
        lock = damaged.give_way()
        if lock is not None:
            os.close(lock)
        batches = self.batches
        next_body = 1 if batches is None else batches.next_body
        self.batches = None
        self._open_later(path, damaged)
        opening = self._open_file

        def open_file() -> CaptureFile:
            file = opening()
            file.next_keys = (0, 0, next_body)  # bodies in memory have numbers already
            return file

        self._open_file = open_file
        self.trouble.say(
            f"the capture {damaged.path} was left as it is: the flows in it cannot be read any "
            f"more. Recording goes on in {path}."
        )

    def finish(self, *, keep: bool) -> None:
        """Nothing more is written; whether the file stays."""
        file, self.file = self.file, None
        if file is not None:
            file.finish(keep=keep)
            self._kept = file  # goes with the last who may read it
        self.batches = None
