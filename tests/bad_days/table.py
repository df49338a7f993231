"""Writes `docs/bad-days.md` from what the tests of this folder measure: `python -m tests.bad_days.table`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bad_days.days import QUICK, RECORD

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "bad-days.md"
GROUPS = ("The policy", "The policy server", "The simulator", "The harness", "The database", "The command")
HEAD = f"""# Bad days

What happens when something goes wrong, measured. Every row is a test in `tests/bad_days`, with real processes and
sockets, on the toy suite; `python -m tests.bad_days.table` runs them all and writes this page.

In all of them: no score over lost episodes, nothing counted as a failure of the policy that is not one, finished
episodes stay, lost ones are run again with the same seeds, and no process or socket is left behind.

- **kind**: the error kind of the lost attempt, or of the error that ended the run.
- **noticed**: how long the attempt (or the command) lasted in which it went wrong: an upper bound.
  Deadlines are {QUICK.act_s:g} s here, for the policy and for the simulator; by default they are 30 s,
  and 120 s for the scene of a task.
- **score line**: of this command. Where an episode was lost and its second attempt was judged, the score is whole.
  (The policy whose replies are spoilt byte by byte pushes in one direction for ever: 0/3 is its true score.)
- **exit**: what the command ends with, see [outcomes and exit codes](outcomes.md).
- **the same command again**: its score line once the cause is gone; empty where there was nothing left to do.
"""
COLUMNS = ("what goes wrong", "kind", "noticed", "score line", "exit", "the same command again")


def main() -> int:
    """Run the tests and write the page; the exit code is theirs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-m", "", str(FOLDER)]
        code = subprocess.run(command, env={**os.environ, RECORD: str(path)}, check=False).returncode
        if code == 0:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            PAGE.write_text(page(rows), encoding="utf-8")
    return code


def page(rows: list[dict[str, Any]]) -> str:
    """The whole page."""
    parts = [HEAD]
    for group in GROUPS:
        lines = [f"## {group}", "", f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
        lines += [_line(row) for row in rows if row["group"] == group]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(row: dict[str, Any]) -> str:
    kind = row["kind"]
    if kind and not kind.startswith("none"):
        kind = ", then ".join(f"`{part}`" for part in kind.split(", "))
    took_s = row["noticed_s"]
    noticed = "" if took_s is None else f"{took_s:.1f} s" if took_s >= 0.1 else "under 0.1 s"
    cells = (row["what"], kind, noticed, row["score"], str(row["exit_code"]), row["then"])
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
