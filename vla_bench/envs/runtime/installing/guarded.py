"""`run_guarded`: a command whose output comes line by line and which dies with this process, SIGKILL included."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["run_guarded"]

_GUARD: Final = Path(__file__).with_name("guard.py")


def run_guarded(command: Sequence[str | Path], *, on_line: Callable[[str], None], n_last: int = 8) -> tuple[int, str]:
    """Run a command to its end.

    Args:
        command: the program and its arguments.
        on_line: called with every line that it prints on either stream.
        n_last: lines to keep.

    Returns:
        Its exit status, and the last lines that it printed.
    """
    theirs, ours = os.pipe()
    last: deque[str] = deque(maxlen=n_last)
    process = subprocess.Popen(
        [sys.executable, "-P", _GUARD, str(theirs), *map(str, command)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        pass_fds=[theirs], process_group=0,
    )  # fmt: skip
    os.close(theirs)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if text := line.rstrip():
                last.append(text)
                on_line(text)
        return process.wait(), "\n".join(last)
    finally:
        # Ctrl-C or an exception in the middle: until it is waited for, its number is nobody else's.
        if process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)
        if process.stdout is not None:
            process.stdout.close()
