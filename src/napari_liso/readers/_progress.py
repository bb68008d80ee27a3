"""How far a reading has come, told to whoever waits for it.

A reader says now and then how much is done; it does not know who listens. The
listener may raise an exception of its own to stop the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Listener", "listening", "report"]

Listener = Callable[[float], None]

_listener: ContextVar[Listener | None] = ContextVar("reading_progress", default=None)


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Tell `listener` the progress of everything read inside, in this thread."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(done: float) -> None:
    """Say how much of a pass over the file is done, 0 to 1; cheap where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(done)
