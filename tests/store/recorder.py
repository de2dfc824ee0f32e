"""A program that records flows until it is killed; says what is on disk.

Each line on standard output is the number of a flow that the session has said to be stored. It
comes without being asked for: nobody flushes.
"""

import os
import sys
import threading
from pathlib import Path

from nbproxy.store.session import Session
from tests.store.flow_factory import answer, end, new_flow


def main(place, kept):
    def stored(written, lossy):
        told = "".join(f"{flow.request.path[1:]}\n" for flow in written)
        print(told, end="", flush=True)

    where = {"path": Path(place) / "mine.nbproxy"} if kept else {"directory": Path(place)}
    session = Session(**where, on_stored=stored)
    session.inline_limit_bytes = 2000
    number = 0
    body = os.urandom(1000)
    while True:
        flow = new_flow(f"/{number}")
        answer(flow, content=body * (5 if number % 7 == 0 else 1))
        end(flow)
        session.put(flow)
        number += 1
        if session.congested:  # as the proxy does
            room = threading.Event()
            session.when_room(room.set)
            room.wait()


if __name__ == "__main__":
    main(sys.argv[1], kept=len(sys.argv) > 2)
