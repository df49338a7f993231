"""Which harness wrote a file, and what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vla_bench.results.faults import file_errors
from vla_bench.results.imports import lerobot_eval, vla_eval
from vla_bench.results.imports.fields import reading
from vla_bench.results.imports.model import ImportedResult
from vla_bench.spec.errors import UsageError

__all__ = ["read_results"]

MAX_BYTES = 512 * 2**20
_KNOWN = "Read are result files of vla-eval and eval_info.json of lerobot-eval."
_READERS = (vla_eval, lerobot_eval)


def read_results(paths: Sequence[Path]) -> tuple[list[ImportedResult], str]:
    """Read the result of one evaluation, which may be in several files where it was sharded.

    Returns:
        One result per benchmark, at least one, and the SHA-256 over the files' bytes.

    Raises:
        UsageError: a file is missing, no JSON, of no known harness, or holds no episode.
    """
    if not paths:
        raise UsageError("name the file to import")
    digest = hashlib.sha256()
    parts: list[tuple[Path, Any]] = []
    for path in sorted(paths):
        data = _bytes(path)
        digest.update(data)
        try:
            parts.append((path, json.loads(data)))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{path} is no JSON: {error}. {_KNOWN}") from error
    reader = next((reader for reader in _READERS if all(reader.is_result(part) for _, part in parts)), None)
    if reader is None:
        raise UsageError(f"{', '.join(str(path) for path in paths)}: of no harness that is known here. {_KNOWN}")
    with reading(", ".join(path.name for path, _ in parts), reader.TOOL):
        found = reader.read(parts)
    if not any(result.tasks for result in found):
        raise UsageError(f"{', '.join(str(path) for path in paths)} holds no episodes")
    return [result for result in found if result.tasks], digest.hexdigest()


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise UsageError(f"no file at {path}")
    with file_errors(str(path)):
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} is larger than {MAX_BYTES // 2**20} MiB: not a result file")
        return path.read_bytes()
