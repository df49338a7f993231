"""Pages about the board itself: method, how to submit, the public log, a submission, the service's state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from vla_bench.server import health
from vla_bench.server.accounts.access import principal_or_none
from vla_bench.server.accounts.people import Scope
from vla_bench.server.boards import read
from vla_bench.server.boards.marks import DOES_NOT_PROVE, PROVES, Mark
from vla_bench.server.boards.views import LogEntry, SubmissionPage
from vla_bench.server.pages.changes import score_changes
from vla_bench.server.pages.site import address, database, link, render
from vla_bench.server.pages.words import safe_url, value_text
from vla_bench.server.submissions.attestations import ATTESTED, attestations_of
from vla_bench.server.submissions.disputes import ANSWER_DAYS, ANSWERED, LONGEST, OPENED, SHORTEST, disputes_of
from vla_bench.server.submissions.moderation import SHORTEST_REASON
from vla_bench.server.submissions.states import LISTED

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
STATES = {
    "open": "Parts of the bundle are arriving.",
    "sealed": "The bundle is whole and cannot change. From here on it is listed for good, or refused.",
    "checking": "Schema, plan, episodes and traces are being checked, and every number recomputed.",
    "refused": "A check failed. The reason is kept, no number is; the bundle is deleted after a time.",
    "listed": "It stands on its board, self-reported.",
    "auditing": "Episodes that the server drew are being replayed.",
    "replayed": "Every drawn episode agreed with its replay.",
    "disputed": "A replay deviated. The mark is withheld, all episodes are replayed, and people look at it.",
    "re-running": "Maintainers run the policy on a plan that was drawn after its registration.",
    "re-run": "Maintainers ran the policy, and it agreed.",
    "retracted": "Its owner took it back. The row stays, struck, with the reason.",
    "withdrawn": "Maintainers took it off. The row stays, struck, with the public reason.",
}


@router.get("/methodology")
def methodology(request: Request) -> Response:
    """How it is measured, and what each mark proves."""
    marks = [(str(mark), PROVES[mark], DOES_NOT_PROVE[mark]) for mark in Mark]
    return render(
        request, "methodology.html", etag="methodology", marks=marks, states=STATES.items(), answer_days=ANSWER_DAYS
    )


@router.get("/latency")
def latency(request: Request) -> Response:
    """Answer times, one table a device and precision."""
    found = database(request)
    return render(request, "latency.html", etag=read.etag(found), tables=read.latency_tables(found))


@router.get("/scores")
def scores(request: Request) -> Response:
    """What can move a score, by version: the changelog's own words."""
    return render(request, "scores.html", etag="scores", versions=score_changes())


@router.get("/submit")
def submit(request: Request) -> Response:
    """How a run is submitted."""
    settings = request.app.state.settings
    server = address(request, "/").rstrip("/")
    return render(request, "submit.html", etag=f"submit{server}", is_open=settings.accepts_submissions, server=server)


@router.get("/log")
def log(request: Request) -> Response:
    """The public log."""
    kind, subject, after = (request.query_params.get(name, "")[:200] for name in ("kind", "subject", "after"))
    page = read.log_page(database(request), subject_kind=kind, subject=subject, after=after)
    return render(
        request,
        "log.html",
        etag=page.etag,
        subject_kind=kind,
        subject=subject,
        lines=[log_line(entry) for entry in page.entries],
        next=link("/log", kind=kind, subject=subject, after=page.next_after) if page.next_after else "",
        first=link("/log", kind=kind, subject=subject) if after else "",
    )


def log_line(entry: LogEntry) -> dict[str, str]:
    """A line of the log in words, with the page of what it is about."""
    pages = {"submission": "/submissions/", "board": "/boards/", "run": "/runs/"}
    is_page = entry.subject_kind in pages and (entry.subject_kind != "run" or entry.subject.isdecimal())
    return {
        "at": entry.at[:19].replace("T", " "),
        "actor": entry.actor,
        "action": entry.action.replace("_", " "),
        "kind": entry.subject_kind,
        "subject": entry.subject,
        "target": pages[entry.subject_kind] + entry.subject if is_page else "",
        "detail": value_text(dict(entry.detail)) if entry.detail else "",
    }


@router.get("/submissions/{submission_id}")
def submission(request: Request, submission_id: str) -> Response:
    """A submission: where it stands and how it got there."""
    principal = principal_or_none(request)
    page = read.submission_page(database(request), submission_id, reader=principal.name if principal else "")
    is_owner = principal is not None and principal.name == page.account
    may_retract = is_owner and page.state in LISTED and Scope.SUBMIT in principal.scopes
    disputes = disputes_of(page.log)
    may_dispute = principal is not None and Scope.SUBMIT in principal.scopes and page.state in LISTED
    may_answer = principal is not None and Scope.ADMIN in principal.scopes
    links = [url for item in page.declaration.get("links", ()) if (url := safe_url(item))]
    declared = {name: value for name, value in page.declaration.items() if name != "links"}
    return render(
        request,
        "submission.html",
        # Forms and what is overdue are not for keeping.
        etag="" if principal is not None or disputes else page.etag,
        page=page,
        may_retract=may_retract,
        shortest_reason=SHORTEST_REASON,
        disputes=disputes,
        may_dispute=may_dispute,
        may_answer=may_answer,
        answer_days=ANSWER_DAYS,
        dispute_lengths=(SHORTEST, LONGEST),
        attestations=attestations_of(page.log),
        is_listed=page.state in LISTED,
        meaning=STATES.get(page.state, ""),
        way=_way(page),
        links=links,
        declared=[(name.replace("_", " "), value_text(value)) for name, value in declared.items()],
        identity=_identity(page),
    )


def _way(page: SubmissionPage) -> list[dict[str, Any]]:
    steps = []
    for entry in page.log:
        if entry.action in (OPENED, ANSWERED, ATTESTED):
            continue
        detail: Mapping[str, Any] = entry.detail
        name = str(detail.get("to") or entry.action.removeprefix("submission_").replace("_", " "))
        steps.append({"name": name, "at": entry.at[:19].replace("T", " "), "detail": str(detail.get("reason") or "")})
    if not steps:
        steps.append({"name": page.state, "at": page.updated_at[:19].replace("T", " "), "detail": page.reason})
    return [step | {"is_here": index == len(steps) - 1} for index, step in enumerate(steps)]


def _identity(page: SubmissionPage) -> list[tuple[str, str]]:
    return [
        ("plan", page.plan_hash or "not known yet"),
        ("policy digest", page.policy_digest or "not known yet"),
        ("settings", page.eval_hash or "not known yet"),
        ("bundle", f"{page.bundle_digest or 'not sealed yet'}, {page.bundle_size:,} bytes"),
        ("begun", page.created_at),
        ("sealed", page.sealed_at or "not yet"),
        ("changed", page.updated_at),
    ]


@router.get("/status")
def status(request: Request) -> Response:
    """Whether the service can do its work."""
    found: dict[str, str] = json.loads(bytes(health.readyz(request).body))
    overall = found.pop("status")
    said = {
        "ok": "Everything works.",
        "degraded": "Pages and submissions work; replays wait for a worker.",
        "unavailable": "A part does not answer. Pages may be missing until it does.",
    }
    return render(request, "status.html", overall=overall, said=said.get(overall, ""), parts=found.items())
