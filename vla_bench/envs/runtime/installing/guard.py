"""Runs a command that must not outlive its parent, whatever kills that one. Run by path; standard library only.

    python -P guard.py DESCRIPTOR COMMAND…

The parent holds the other end of a pipe: when the descriptor reads end-of-file, the whole group is killed.
"""

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """Run the command; return its exit status."""
    descriptor = int(sys.argv[1])
    # Only a group of its own may be killed as a whole.
    if os.getpgrp() != os.getpid():
        return 70
    threading.Thread(target=_kill_with_parent, args=(descriptor,), daemon=True).start()
    return subprocess.run(sys.argv[2:], check=False).returncode


def _kill_with_parent(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
