"""From a bundle that anybody may have made to checked rows. Nothing is stored and nothing is written here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from vla_bench.server.submissions.bundle import manifest as forms
from vla_bench.server.submissions.bundle.archive import LIMITS, ArchiveLimits, Member, read_archive
from vla_bench.server.submissions.declaration import explain
from vla_bench.spec.errors import SubmissionRefused

__all__ = ["Bundle", "read_bundle"]

MOST_TOLD = 5
MOST_ROWS = 200_000
"""Lines of a table: each becomes some kilobytes of memory, and a line may have two bytes."""
_MOST_LINE = 1 << 20
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_Form = TypeVar("_Form", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle, its traces not read yet.

    Attributes:
        manifest: what it says it is; the digests in it hold.
        suite, policy, summary: plain content, as claimed.
        plan: canonical JSON of the planned episodes; its SHA-256 is the manifest's plan hash.
        machines: fingerprints.
        episodes, attempts: rows, each of the right form.
        traces: gives digest and zstd-packed bytes of each trace, in ascending order; to be read once.
    """

    manifest: forms.Manifest
    suite: dict[str, Any]
    policy: dict[str, Any]
    plan: bytes
    machines: list[dict[str, Any]]
    summary: dict[str, Any]
    episodes: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    traces: Iterator[tuple[str, bytes]]


def read_bundle(source: BinaryIO, packed_bytes: int, limits: ArchiveLimits = LIMITS) -> Bundle:
    """Read all but the traces, and check form and digests.

    Args:
        source: the bytes of the bundle.
        packed_bytes: how many there are.
        limits: what it may cost.

    Raises:
        SubmissionRefused: it is no bundle, exceeds a limit, or contradicts its own manifest; reading `traces` raises it
            too.
    """
    members = read_archive(source, packed_bytes, forms.limit_of, limits)
    claimed = _map(_next(members, forms.MANIFEST).data, forms.MANIFEST)
    if (format_ := claimed.get("format")) != forms.FORMAT:
        raise SubmissionRefused(
            f"the bundle has the format {str(format_)[:40]!r}, this version reads {forms.FORMAT!r}. Where it is newer, "
            "type: pip install --upgrade vla-bench"
        )
    manifest = _form(forms.Manifest, claimed, "manifest")
    if set(manifest.members) != set(forms.TABLES):
        raise SubmissionRefused(f"the manifest lists other members than {', '.join(forms.TABLES)}")
    tables = {name: _table(members, name, manifest.members[name]) for name in forms.TABLES}
    if (found := hashlib.sha256(tables[forms.PLAN]).hexdigest()) != manifest.plan_hash:
        raise SubmissionRefused(f"the plan has hash {found[:16]}, the manifest says {manifest.plan_hash[:16]}")
    return Bundle(
        manifest=manifest,
        suite=_map(tables[forms.SUITE], forms.SUITE),
        policy=_map(tables[forms.POLICY], forms.POLICY),
        plan=tables[forms.PLAN],
        machines=_machines(tables[forms.MACHINES]),
        summary=_map(tables[forms.SUMMARY], forms.SUMMARY),
        episodes=_rows(forms.EpisodeLine, tables[forms.ROWS_OF_EPISODES], forms.ROWS_OF_EPISODES),
        attempts=_rows(forms.AttemptLine, tables[forms.ROWS_OF_ATTEMPTS], forms.ROWS_OF_ATTEMPTS),
        traces=_traces(members, manifest.n_traces),
    )


def _next(members: Iterator[Member], wanted: str) -> Member:
    member = next(members, None)
    if member is None or member.name != wanted:
        found = f"member {member.name!r}" if member else "the end"
        raise SubmissionRefused(f"the bundle has {found} where {wanted} is expected")
    return member


def _table(members: Iterator[Member], name: str, digest: str) -> bytes:
    member = _next(members, name)
    if (found := hashlib.sha256(member.data).hexdigest()) != digest:
        raise SubmissionRefused(f"{name} has digest {found[:16]}, the manifest says {digest[:16]}: it was changed")
    return member.data


def _traces(members: Iterator[Member], n_traces: int) -> Iterator[tuple[str, bytes]]:
    """Traces in ascending order of their digests: so none comes twice."""
    last, count = "", 0
    for member in members:
        digest = forms.trace_of_member(member.name)
        if not digest:
            raise SubmissionRefused(f"member {member.name!r} stands twice, or not in its place")
        if digest <= last:
            raise SubmissionRefused(f"trace {digest[:16]} stands twice, or not in its place")
        last, count = digest, count + 1
        yield digest, member.data
    if count != n_traces:
        raise SubmissionRefused(f"the bundle has {count} traces, its manifest says {n_traces}")


def _json(data: bytes, name: str) -> Any:
    try:
        text = data.decode()
        found = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        if "\\u" in text:
            _check_is_storable(found)
    except (ValueError, RecursionError) as error:
        raise SubmissionRefused(f"{name} is no JSON of ours: {str(error)[:200] or type(error).__name__}") from error
    return found


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is no finite number")
    return number


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _check_is_storable(value: Any) -> None:
    """Escapes can make text that no database takes: NUL, lone surrogates.

    Raises:
        ValueError: they did.
    """
    text = json.dumps(value, ensure_ascii=False)
    text.encode()
    if _NUL.search(text):
        raise ValueError("a text holds the character NUL")


def _map(data: bytes, name: str) -> dict[str, Any]:
    found = _json(data, name)
    if not isinstance(found, dict):
        raise SubmissionRefused(f"{name} is no map")
    return found


def _form(form: type[_Form], value: Any, what: str) -> _Form:
    try:
        return form.model_validate(value)
    except ValidationError as error:
        raise SubmissionRefused(*explain(error, what)[:MOST_TOLD]) from error


def _machines(data: bytes) -> list[dict[str, Any]]:
    found = _json(data, forms.MACHINES)
    if not isinstance(found, list):
        raise SubmissionRefused(f"{forms.MACHINES} is no list")
    return [_form(forms.MachineLine, item, f"{forms.MACHINES} {i}").model_dump() for i, item in enumerate(found)]


def _rows(form: type[BaseModel], data: bytes, name: str) -> list[dict[str, Any]]:
    rows = []
    if data.count(b"\n") + data.count(b"\r") > MOST_ROWS:
        raise SubmissionRefused(f"{name} has more than {MOST_ROWS} lines")
    for number, line in enumerate(data.splitlines(), start=1):
        if len(line) > _MOST_LINE:
            raise SubmissionRefused(f"line {number} of {name} has {len(line)} bytes, the limit is {_MOST_LINE}")
        rows.append(_form(form, _json(line, f"line {number} of {name}"), f"{name} line {number}").model_dump())
    keys = [_key(row) for row in rows]
    if twice := next((key for key, following in pairwise(sorted(keys)) if key == following), None):
        raise SubmissionRefused(f"{name} has {' '.join(map(str, twice))} twice")
    return rows


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return ("episode", row["episode_id"], *(("attempt", row["attempt"]) if "attempt" in row else ()))
