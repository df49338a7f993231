"""The wheel that a suite's own environment gets: the running code, valid, the same from wherever it is packed."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from vla_bench import __version__
from vla_bench.envs.runtime.installing.wheel import pack_wheel, worker_digest


def test_every_member_is_recorded_with_its_hash(tmp_path: Path):
    with zipfile.ZipFile(pack_wheel(tmp_path)) as archive:
        about = f"vla_bench-{__version__}.dist-info"
        rows = {
            name: (digest, size)
            for name, digest, size in csv.reader(archive.read(f"{about}/RECORD").decode().splitlines())
        }
        assert set(rows) == set(archive.namelist())
        for name, (digest, size) in rows.items():
            if name.endswith("/RECORD"):
                assert (digest, size) == ("", "")
                continue
            data = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={expected}", str(len(data)))
        assert "vla_bench/envs/metaworld/protocols/standard-1.toml" in rows
        assert "vla_bench/envs/metaworld/requirements.lock" in rows
        assert not [name for name in rows if name.endswith(".pyc")]
        assert b"Name: vla-bench" in archive.read(f"{about}/METADATA")
        assert b"metaworld = vla_bench.envs.metaworld:family" in archive.read(f"{about}/entry_points.txt")


def test_the_same_files_give_the_same_bytes(tmp_path: Path):
    wheels = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        wheels.append(pack_wheel(tmp_path / name).read_bytes())
    assert wheels[0] == wheels[1]


def test_it_installs_and_what_is_installed_packs_the_same_wheel(tmp_path: Path):
    wheel = pack_wheel(tmp_path)
    there = tmp_path / "there"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile", "--target", there]
    subprocess.run([*pip, wheel], check=True, capture_output=True)
    program = (
        "import sys; from pathlib import Path; import vla_bench\n"
        "from vla_bench.envs.registry import find_suite\n"
        "from vla_bench.envs.runtime.installing.wheel import pack_wheel, worker_digest\n"
        "find_suite('metaworld_mt10')\n"
        "print(vla_bench.__file__, pack_wheel(Path(sys.argv[1])), worker_digest())"
    )
    again = tmp_path / "again"
    again.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(there)}
    done = subprocess.run(
        [sys.executable, "-c", program, again],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    location, packed, digest = done.stdout.split()
    assert Path(location).is_relative_to(there)
    assert Path(packed).read_bytes() == wheel.read_bytes()
    assert digest == worker_digest()
