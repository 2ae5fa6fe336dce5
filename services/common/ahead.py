"""Chunks made by a thread of their own, some ahead of who takes them.

Making and taking overlap. And it is the only way to make chunks from the object store for the object store: its
client takes them in a thread from which it can't be asked for others.
"""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

AHEAD = 8  # chunks
_POLL_SECONDS = 0.5


@contextmanager
def made_ahead(chunks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """The chunks, made by a thread that ends with the context; what it raises is raised where they are taken."""
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(AHEAD)
    over = threading.Event()

    def hand_over(item: bytes | BaseException | None) -> bool:
        while not over.is_set():
            try:
                ready.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for chunk in chunks:
                if not hand_over(chunk):
                    return
        except BaseException as error:
            hand_over(error)
        else:
            hand_over(None)

    def take() -> Iterator[bytes]:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        over.set()
        thread.join()
