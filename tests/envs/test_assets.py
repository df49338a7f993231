"""Assets that no package brings: found wherever they are nested, checked, linked or unpacked, downloaded in pieces."""

from __future__ import annotations

import hashlib
import http.server
import json
import tarfile
import threading
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from vla_bench.envs.registry import family_of
from vla_bench.envs.runtime.assets.declared import STANDIN_FILE, AssetArchive, AssetReport, AssetSet, find_assets
from vla_bench.envs.runtime.assets.download import download
from vla_bench.envs.runtime.assets.installed import folder_of, installed_assets, remove_assets
from vla_bench.envs.runtime.assets.installing import check_installed, install_copy, install_download
from vla_bench.envs.runtime.assets.needs import require_assets
from vla_bench.envs.runtime.home import assets_folder
from vla_bench.spec.errors import SuiteNotInstalled, UnknownSuite
from vla_bench.spec.suite import Suite

NESTED = Path("home", "author", "project-0", "assets")
CONTENT = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(100_000))  # 3.2 MB


def quiet(what: str, done: int, total: int) -> None:
    """Hear nothing."""


def check(folder: Path) -> AssetReport:
    return AssetReport(
        faults=[] if (folder / "scenes" / "a.xml").exists() else ["scenes/a.xml is missing"], notes=["n"]
    )


def lacking(folder: Path | None, tasks: Collection[str]) -> Sequence[str]:
    return [task for task in tasks if folder is None or not (folder / "scenes" / task).exists()]


