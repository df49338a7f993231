"""What the tasks of a suite look like, on its page: files that `vla-bench pictures` wrote."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.server.pages import made_up
from tests.server.pages.test_pages import EVIL, read
from vla_bench.cli.display.sheet import save_each
from vla_bench.cli.exit import run_to_code
from vla_bench.cli.main import build_cli
from vla_bench.envs.registry import find_suite
from vla_bench.server.boards.views import SuitePage, SuiteTask

PAGE = "/suites/toy_reach"


@pytest.fixture
def folder(client: TestClient, tmp_path: Path) -> Path:
    """Where the service of these tests looks."""
    made = tmp_path / "task_pictures"
    client.app.state.settings = client.app.state.settings.model_copy(update={"pictures": str(made)})  # type: ignore[attr-defined]
    return made


def of_toy_reach(**more: object) -> SuitePage:
    tasks = tuple(
        SuiteTask(id=task.id, instruction=task.instruction, horizon=task.horizon, stages=(), tags=task.tags)
        for task in find_suite("toy_reach").tasks
    )
    return made_up.suite(**({"suite": "toy_reach", "tasks": tasks, "n_tasks": len(tasks)} | more))


def test_pictures_of_the_command_are_on_the_page(client: TestClient, shown: Callable[..., None], folder: Path) -> None:
    shown(suite_page=lambda *_, **asked: of_toy_reach())
    before = client.get(PAGE)
    assert "vla-bench pictures --suite toy_reach --folder" in before.text
    assert "<img" not in before.text
    assert run_to_code(build_cli(), ("pictures", "--suite", "toy_reach", "--folder", str(folder))) == 0
    after = client.get(PAGE, headers={"if-none-match": before.headers["etag"]})
    assert after.status_code == 200
    images = read(client, PAGE).all("img")
    tasks = [task.id for task in find_suite("toy_reach").tasks]
    assert [image["alt"] for image in images] == [f"First picture of task {task}" for task in tasks]
    for image in images:
        answer = client.get(image["src"])
        assert answer.headers["content-type"] == "image/webp"
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert 64 <= picture.width <= 240
            assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 5
    os.utime(folder / "toy_reach" / f"{tasks[0]}.webp", (1, 1))
    assert read(client, PAGE).all("img")[0]["src"] != images[0]["src"]
    (folder / "toy_reach" / f"{tasks[-1]}.webp").unlink()
    assert "— no picture has been made" in read(client, PAGE).text


def test_no_address_leads_out_of_the_folder(client: TestClient, folder: Path) -> None:
    inside = folder / "toy_reach"
    inside.mkdir(parents=True)
    for path in (folder.parent / "secret.webp", folder / "secret.webp", inside / "secret.txt"):
        path.write_bytes(b"secret")
    for name in (
        "../secret.webp",
        "../../secret.webp",
        "secret.txt",
        "secret",
        "x/../../secret.webp",
        ".webp",
        "%00.webp",
        f"{'x' * 300}.webp",
    ):
        for address in (f"{PAGE}/pictures/{name}", f"{PAGE}/pictures/{quote(name, safe='')}"):
            answer = client.get(address)
            assert answer.status_code in (400, 404), address
            assert answer.content != b"secret"
    assert client.get("/suites/%2E%2E/pictures/secret.webp").status_code == 404


def test_a_task_of_any_name_has_its_picture(client: TestClient, shown: Callable[..., None], folder: Path) -> None:
    names = (EVIL, "..", "a/b c", "Größe 3")
    tasks = tuple(replace(of_toy_reach().tasks[0], id=name) for name in names)
    shown(suite_page=lambda *_, **asked: of_toy_reach(tasks=tasks))
    save_each([(name, np.zeros((8, 8, 3), np.uint8)) for name in names], folder / "toy_reach", width=8)
    assert len(list((folder / "toy_reach").iterdir())) == len(names)
    images = read(client, PAGE).all("img")
    assert [image["alt"].removeprefix("First picture of task ") for image in images] == list(names)
    assert [client.get(image["src"]).status_code for image in images] == [200] * len(names)
