"""Names in the docs equal those in the code, and the other way round."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import subprocess
import sys
import tomllib
from typing import Any

import httpx2
import pytest

from tests.docs.pages import ROOT, first_cells, read
from vla_bench.policies.builtin.noop import NoopPolicy
from vla_bench.policies.grpc.wire import METHODS
from vla_bench.policies.host import PolicyHost
from vla_bench.policies.http.app import PolicyApp
from vla_bench.policies.http.exchange import STATUS
from vla_bench.spec import conventions, plugins
from vla_bench.spec.canonical import TEST_VECTOR
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Identity, Observation, PolicyInfo
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.suite import ActionBounds

POLICY_API = "reference/policy-api.md"


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def test_pages_made_from_the_code_are_what_the_code_says() -> None:
    """Commands, options, exit codes, errors, settings, public names and JSON schemas."""
    command = [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_object_has_a_docstring() -> None:
    without = re.findall(r"^\| `(\w+)` \|  \|$", read("reference/python.md"), flags=re.MULTILINE)
    assert set(without) <= {"__version__"}


def test_outcomes_are_documented() -> None:
    assert set(first_cells("outcomes.md")) == {outcome.value for outcome in Outcome} | {b.value for b in ActionBounds}


def test_entry_point_groups_are_documented() -> None:
    groups = {plugins.SUITES, plugins.POLICIES, plugins.EXPERTS, plugins.EXECUTORS}
    assert set(first_cells("reference/entry-points.md", "## Entry points")) == groups
    assert groups == set(project()["entry-points"])


def test_extras_are_documented() -> None:
    assert set(first_cells("reference/entry-points.md", "## Extras")) == set(project()["optional-dependencies"])


async def openapi(app: PolicyApp) -> dict[str, Any]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://policy") as client:
        table: dict[str, Any] = (await client.get("/openapi.json")).json()
        return table


async def served_endpoints() -> set[str]:
    host = PolicyHost(NoopPolicy())
    try:
        paths = (await openapi(PolicyApp(host)))["paths"]
    finally:
        await host.stop()
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def test_endpoints_are_documented() -> None:
    documented = {cell for cell in first_cells(POLICY_API, "## HTTP") if "/" in cell}
    assert documented == asyncio.run(served_endpoints())


def test_statuses_are_documented() -> None:
    rows = dict(re.findall(r"^\| (\d{3}) \| `(\w+)` \|$", read(POLICY_API), flags=re.MULTILINE))
    assert rows == {str(status): error.kind for error, status in STATUS.items()}


def test_grpc_methods_are_documented() -> None:
    assert set(first_cells(POLICY_API, "## gRPC")) == set(METHODS)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("### Identity", Identity),
        ("### Observation", Observation),
        ("### Chunk", ActionChunk),
        ("### Reset", EpisodeInfo),
    ],
)
def test_message_fields_are_documented(heading: str, kind: type) -> None:
    documented = set(first_cells(POLICY_API, heading)) - {"episode"}
    assert documented == {field.name for field in dataclasses.fields(kind)} - {"episode"}


def test_handshake_fields_are_documented() -> None:
    outer = {"policy", "digest", "server"}
    documented = set(first_cells(POLICY_API, "### Handshake"))
    assert documented - outer == {field.name for field in dataclasses.fields(PolicyInfo)}
    assert outer <= documented


@pytest.mark.parametrize("kind", [conventions.ActionConvention, conventions.ImageConvention])
def test_convention_fields_are_documented(kind: type) -> None:
    heading = "## Actions" if kind is conventions.ActionConvention else "## Pictures"
    assert set(first_cells("reference/conventions.md", heading)) == {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize(
    "values", [conventions.Rotation, conventions.Frame, conventions.Reference, conventions.Gripper]
)
def test_convention_values_are_documented(values: type[conventions.Rotation]) -> None:
    text = read("reference/conventions.md")
    assert [value for value in values if f"`{value.value}`" not in text] == []


def test_canonical_json_vector_is_the_published_one() -> None:
    page = read("reference/canonical-json.md")
    value, text, digest = TEST_VECTOR
    assert text.replace("\u2028", "\\u2028") in page
    assert digest in page
    (source,) = re.findall(r"```python\n(.*?)\n```", page, flags=re.DOTALL)
    assert eval(source) == value


def test_environment_variables_are_documented() -> None:
    documented = set(first_cells("reference/environment.md"))
    code = [path.read_text(encoding="utf-8") for path in (ROOT / "vla_bench").rglob("*.py")]
    used = {name for text in code for name in re.findall(r"\bVLA_BENCH_[A-Z_]+\b", text)}
    used |= {name for text in code for name in re.findall(r"environ(?:\.get)?[\[(]\"([A-Z_]+)\"", text)}
    # The service's own table is compared with its settings by the service's tests.
    used = {name for name in used if not name.startswith("VLA_BENCH_BOARD_")}
    assert used - documented == {"TERM"} & used
    assert {name for name in documented if name.startswith("VLA_BENCH_")} <= used


def test_dependencies_are_documented_with_a_reason_and_a_licence() -> None:
    requirements = [*project()["dependencies"]]
    for extra in project()["optional-dependencies"].values():
        requirements += extra
    names = {re.split(r"[\[<>=;! ]", requirement)[0] for requirement in requirements} - {"vla-bench"}
    rows = dict(re.findall(r"^\| ([\w.-]+) \| .+ \| (.+) \|$", read("dependencies.md"), flags=re.MULTILINE))
    assert set(rows) - {"package"} == names
