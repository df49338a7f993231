"""A tar in one zstd frame: written the same way every time, read without believing a byte of it.

Only plain members with short names exist here, so that the reader parses single 512-byte headers and nothing else: no
links, no devices, no extended headers whose sizes somebody else chose, and no name ever reaches a file system.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import zstandard

from vla_bench.spec.errors import SubmissionRefused

__all__ = ["LIMITS", "ArchiveLimits", "Member", "header_of", "read_archive", "write_archive"]

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(_BLOCK)
_NAME, _SIZE_DIGITS = 100, 11
_LEVEL = 3
_READ = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What a bundle may cost its reader.

    Attributes:
        packed_bytes: of the file.
        unpacked_bytes: of all members together.
        n_members: members.
        ratio: unpacked ÷ packed bytes, beyond the first `free_bytes`.
        free_bytes: unpacked bytes for which the ratio does not matter: small tables of equal rows pack very well.
        window_log: logarithm of the largest zstd window, which is memory.
    """

    packed_bytes: int = 2 << 30
    unpacked_bytes: int = 8 << 30
    n_members: int = 100_000
    ratio: int = 200
    free_bytes: int = 64 << 20
    window_log: int = 27


LIMITS = ArchiveLimits()


def _plain_header() -> bytes:
    """A header as ours are, of a member without name and content: what they all have in common."""
    header = tarfile.TarInfo("")
    header.mode = 0o644
    return header.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


_PLAIN = _plain_header()
_PLAIN_SUM = int(_PLAIN[148:154], 8)


class Member(NamedTuple):
    """One member of an archive, whole."""

    name: str
    data: bytes


def write_archive(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write members in this order; equal members give equal bytes.

    Args:
        path: of the file.
        members: name (at most 100 ASCII characters) and content.
    """
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=False)
    size = 0
    with path.open("wb") as file, compressor.stream_writer(file, closefd=False) as packed:
        for name, data in members:
            block = b"".join((header_of(name, len(data)), data, bytes(-len(data) % _BLOCK)))
            packed.write(block)
            size += len(block)
        # Two empty blocks end an archive, and whole records of twenty blocks make it up.
        packed.write(bytes(2 * _BLOCK + -(size + 2 * _BLOCK) % tarfile.RECORDSIZE))


def header_of(name: str, size: int) -> bytes:
    """The block before a member: the one that `tarfile` makes of the same name and size, in a tenth of its time.

    Args:
        name: at most 100 ASCII characters.
        size: bytes of the member, below 8 GiB.

    Raises:
        ValueError: they do not fit.
    """
    encoded = name.encode("ascii")
    if not 0 < len(encoded) <= _NAME or not 0 <= size < 8**_SIZE_DIGITS:
        raise ValueError(f"no member of a bundle: {name[:120]!r} of {size} bytes")
    size_field = b"%011o" % size
    checksum = _PLAIN_SUM + sum(encoded) + sum(size_field) - _SIZE_DIGITS * ord("0")
    return b"".join(
        (encoded.ljust(_NAME, b"\0"), _PLAIN[100:124], size_field, _PLAIN[135:148], b"%06o\0" % checksum, _PLAIN[155:])
    )


def read_archive(
    source: BinaryIO, packed_bytes: int, limit_of: Callable[[str], int | None], limits: ArchiveLimits = LIMITS
) -> Iterator[Member]:
    """Give the members one by one, each checked before it is read.

    Args:
        source: the bytes of the file.
        packed_bytes: how many there are.
        limit_of: name → the most bytes that such a member may have; None for a name that nothing is known of.
        limits: of the whole.

    Raises:
        SubmissionRefused: it is no such archive, ends in the middle, or exceeds a limit.
    """
    if packed_bytes > limits.packed_bytes:
        raise SubmissionRefused(f"the bundle has {packed_bytes} bytes, the limit is {limits.packed_bytes}")
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << limits.window_log)
    most = min(limits.unpacked_bytes, max(limits.free_bytes, limits.ratio * packed_bytes))
    with decompressor.stream_reader(source, read_size=_READ, closefd=False) as stream:
        reader = _Reader(stream, most)
        n_members = 0
        while (header := _header(reader)) is not None:
            n_members += 1
            if n_members > limits.n_members:
                raise SubmissionRefused(f"the bundle has more than {limits.n_members} members")
            yield _member(reader, header, limit_of)


class _Reader:
    """Reads exactly as much as asked, and never more than the limit in all."""

    def __init__(self, stream: zstandard.ZstdDecompressionReader, most: int) -> None:
        self._stream, self._left, self._most = stream, most, most

    def take(self, n_bytes: int) -> bytes:
        if n_bytes > self._left:
            raise SubmissionRefused(f"the bundle unpacks to more than {self._most} bytes, the limit for its size")
        self._left -= n_bytes
        parts, wanted = [], n_bytes
        while wanted:
            try:
                part = self._stream.read(min(wanted, _READ))
            except (zstandard.ZstdError, OSError) as error:
                raise SubmissionRefused(f"the bundle is no zstd file, or damaged: {error}") from error
            if not part:
                raise SubmissionRefused("the bundle ends in the middle")
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)


def _header(reader: _Reader) -> tuple[str, int] | None:
    """Name and size of the next member; None at the archive's end."""
    block = reader.take(_BLOCK)
    if block == _END:
        return None
    if (own := _own_header(block)) is not None:
        return own
    try:
        header = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise SubmissionRefused(f"the bundle is no tar archive, or damaged: {error}") from error
    if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or header.issparse():
        raise SubmissionRefused(f"member {header.name[:100]!r} is no plain file")
    return header.name, header.size


def _own_header(block: bytes) -> tuple[str, int] | None:
    """Name and size where the block is to the last byte what `header_of` makes of them; None for any other block."""
    name, size = block[:_NAME].rstrip(b"\0"), block[124:135]
    if not size.isdigit():
        return None
    try:
        found = name.decode("ascii"), int(size, 8)
        return found if header_of(*found) == block else None
    except ValueError:
        return None


def _member(reader: _Reader, header: tuple[str, int], limit_of: Callable[[str], int | None]) -> Member:
    name, size = header
    limit = limit_of(name)
    if limit is None:
        raise SubmissionRefused(f"member {name[:100]!r} is not part of a bundle")
    if not 0 <= size <= limit:
        raise SubmissionRefused(f"member {name!r} claims {size} bytes, the limit is {limit}")
    # Content and padding in one piece: a bundle has ten thousand members.
    data = reader.take(size + -size % _BLOCK)
    return Member(name, data[:size])
