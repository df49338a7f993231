"""`python -m vla_bench.results.upgrade URL`: bring a database that others share to the schema of this version."""

from __future__ import annotations

import sys

from vla_bench.results.database import Database, locate
from vla_bench.results.schema import upgrade
from vla_bench.spec.errors import VlaBenchError

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Upgrade the database named by the only argument and say what was done; returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m vla_bench.results.upgrade URL\n")
        return 2
    try:
        database = Database(locate(arguments[0]), busy_timeout_s=30.0)
        try:
            notices = upgrade(database)
        finally:
            database.close()
    except VlaBenchError as error:
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    sys.stdout.write("\n".join(notices or [f"{database.location}: nothing to do"]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
