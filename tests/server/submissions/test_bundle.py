"""The bundle: equal runs give equal bytes, and no byte of it is believed."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.server.submitting import DECLARATION, Forgery, bundle_of
from vla_bench.results.store import Store
from vla_bench.server.submissions.bundle import ArchiveLimits, read_bundle, write_bundle
from vla_bench.server.submissions.bundle.archive import header_of, read_archive, write_archive
from vla_bench.server.submissions.bundle.manifest import limit_of
from vla_bench.spec.errors import SubmissionRefused


def read(data: bytes, limits: ArchiveLimits = ArchiveLimits()) -> int:  # noqa: B008
    """Read a bundle to its end; returns how many traces it has."""
    bundle = read_bundle(io.BytesIO(data), len(data), limits)
    return len(list(bundle.traces))


def packed(write: Callable[[tarfile.TarFile], None], format_: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as archive:
        write(archive)
    return zstandard.ZstdCompressor().compress(buffer.getvalue())


def member(name: str, data: bytes = b"{}", kind: bytes = tarfile.REGTYPE, **changes: object) -> bytes:
    def write(archive: tarfile.TarFile) -> None:
        header = tarfile.TarInfo(name)
        header.size, header.type = len(data) if kind == tarfile.REGTYPE else 0, kind
        for key, value in changes.items():
            setattr(header, key, value)
        archive.addfile(header, io.BytesIO(data))

    return packed(write)


def refusal(data: bytes, limits: ArchiveLimits = ArchiveLimits()) -> str:  # noqa: B008
    with pytest.raises(SubmissionRefused) as caught:
        list(read_archive(io.BytesIO(data), len(data), limit_of, limits))
    return str(caught.value)


def test_the_same_run_and_declaration_give_the_same_bytes(toy_run: Path, toy_bundle: Path, tmp_path: Path) -> None:
    with Store.open(toy_run, read_only=True) as store:
        facts = write_bundle(store, "toy", DECLARATION, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == toy_bundle.read_bytes()
    assert facts.n_traces == 50


def test_a_bundle_is_read_back_whole(toy_bundle: Path) -> None:
    data = toy_bundle.read_bytes()
    bundle = read_bundle(io.BytesIO(data), len(data))
    assert len(bundle.episodes) == len(bundle.attempts) == len(list(bundle.traces)) == 50
    assert bundle.manifest.declaration == DECLARATION


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "traces/../../x.trace.zst", "traces/" + "0" * 63, "manifest.json/x", ""]
)
def test_a_name_of_another_s_choice_is_refused_and_written_nowhere(name: str) -> None:
    assert "is not part of a bundle" in refusal(member(name))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_links_devices_and_folders_are_refused(kind: bytes) -> None:
    assert "is no plain file" in refusal(member("manifest.json", kind=kind, linkname="/etc/passwd"))


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_extended_headers_are_refused_before_they_are_read(format_: int) -> None:
    def write(archive: tarfile.TarFile) -> None:
        archive.addfile(tarfile.TarInfo("traces/" + "é" * 200))

    assert "is no plain file" in refusal(packed(write, format_))


@given(st.integers(1, 100), st.integers(0, 8**11 - 1))
def test_a_header_of_ours_is_that_of_tarfile_to_the_last_byte(length: int, size: int) -> None:
    header = tarfile.TarInfo("traces/0123456789".ljust(length, "x")[:length])
    header.size, header.mode = size, 0o644
    assert header_of(header.name, size) == header.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def test_an_archive_of_ours_is_that_of_tarfile_to_the_last_byte(tmp_path: Path) -> None:
    for count in (0, 1, 9, 20):
        members = [(f"{index}.json", bytes([index]) * (index * 300)) for index in range(count)]
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in members:
                header = tarfile.TarInfo(name)
                header.size, header.mode = len(data), 0o644
                archive.addfile(header, io.BytesIO(data))
        write_archive(tmp_path / "ours", members)
        ours = zstandard.ZstdDecompressor().decompressobj().decompress((tmp_path / "ours").read_bytes())
        assert ours == buffer.getvalue()


def test_a_member_larger_than_its_kind_is_refused_by_its_header_alone() -> None:
    header = tarfile.TarInfo("manifest.json")
    header.size = 7 << 30
    data = zstandard.ZstdCompressor().compress(header.tobuf(tarfile.USTAR_FORMAT))
    assert "claims 7516192768 bytes" in refusal(data)


def test_a_bomb_is_given_up_at_the_limit_for_its_size() -> None:
    header = tarfile.TarInfo("attempts.jsonl")
    header.size = 300 << 20
    data = zstandard.ZstdCompressor().compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(header.size))
    assert len(data) < 100_000
    assert "unpacks to more than" in refusal(data)


def test_too_many_members_are_refused() -> None:
    def write(archive: tarfile.TarFile) -> None:
        for number in range(20):
            archive.addfile(tarfile.TarInfo(f"traces/{number:064x}.trace.zst"))

    assert "more than 10 members" in refusal(packed(write), ArchiveLimits(n_members=10))


def test_a_file_that_is_too_large_is_not_opened() -> None:
    assert "the limit is 100" in refusal(bytes(101), ArchiveLimits(packed_bytes=100))


def test_a_member_that_stands_twice_is_refused(toy_bundle: Path, tmp_path: Path) -> None:
    forged = Forgery.of(toy_bundle)
    path = forged.write(tmp_path / "b")
    data = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    manifest = data[: 512 + -(-tarfile.TarInfo.frombuf(data[:512], "ascii", "strict").size // 512) * 512]
    with pytest.raises(SubmissionRefused, match=r"where suite\.json is expected"):
        read(zstandard.ZstdCompressor().compress(manifest + data))


@given(st.data())
def test_a_bundle_cut_short_is_refused(toy_bundle: Path, data: st.DataObject) -> None:
    whole = toy_bundle.read_bytes()
    # The last bytes are the tar's padding and the checksum of the frame, which the digest of the upload covers.
    length = data.draw(st.integers(0, len(whole) - 600))
    with pytest.raises(SubmissionRefused):
        read(whole[:length])


@given(st.data())
def test_a_bundle_with_a_changed_byte_is_refused_or_says_the_same(toy_bundle: Path, data: st.DataObject) -> None:
    whole = bytearray(toy_bundle.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with suppress(SubmissionRefused):
        assert read(bytes(whole)) == 50


@given(st.binary(max_size=2000))
def test_rubbish_is_refused(rubbish: bytes) -> None:
    with pytest.raises(SubmissionRefused):
        read(rubbish)
    with pytest.raises(SubmissionRefused):
        read(zstandard.ZstdCompressor().compress(rubbish))


ODD_LINES = (
    b"[1, 2]", b"{", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e999}', b"[" * 100_000, b'{"a": "\\u0000"}',
    b'{"a": "\\ud800"}', b"9" * 5000, b"null", b'{"episode_id": "../../x"}', b"{}",
)  # fmt: skip


@pytest.mark.parametrize("line", ODD_LINES, ids=range(len(ODD_LINES)))
@pytest.mark.parametrize("name", ["episodes.jsonl", "attempts.jsonl"])
def test_a_line_that_is_no_row_is_refused_with_its_number(name: str, line: bytes) -> None:
    from vla_bench.server.submissions.bundle import read as reading
    from vla_bench.server.submissions.bundle.manifest import AttemptLine, EpisodeLine

    form = EpisodeLine if name.startswith("episodes") else AttemptLine
    with pytest.raises(SubmissionRefused, match=r"line 1"):
        reading._rows(form, line, name)


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_more_lines_than_a_run_can_have_are_counted_before_they_are_made(end: bytes) -> None:
    from vla_bench.server.submissions.bundle import read as reading
    from vla_bench.server.submissions.bundle.manifest import AttemptLine

    with pytest.raises(SubmissionRefused, match=r"attempts\.jsonl has more than 200000 lines"):
        reading._rows(AttemptLine, (b"{}" + end) * (reading.MOST_ROWS + 1), "attempts.jsonl")


def test_an_episode_that_stands_twice_is_refused(toy_bundle: Path, tmp_path: Path) -> None:
    forged = Forgery.of(toy_bundle)
    forged.episodes.append(forged.episodes[0])
    with pytest.raises(SubmissionRefused, match=r"episodes\.jsonl has episode \w{16} twice"):
        read(forged.write(tmp_path / "b").read_bytes())


def test_a_table_that_was_changed_after_the_manifest_is_refused(toy_bundle: Path, tmp_path: Path) -> None:
    forged = Forgery.of(toy_bundle)
    path = forged.write(tmp_path / "b")
    data = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    swapped = data.replace(b'"outcome": "failure"', b'"outcome": "success"', 1)
    assert swapped != data
    with pytest.raises(SubmissionRefused, match="it was changed"):
        read(zstandard.ZstdCompressor().compress(swapped))


def test_a_run_of_two_declarations_makes_two_bundles(toy_run: Path, toy_bundle: Path, tmp_path: Path) -> None:
    other = DECLARATION.model_copy(update={"notes": "another"})
    assert bundle_of(toy_run, tmp_path, declaration=other).read_bytes() != toy_bundle.read_bytes()
