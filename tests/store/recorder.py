"""A program that records flows until it is killed; says what it put, and when.

Each line on standard output is the number of a flow and the moment (monotonic) it was put.
"""

import os
import sys
import threading
import time
from pathlib import Path

from nbproxy.store.session import Session
from tests.store.flow_factory import answer, end, new_flow


def main(place, kept):
    session = Session(Path(place) / "mine.nbproxy") if kept else Session(directory=Path(place))
    session.inline_limit_bytes = 2000
    number = 0
    body = os.urandom(1000)
    while True:
        flow = new_flow(f"/{number}")
        answer(flow, content=body * (5 if number % 7 == 0 else 1))
        end(flow)
        session.put(flow)
        print(number, time.monotonic(), flush=True)
        number += 1
        if session.congested:  # as the proxy does
            room = threading.Event()
            session.when_room(room.set)
            room.wait()


if __name__ == "__main__":
    main(sys.argv[1], kept=len(sys.argv) > 2)
