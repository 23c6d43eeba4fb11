"""Items computed by a background thread while the consumer works."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """`items`, made by a thread of their own up to `depth` ahead of who consumes them."""
    from queue import Full, Queue
    from threading import Event, Thread

    queue: Queue[tuple[str, Any]] = Queue(depth)
    left = Event()

    def put(entry: tuple[str, Any]) -> bool:
        while not left.is_set():
            try:
                queue.put(entry, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put(("item", item)):
                    return
            put(("end", None))
        except BaseException as error:
            put(("error", error))

    Thread(target=produce, daemon=True).start()
    try:
        while (entry := queue.get())[0] == "item":
            yield entry[1]
        if entry[0] == "error":
            raise entry[1]
    finally:
        left.set()
