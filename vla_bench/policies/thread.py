"""The one thread in which a served policy runs, so that a slow forward pass never blocks the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["PolicyThread"]

T = TypeVar("T")


class PolicyThread:
    """Runs calls one after the other, in the order in which they were given.

    A daemon: a policy that hangs for ever does not keep its process alive.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="policy", daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a call and block until it is done; what it raises is raised here."""
        outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        self._calls.put(lambda: outcome.put(_try(function, args)))
        value, error = outcome.get()
        if error is not None:
            raise error
        return value  # type: ignore[return-value]

    def start(
        self, loop: asyncio.AbstractEventLoop, done: Callable[[T], None], function: Callable[..., T], *args: Any
    ) -> None:
        """Run a call that does not raise; `done` gets its result on the event loop, unless that has closed."""

        def work() -> None:
            result = function(*args)
            # The loop may have closed while the policy worked: nobody is left to hear the answer.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done, result)

        self._calls.put(work)

    def stop(self, timeout_s: float) -> bool:
        """End the thread after the calls already given; False where it is still busy after `timeout_s`."""
        self._calls.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            work()


def _try(function: Callable[..., T], args: tuple[Any, ...]) -> tuple[T | None, BaseException | None]:
    try:
        return function(*args), None
    except BaseException as error:  # handed to the caller's thread, which raises it
        return None, error