SET = AssetSet(
    name="pieces", title="pieces for tests", suites=("toy_reach",), archives=(), unpacked_bytes=0, origin="here",
    terms="none", marker=("scenes", "textures"), inner="assets", check=check, lacking=lacking, other_way="do without",
)  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder as upstream packs it."""
    assets = tmp_path / "copy" / NESTED
    for name in ("scenes/a.xml", "textures/b.png", "deep/er/c.bin"):
        (assets / name).parent.mkdir(parents=True, exist_ok=True)
        (assets / name).write_text(name)
    return tmp_path / "copy"


def zipped(copy: Path) -> Path:
    path = copy.parent / "assets.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(copy.rglob("*")):
            archive.write(file, file.relative_to(copy))
    return path


def test_a_folder_is_found_inside_checked_and_linked(copy: Path) -> None:
    record = install_copy(SET, copy, progress=quiet)
    folder = folder_of(SET)
    assert folder is not None
    assert folder.name == "assets"
    assert folder.resolve() == (copy / NESTED).resolve()
    assert (record.is_link, record.n_files, record.standin) == (True, 3, "")
    assert (folder / "deep" / "er" / "c.bin").read_text() == "deep/er/c.bin"
    assert installed_assets("pieces") == record


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_unpacked_and_stays(copy: Path, kind: str) -> None:
    archive = zipped(copy)
    if kind == "tar":
        archive = copy.parent / "assets.tar.xz"
        with tarfile.open(archive, "w:xz") as tar:
            tar.add(copy, arcname=".")
    record = install_copy(SET, archive, progress=quiet)
    folder = folder_of(SET)
    assert folder is not None
    assert not folder.is_symlink()
    assert (record.is_link, record.n_files) == (False, 3)
    assert archive.exists()
    assert sorted(path.name for path in assets_folder().iterdir()) == [".lock-pieces", "pieces", "pieces.json"]


def test_both_ways_give_one_digest(copy: Path) -> None:
    linked = install_copy(SET, copy, progress=quiet)
    unpacked = install_copy(SET, zipped(copy), progress=quiet)
    assert linked.digest == unpacked.digest


def test_what_is_not_whole_changes_nothing(copy: Path, tmp_path: Path) -> None:
    before = install_copy(SET, copy, progress=quiet)
    broken = tmp_path / "broken"
    (broken / "scenes").mkdir(parents=True)
    (broken / "textures").mkdir()
    with pytest.raises(SuiteNotInstalled, match=r"not all of pieces for tests: scenes/a\.xml is missing"):
        install_copy(SET, broken, progress=quiet)
    with pytest.raises(SuiteNotInstalled, match="none holds scenes, textures"):
        install_copy(SET, broken / "scenes", progress=quiet)
    with pytest.raises(SuiteNotInstalled, match="neither a folder nor an archive"):
        install_copy(SET, tmp_path / "nowhere", progress=quiet)
    assert installed_assets("pieces") == before


def test_an_archive_that_leads_outside_writes_nothing_there(tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a/scenes/a.xml", "a/textures/b.png", "../../../escaped.txt", "/tmp/escaped-too.txt"):
            archive.writestr(name, "x")
    install_copy(SET, path, progress=quiet)
    assert not list(tmp_path.rglob("escaped.txt"))
    assert not Path("/tmp/escaped-too.txt").exists()


@pytest.mark.parametrize("name", ["../../escaped.txt", "/tmp/escaped-too.txt"])
def test_a_tar_that_leads_outside_is_refused(copy: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(copy, arcname=".")
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(SuiteNotInstalled, match=f"leads outside of its folder: '{name}'"):
        install_copy(SET, path, progress=quiet)
    assert not list(tmp_path.rglob("escaped.txt"))
    assert not Path("/tmp/escaped-too.txt").exists()


def test_links_in_a_tar_are_left_out(copy: Path, tmp_path: Path) -> None:
    path = tmp_path / "links.tar"
    link = tarfile.TarInfo("scenes/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(path, "w") as archive:
        archive.add(copy, arcname=".")
        archive.addfile(link)
    install_copy(SET, path, progress=quiet)
    assert not [each for each in assets_folder().rglob("*") if each.is_symlink()]


def test_a_damaged_archive_leaves_nothing(copy: Path) -> None:
    archive = zipped(copy)
    with zipfile.ZipFile(archive) as opened:
        member = opened.getinfo(f"{NESTED}/scenes/a.xml")
    data = bytearray(archive.read_bytes())
    start = member.header_offset + 30 + len(member.filename)
    data[start : start + 8] = b"\xff" * 8
    archive.write_bytes(data)
    with pytest.raises(SuiteNotInstalled, match="damaged"):
        install_copy(SET, archive, progress=quiet)
    assert installed_assets("pieces") is None
    assert [path.name for path in assets_folder().iterdir()] == [".lock-pieces"]


def test_check_notices_a_changed_file_and_a_missing_one(copy: Path) -> None:
    record = install_copy(SET, copy, progress=quiet)
    assert check_installed(SET, record, progress=quiet).faults == []
    (copy / NESTED / "textures" / "b.png").write_text("else")
    assert "not those that were installed" in check_installed(SET, record, progress=quiet).faults[0]
    (copy / NESTED / "scenes" / "a.xml").unlink()
    assert check_installed(SET, record, progress=quiet).faults[0] == "scenes/a.xml is missing"


def test_removing_leaves_a_linked_folder_where_it_is(copy: Path) -> None:
    install_copy(SET, copy, progress=quiet)
    assert remove_assets("pieces")
    assert installed_assets("pieces") is None
    assert (copy / NESTED / "scenes" / "a.xml").exists()
    assert not remove_assets("pieces")


def test_a_linked_folder_that_is_gone_is_not_installed(copy: Path) -> None:
    install_copy(SET, copy, progress=quiet)
    (copy / NESTED).rename(copy / "elsewhere")
    assert folder_of(SET) is None


def test_made_up_assets_are_marked(copy: Path) -> None:
    (copy / NESTED / STANDIN_FILE).write_text("made by a test\n")
    assert install_copy(SET, copy, progress=quiet).standin == "made by a test"


def test_a_run_without_its_assets_is_refused_with_both_ways_out(copy: Path) -> None:
    class Family:
        assets = (SET,)

    suite = family_of("toy_reach").suite("toy_reach")
    with pytest.raises(SuiteNotInstalled) as refused:
        require_assets(Family(), suite, ["a.xml", "z.xml"])  # type: ignore[arg-type]
    assert str(refused.value) == (
        "2 of these 2 tasks of 'toy_reach' need pieces for tests, which is not installed. "
        "Type: vla-bench assets install pieces (0 MB, it asks first), or do without"
    )
    install_copy(SET, copy, progress=quiet)
    require_assets(Family(), suite, ["a.xml"])  # type: ignore[arg-type]
    with pytest.raises(SuiteNotInstalled, match=r"lacks it for 'z\.xml'"):
        require_assets(Family(), suite, ["a.xml", "z.xml"])  # type: ignore[arg-type]
    other: Suite = replace(suite, name="other")
    require_assets(Family(), other, ["z.xml"])  # type: ignore[arg-type]


def test_sets_are_found_by_their_own_name_and_by_that_of_a_suite() -> None:
    assert find_assets("LIBERO-plus").name == "libero_plus"
    with pytest.raises(UnknownSuite):
        find_assets("nothing_like_it")


class Server:
    """A file over HTTP, with ranges or without, that can stop in the middle, redirect as the hub does, or change."""

    def __init__(self) -> None:
        self.content, self.tag = CONTENT, "one"
        self.cut_after: list[int] = []
        self.knows_ranges = True
        self.linked_sha256 = ""
        self.ranges: list[str] = []
        self.status = 200
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/assets.zip"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

            def do_HEAD(self) -> None:
                if server.linked_sha256 and not self.path.startswith("/real"):
                    self.send_response(302)
                    self.send_header("Location", "/real")
                    self.send_header("X-Linked-ETag", f'"{server.linked_sha256}"')
                    self.send_header("X-Linked-Size", str(len(server.content)))
                    self.end_headers()
                    return
                self._head(0)

            def _head(self, start: int) -> None:
                self.send_response(206 if start else server.status)
                self.send_header("ETag", f'"{server.tag}"')
                self.send_header("Content-Length", str(len(server.content) - start))
                self.end_headers()

            def do_GET(self) -> None:
                asked = self.headers.get("Range", "")
                server.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.knows_ranges else 0
                self._head(start)
                data = server.content[start:]
                if server.cut_after:
                    data = data[: server.cut_after.pop(0)]
                self.wfile.write(data)

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()
    yield served
    served.close()


@pytest.fixture
def fetch(server: Server, tmp_path: Path) -> Callable[..., bytes]:
    def run(**changes: object) -> bytes:
        archive = AssetArchive(url=server.url, size_bytes=len(CONTENT))
        target = tmp_path / "file"
        target.unlink(missing_ok=True)
        changed = replace(archive, **changes)  # type: ignore[arg-type]
        download(changed, target, progress=lambda done, total: None, pause_s=0.0)
        return target.read_bytes()

    return run


def test_a_download_that_breaks_goes_on_where_it_was(
    server: Server, fetch: Callable[..., bytes], tmp_path: Path
) -> None:
    server.cut_after = [1_000_000, 500_000]
    assert fetch() == CONTENT
    assert server.ranges == ["", "bytes=1000000-", "bytes=1500000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_command_is_gone_on_with_by_the_next(
    server: Server, fetch: Callable[..., bytes], tmp_path: Path
) -> None:
    server.cut_after = [700_000, *[0] * 5]
    with pytest.raises(SuiteNotInstalled, match=r"0\.7 MB are kept.*--from PATH"):
        fetch()
    assert fetch() == CONTENT
    assert server.ranges[-1] == "bytes=700000-"


def test_a_file_that_was_published_anew_is_fetched_from_its_start(server: Server, fetch: Callable[..., bytes]) -> None:
    server.cut_after = [700_000, *[0] * 5]
    with pytest.raises(SuiteNotInstalled):
        fetch()
    server.content, server.tag = CONTENT[::-1], "two"
    assert fetch() == CONTENT[::-1]


def test_a_server_without_ranges_sends_the_whole(server: Server, fetch: Callable[..., bytes]) -> None:
    server.knows_ranges = False
    server.cut_after = [700_000]
    assert fetch() == CONTENT


def test_the_hubs_own_digest_is_checked(server: Server, fetch: Callable[..., bytes]) -> None:
    server.linked_sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert fetch() == CONTENT
    server.linked_sha256 = "0" * 64
    with pytest.raises(SuiteNotInstalled, match="is damaged: its SHA-256"):
        fetch()


def test_a_declared_digest_is_checked_and_damage_is_not_kept(server: Server, fetch: Callable[..., bytes]) -> None:
    with pytest.raises(SuiteNotInstalled, match="damaged"):
        fetch(sha256="1" * 64)
    assert fetch(sha256=hashlib.sha256(CONTENT).hexdigest()) == CONTENT
    assert server.ranges == ["", ""]


def test_a_refusal_is_told_at_once(server: Server, fetch: Callable[..., bytes]) -> None:
    server.status = 404
    with pytest.raises(SuiteNotInstalled, match="answers 404"):
        fetch()
    with pytest.raises(SuiteNotInstalled, match="http or https"):
        fetch(url="file:///etc/passwd")


def test_a_download_is_unpacked_checked_and_its_archive_removed(server: Server, copy: Path) -> None:
    server.content = zipped(copy).read_bytes()
    told: list[str] = []
    assets = replace(SET, archives=(AssetArchive(url=server.url, size_bytes=1000),))
    record = install_download(assets, progress=lambda what, done, total: told.append(what))
    assert (record.source, record.is_link, record.n_files) == (server.url, False, 3)
    assert sorted(set(told)) == ["checking", "downloading", "reading every file", "unpacking"]
    assert sorted(path.name for path in assets_folder().iterdir()) == [".lock-pieces", "pieces", "pieces.json"]
    assert json.loads((assets_folder() / "pieces.json").read_text())["source"] == server.url
