"""Network file systems (a made-up mount table): one file per process, nothing hidden, nothing lost."""

from __future__ import annotations

import os
import socket
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tests.results import samples
from vla_bench.results import network
from vla_bench.results.merge import merge
from vla_bench.results.network import Mount, network_kind
from vla_bench.results.store import Store
from vla_bench.spec.errors import StoreReadOnly
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.settings import EvalSettings


@pytest.fixture
def mounts(tmp_path: Path) -> list[Mount]:
    return [Mount("/", "ext4"), Mount(str(tmp_path), "nfs4")]


@pytest.fixture
def pid(monkeypatch: pytest.MonkeyPatch):
    """Be another process."""
    return lambda number: monkeypatch.setattr(network, "getpid", lambda: number)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/x.db", ""),
        ("/cluster/home/x.db", "nfs4"),
        ("/cluster/scratch/deep/x.db", "lustre"),
        ("/cluster/scratch-local/x.db", "nfs4"),
        ("/cluster/local/x.db", ""),
        ("/gpfs/x.db", "gpfs"),
        ("/mnt/c/x.db", "9p"),
        ("/twice/x.db", ""),
        ("/SMB/x.db", "SMB3"),
    ],
)
def test_the_nearest_mount_decides(path: str, kind: str) -> None:
    table = [
        Mount("/", "ext4"), Mount("/cluster", "nfs4"), Mount("/cluster/scratch", "lustre"),
        Mount("/cluster/local", "xfs"), Mount("/gpfs", "gpfs"), Mount("/mnt/c", "9p"), Mount("/twice", "nfs"),
        Mount("/twice", "tmpfs"), Mount("/SMB", "SMB3"),
    ]  # fmt: skip
    assert network_kind(Path(path), table) == kind


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    table = [Mount("/", "ext4"), Mount(str(tmp_path / "far"), "nfs")]
    assert network_kind(tmp_path / "near" / "x.db", table) == "nfs"


def test_this_machines_temporary_folder_is_local(tmp_path: Path) -> None:
    assert network_kind(tmp_path) == ""


def test_a_run_goes_to_a_file_of_this_process_and_the_user_is_told(tmp_path: Path, mounts) -> None:
    spec = samples.spec()
    with Store.open(tmp_path / "results.db", mounts=mounts) as store:
        (notice,) = store.notices
        own = tmp_path / f"results-{socket.gethostname()}-{os.getpid()}.db"
        assert "nfs4" in notice
        assert str(own) in notice
        assert f"vla-bench merge {tmp_path}/results-*-*.db --db {tmp_path}/results.db" in notice
        store.begin_run(spec)
        store.add(spec.name, samples.results(spec.plan, ["success"]))
        assert store.location.path == own
    assert not (tmp_path / "results.db").exists()
    with sqlite3.connect(own) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()


def test_looking_leaves_no_file(tmp_path: Path, mounts) -> None:
    with Store.open(tmp_path / "results.db", mounts=mounts) as store:
        assert store.summaries() == []
    assert list(tmp_path.iterdir()) == []


def test_runs_of_all_processes_are_seen_and_resumed(tmp_path: Path, mounts, pid) -> None:
    spec = samples.spec()
    for number, part in ((101, slice(0, 2)), (102, slice(2, 4))):
        pid(number)
        with Store.open(tmp_path / "results.db", mounts=mounts) as store:
            store.begin_run(spec)
            store.add(spec.name, [samples.result(episode) for episode in spec.plan.episodes[part]])
            store.finish(spec.name)
    pid(103)
    with Store.open(tmp_path / "results.db", mounts=mounts) as store:
        assert store.summary(spec.name).n_judged == 4
        assert [run.n_judged for run in store.summaries()] == [4]
        assert store.begin_run(spec).is_resumed
        assert len(store.outcomes(spec.name)) == 4
        store.add(spec.name, [samples.result(episode) for episode in spec.plan.episodes[4:]])
        assert store.finish(spec.name).rate == 1.0
        digest = store.attempts_of(spec.name, spec.plan.episodes[0].id)[0].trace_digest
        assert len(store.trace(digest).actions) == 16


def test_reading_sees_the_files_of_all_processes(tmp_path: Path, mounts) -> None:
    spec = samples.spec()
    with Store.open(tmp_path / "results.db", mounts=mounts) as store:
        store.begin_run(spec)
        store.add(spec.name, samples.results(spec.plan, ["success"]))
    files = sorted(tmp_path.iterdir())
    with Store.open(tmp_path / "results.db", read_only=True, mounts=mounts) as store:
        assert store.summary(spec.name).n_judged == 1
        with pytest.raises(StoreReadOnly):
            store.begin_run(spec)
    assert sorted(tmp_path.iterdir()) == files
    assert network.result_files(tmp_path / "results.db") == [path for path in files if path.suffix == ".db"]


def test_the_files_are_put_together_by_merge(tmp_path: Path, mounts, pid) -> None:
    spec = samples.spec()
    for number in (101, 102):
        pid(number)
        with Store.open(tmp_path / "results.db", mounts=mounts) as store:
            store.begin_run(spec)
            store.add(spec.name, samples.results(spec.plan, ["success"] * (number - 98)))
    parts = sorted(tmp_path.glob("results-*-*.db"))
    assert len(parts) == 2
    with Store.open(tmp_path / "results.db", sole_writer=True, mounts=mounts) as target:
        (summary,) = merge(target, parts)
        assert (summary.n_judged, summary.n_attempts, target.notices) == (4, 4, [])


def test_a_fresh_run_takes_a_name_that_nobody_has(tmp_path: Path, mounts, pid) -> None:
    spec = samples.spec()
    names = []
    for number in (101, 102):
        pid(number)
        with Store.open(tmp_path / "results.db", mounts=mounts) as store:
            names.append(store.begin_run(spec, fresh=True).name)
    assert names == ["a-run", "a-run-2"]


def test_files_that_do_not_fit_are_left_out_and_named(tmp_path: Path, mounts, pid) -> None:
    spec = samples.spec()
    (tmp_path / "results-host-7.db").write_bytes(b"garbage" * 1000)
    for number, settings in ((101, EvalSettings()), (102, EvalSettings(replan_horizon=2))):
        path = tmp_path / f"results-host-{number}.db"
        with Store.open(path) as store:
            store.begin_run(replace(spec, settings=settings))
            store.add(spec.name, samples.results(spec.plan, ["success"]))
    with Store.open(tmp_path / "results.db", mounts=mounts) as store:
        told = "\n".join(store.notices[1:])
        assert "results-host-7.db" in told
        assert "results-host-102.db" in told
        assert "replan_horizon" in told
        assert list(store.outcomes(spec.name).values()) == [Outcome.SUCCESS]


def test_nothing_is_changed_before_a_merge(tmp_path: Path, mounts) -> None:
    with Store.open(tmp_path / "results-host-1.db") as store:
        store.begin_run(samples.spec())
    with (
        Store.open(tmp_path / "results.db", mounts=mounts) as store,
        pytest.raises(StoreReadOnly, match="vla-bench merge"),
    ):
        store.delete("a-run")
