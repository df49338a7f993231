"""The bytes of uploads: parts as they arrive, one folder a submission, names made here and never by a client."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool

from vla_bench.results.faults import file_errors
from vla_bench.results.store import Store
from vla_bench.server.settings import Settings
from vla_bench.spec.errors import StoreCorrupted

__all__ = ["Part", "PartFolder"]

_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived whole, and is not in its place yet."""

    number: int
    size: int
    digest: str
    temporary: Path
    path: Path

    def keep(self) -> None:
        """Put it in its place."""
        with file_errors(str(self.path)):
            self.temporary.replace(self.path)

    def discard(self) -> None:
        """Delete it, unless it was kept."""
        self.temporary.unlink(missing_ok=True)


class PartFolder:
    """Parts of one submission. A part is there whole or not at all."""

    def __init__(self, root: Path, submission_id: str) -> None:
        """Name the folder; it is made at the first part.

        Args:
            root: of all uploads, see `of`.
            submission_id: made by this service: letters and digits.
        """
        assert submission_id.isalnum(), submission_id
        self.path = root / submission_id

    @classmethod
    def of(cls, settings: Settings, store: Store, submission_id: str) -> PartFolder:
        """The folder of a submission of this service."""
        location = store.location.path
        beside = location.with_name(f"{location.stem}-uploads") if location else Path(f"{store.traces_url}-uploads")
        return cls(Path(settings.uploads) if settings.uploads else beside, submission_id)

    async def receive(self, number: int, stream: AsyncIterator[bytes]) -> Part:
        """Write a part beside its place; it takes it with `keep`.

        Raises:
            StoreFull, StoreError: it cannot be written.
        """
        digest, size = hashlib.sha256(), 0
        temporary = self.path / f".{number}.{secrets.token_hex(4)}"
        is_whole = False
        with file_errors(str(self.path)):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    async for chunk in stream:
                        digest.update(chunk)
                        size += len(chunk)
                        file.write(chunk)
                    file.flush()
                    # Other requests are answered while the disk is slow.
                    await run_in_threadpool(os.fsync, file.fileno())
                is_whole = True
            finally:
                if not is_whole:
                    temporary.unlink(missing_ok=True)
        return Part(number, size, digest.hexdigest(), temporary, self.path / str(number))

    def open(self, numbers: Sequence[int]) -> BinaryIO:
        """All parts as one stream of bytes, in this order.

        Raises:
            StoreCorrupted: a part is missing.
        """
        paths = [self.path / str(number) for number in numbers]
        if missing := [path.name for path in paths if not path.is_file()]:
            raise StoreCorrupted(f"parts {', '.join(missing)} of an upload are not in {self.path}")
        return io.BufferedReader(_Joined(paths), _READ)

    def remove(self) -> None:
        """Delete all parts."""
        shutil.rmtree(self.path, ignore_errors=True)


class _Joined(io.RawIOBase):
    """Files one after the other."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._waiting = list(paths)
        self._file: BinaryIO | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            if self._file is None:
                if not self._waiting:
                    return 0
                self._file = self._waiting.pop(0).open("rb")
            if n_read := self._file.readinto(buffer):  # type: ignore[attr-defined]
                return int(n_read)
            self._file.close()
            self._file = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()
