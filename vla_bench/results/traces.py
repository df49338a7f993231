"""Traces: what is needed to replay an attempt, as zstd files found by the digest of their content.

A file is `zstd(msgpack(map))`, the arrays of the map as in `vla_bench.spec.wire`; its name is the SHA-256 of the
msgpack bytes, so that it stays the same whatever the compressor's version, and is checked at every reading.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import fsspec
import msgpack
import zstandard
from fsspec.implementations.local import LocalFileSystem

from vla_bench.results.faults import file_errors
from vla_bench.spec.errors import StoreCorrupted, UsageError
from vla_bench.spec.result import Trace
from vla_bench.spec.wire import decode_value, encode_array

__all__ = ["TraceFolder", "decode_trace", "encode_trace", "unpack_trace"]

SUFFIX = ".trace.zst"
MAX_BYTES = 256 * 2**20
"""Largest trace that is unpacked: a damaged or malicious file cannot fill the memory."""
_FORMAT = "vla-bench/trace/1"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


def encode_trace(trace: Trace) -> bytes:
    """The msgpack bytes of a trace, before compression: what its digest is made of."""
    packed: bytes = msgpack.packb(
        {
            "format": _FORMAT,
            "actions": trace.actions,
            "query_steps": trace.query_steps,
            "digests": list(trace.digests),
            "latency_ms": trace.latency_ms,
            "server_ms": trace.server_ms,
        },
        default=encode_array,
    )
    return packed


def decode_trace(data: bytes) -> Trace:
    """Read `encode_trace`'s bytes.

    Raises:
        ValueError, KeyError, TypeError: they are something else.
    """
    content = msgpack.unpackb(data, object_hook=decode_value)
    if content.pop("format") != _FORMAT:
        raise ValueError(f"not a {_FORMAT}")
    return Trace(**content | {"digests": tuple(content["digests"])})


def unpack_trace(data: bytes, digest: str, max_bytes: int = MAX_BYTES) -> Trace:
    """The trace in a file's bytes, whoever made them.

    Args:
        data: zstd-packed bytes.
        digest: that its content must have.
        max_bytes: the most that it may unpack to.

    Raises:
        ValueError: it is no trace, larger, or another one.
    """
    try:
        return decode_trace(_unpacked(data, digest, max_bytes))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


class TraceFolder:
    """A folder of traces: any fsspec URL, or a path."""

    def __init__(self, url: str | Path) -> None:
        """Name the folder; it is made at the first writing.

        Raises:
            UsageError: no file system is known for this kind of URL, or its package is missing.
        """
        self.url = str(url)
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise UsageError(f"traces at {self.url}: {error}") from error
        self.is_local = isinstance(self._fs, LocalFileSystem)

    @property
    def path(self) -> Path:
        """The folder on this machine; of use where `is_local`."""
        return Path(self._root)

    def write(self, trace: Trace) -> str:
        """Store a trace and return its digest, 64 hexadecimal digits. Atomic; a local file is on disk at return.

        Raises:
            StoreFull, StoreReadOnly, StoreError: it cannot be written.
        """
        data = encode_trace(trace)
        digest = hashlib.sha256(data).hexdigest()
        self._put(digest, zstandard.ZstdCompressor(level=3).compress(data))
        return digest

    def read(self, digest: str) -> Trace:
        """Return a trace.

        Raises:
            StoreCorrupted: it is missing, or not what its digest says.
        """
        return self._checked(self._get(digest), digest)

    def packed(self, digest: str) -> bytes:
        """The file of a trace as it lies here, checked.

        Raises:
            StoreCorrupted: it is missing, or not what its digest says.
        """
        data = self._get(digest)
        # What has the digest is what was written: it need not be decoded.
        try:
            _unpacked(data, digest, MAX_BYTES)
        except ValueError as error:
            raise self._damaged(digest, error) from error
        return data

    def put_packed(self, digest: str, data: bytes, *, is_synced: bool = True) -> bool:
        """Store the file of a trace that `unpack_trace` has accepted; returns whether it was not here before.

        Args:
            digest: of its content.
            data: of the file.
            is_synced: whether a local file is on disk at return; whoever says no syncs many of them at once.
        """
        return self._put(digest, data, is_synced=is_synced)

    def copy_from(self, other: TraceFolder, digest: str) -> None:
        """Take over a trace from another folder, checked on the way.

        Raises:
            StoreCorrupted: it is missing there, or damaged.
        """
        if not self.has(digest):
            self._put(digest, other.packed(digest))

    def has(self, digest: str) -> bool:
        """Whether a file of that digest is here; it is not read."""
        path = self._path(digest)
        return os.access(path, os.F_OK) if self.is_local else bool(self._fs.exists(path))

    def remove(self, digests: Iterable[str]) -> None:
        """Remove traces; those that are gone already do not matter."""
        with file_errors(self.url):
            for digest in digests:
                if self.has(digest):
                    self._fs.rm_file(self._path(digest))

    def _checked(self, data: bytes, digest: str) -> Trace:
        try:
            return unpack_trace(data, digest)
        except ValueError as error:
            raise self._damaged(digest, error) from error

    def _damaged(self, digest: str, error: ValueError) -> StoreCorrupted:
        return StoreCorrupted(
            f"trace {digest} in {self.url} is damaged: {error}. The outcome stays; it cannot be replayed."
        )

    def _path(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}/{digest}{SUFFIX}"

    def _get(self, digest: str) -> bytes:
        with file_errors(self.url):
            try:
                if self.is_local:
                    return Path(self._path(digest)).read_bytes()
                data: bytes = self._fs.cat_file(self._path(digest))
            except FileNotFoundError as error:
                raise StoreCorrupted(f"trace {digest} is not in {self.url}. Name the folder of traces.") from error
        return data

    def _put(self, digest: str, data: bytes, *, is_synced: bool = True) -> bool:
        with file_errors(self.url):
            if self.has(digest):
                return False
            if self.is_local:
                _write_local(Path(self._path(digest)), data, is_synced=is_synced)
            else:
                # Object stores show an object whole or not at all.
                self._fs.makedirs(self._fs._parent(self._path(digest)), exist_ok=True)
                self._fs.pipe_file(self._path(digest), data)
            return True


def _write_local(path: Path, data: bytes, *, is_synced: bool) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = _create(temporary)
        try:
            left = memoryview(data)
            while left:  # the system may take less than it is given at once
                left = left[os.write(descriptor, left) :]
            if is_synced:
                # Without it a power cut can leave the new name on an empty file.
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _create(path: Path) -> int:
    """A descriptor of a new file; its folder is made where it is missing, which is once in many files."""
    try:
        return os.open(path, _NEW_FILE, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, _NEW_FILE, 0o666)


def _unpacked(data: bytes, digest: str, max_bytes: int) -> bytes:
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= max_bytes:
            raise ValueError(f"it claims {size} bytes, the limit is {max_bytes}")
        unpacked: bytes = zstandard.ZstdDecompressor().decompress(data, max_output_size=max_bytes)
    except zstandard.ZstdError as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if (found := hashlib.sha256(unpacked).hexdigest()) != digest:
        raise ValueError(f"its content has digest {found}")
    return unpacked
