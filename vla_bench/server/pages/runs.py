"""Pages of a run: the run itself, its list of episodes, one episode with what was commanded and what it looked like."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, RedirectResponse, Response

from vla_bench.results.stats.bins import count_bins
from vla_bench.server.boards import read
from vla_bench.server.boards.marks import DOES_NOT_PROVE
from vla_bench.server.boards.views import EpisodePage, RunPage, TaskLine
from vla_bench.server.fetching.names import local_name
from vla_bench.server.pages.charts import BarChart, action_chart, latency_chart, survival_chart
from vla_bench.server.pages.films import FilmCabinet, StoredFilm
from vla_bench.server.pages.policies import cell_parts
from vla_bench.server.pages.site import address, database, link, render
from vla_bench.server.pages.words import amount, bounds, level, ms_text, named, number, value_text
from vla_bench.server.problems import Problem
from vla_bench.spec.outcomes import Outcome

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
MOST_TILES = 120
"""Tasks that a page shows: of more, those with the lowest rates."""
FIRST_EPISODES = 10
FEWEST_ANSWERS = 5
_OUTCOMES = ("", *(outcome.value for outcome in Outcome if outcome is not Outcome.NOT_RUN))
_EPISODE = re.compile(r"[0-9a-f]{4,64}")


def _run_id(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise Problem(404)
    return int(text)


def _episode_id(text: str) -> str:
    if not _EPISODE.fullmatch(text):
        raise Problem(404)
    return text


@router.get("/runs/{run}")
def run(request: Request, run: str) -> Response:
    """A run: its score, its parts and tasks, where it comes from."""
    run_id = _run_id(run)
    page = read.run_page(database(request), run_id)
    episodes = read.episodes_page(database(request), run_id, size=FIRST_EPISODES)
    path = f"/runs/{run_id}"
    columns = [column for column in page.columns if column.kind not in ("task", "stage")]
    parts, parts_axis = cell_parts(page.row, columns)
    chains = page.summary.chains
    shares = [stage.rate for stage in chains.stages] if chains else []
    return render(
        request,
        "run.html",
        etag=page.etag,
        page=page,
        path=path,
        does_not_prove=DOES_NOT_PROVE[page.row.mark.mark],
        survival=survival_chart([(page.row.policy, shares)]) if len(shares) > 1 else None,
        parts=parts,
        parts_axis=parts_axis,
        part_kind=" and ".join(dict.fromkeys(column.key.partition(":")[0] for column in columns)),
        tiles=[_tile(task, path) for task in _lowest(page)],
        latency=latency_chart(page.row.efficiency.get("bins") or {}),
        costs=list(_costs(page)),
        episodes_page=episodes,
        declared=named(page.declaration),
        provenance=list(_provenance(page)),
        protocol=named(page.suite.get("protocol") or {}),
        settings=named(page.summary.settings),
        machines=[_machine(machine, n) for machine, n in page.machines],
        notes=page.row.notes,
        check=_check_lines(page, address(request, path)),
    )


def _check_lines(page: RunPage, here: str) -> str:
    """What a reader types who does not believe it; of a run that nobody submitted, what its owner types."""
    if not page.row.submission_id:
        return shlex.join(["vla-bench", "verify", page.row.run, "--all"])
    return f"vla-bench leaderboard fetch {here}\nvla-bench verify {local_name(page.row.run)} --all"


def _lowest(page: RunPage) -> list[TaskLine]:
    if len(page.tasks) <= MOST_TILES:
        return list(page.tasks)
    ordered = sorted(page.tasks, key=lambda task: (task.rate is None, task.rate or 0.0, task.position))
    return sorted(ordered[:MOST_TILES], key=lambda task: task.position)


def _tile(task: TaskLine, path: str) -> dict[str, Any]:
    return {
        "task": task.task,
        "instruction": task.instruction,
        "counts": f"{task.k}/{task.n}",
        "rate": "—" if task.rate is None else f"{100 * task.rate:.0f}",
        "bounds": bounds(task.low, task.high) or "—",
        "steps": number(task.mean_steps),
        "level": level(task.rate),
        "href": link(f"{path}/episodes", task=task.task),
    }


def _costs(page: RunPage) -> Iterator[tuple[str, str]]:
    times = page.summary.latencies
    if not times.n_queries:
        return
    yield "median answer", ms_text(times.policy_p50_ms)
    yield "95th percentile", ms_text(times.policy_p95_ms)
    yield "longest", ms_text(times.policy_max_ms)
    yield "answers", number(times.n_queries)
    yield "simulator and renderer, mean step", ms_text(times.env_mean_ms)
    for name in ("device", "precision", "batch"):
        if page.row.efficiency.get(name):
            yield name, value_text(page.row.efficiency[name])


def _provenance(page: RunPage) -> Iterator[tuple[str, str]]:
    summary = page.summary
    yield "suite", f"{summary.suite} {summary.protocol}"
    yield "policy", f"{summary.policy} {summary.policy_version}".strip()
    yield "weights", page.row.weights_digest or "none declared"
    yield "policy digest", summary.policy_digest
    yield "plan", page.plan_hash
    yield "settings", summary.eval_hash
    yield "command", page.command or "not recorded"
    yield "episodes", summary.score_line
    yield "attempts", amount(summary.n_attempts, "attempt")
    if summary.flags:
        yield "flags", value_text(dict(summary.flags))
    if summary.n_clipped:
        yield "clipped actions", number(summary.n_clipped)
    yield "started", summary.started_at or "not recorded"
    yield "finished", summary.finished_at or "not finished"
    yield "harness", page.row.harness or "not recorded"
    if source := summary.fetched_from:
        yield "fetched from", source
    elif summary.origin:
        yield "imported from", value_text(dict(summary.origin))


def _machine(machine: Mapping[str, Any], n_attempts: int) -> dict[str, Any]:
    return {"name": f"A machine, {amount(n_attempts, 'attempt')}", "facts": named(machine)}


@router.get("/runs/{run}/episodes")
def episodes(request: Request, run: str) -> Response:
    """The episodes of a run, by task and outcome."""
    run_id, query = _run_id(run), request.query_params
    task, outcome, after = (query.get(name, "")[:300] for name in ("task", "outcome", "after"))
    if outcome not in _OUTCOMES:
        raise Problem(400, f"there is no outcome {outcome!r}; there are {', '.join(_OUTCOMES[1:])}")
    page = read.episodes_page(database(request), run_id, task=task, outcome=outcome, after=after)
    path = f"/runs/{run_id}"
    here = f"{path}/episodes"
    return render(
        request,
        "episodes.html",
        etag=page.etag,
        page=page,
        path=path,
        outcomes=_OUTCOMES,
        next=link(here, task=task, outcome=outcome, after=page.next_after) if page.next_after else "",
        first=link(here, task=task, outcome=outcome) if after else "",
    )


@router.get("/runs/{run}/episodes/{episode}")
def episode(request: Request, run: str, episode: str) -> Response:
    """One episode."""
    run_id, episode_id = _run_id(run), _episode_id(episode)
    store = request.app.state.store
    page = read.episode_page(database(request), store.traces, run_id, episode_id)
    path = f"/runs/{run_id}/episodes/{page.line.episode_id}"
    cabinet = _cabinet(request)
    film = cabinet.find(_film_key(page))
    no_film = "" if film else cabinet.obstacle(page.head.suite, page.head.protocol, has_trace=page.actions is not None)
    state = cabinet.state(_film_key(page))
    return render(
        request,
        "episode.html",
        etag=f"{page.etag}{film is not None}{state}",
        page=page,
        path=path,
        run_path=f"/runs/{run_id}",
        summary=_summary(page),
        film=_film_view(film, path) if film else None,
        can_film=not no_film,
        no_film=no_film,
        film_state=state,
        actions=_actions(page),
        latency=_latency(page),
        identity=list(_identity(page)),
    )


def _film_key(page: EpisodePage) -> str:
    """What a film is of: the trace of the attempt that counts, which nothing else has."""
    return page.attempts[-1].trace_digest if page.attempts else ""


def _summary(page: EpisodePage) -> str:
    line = page.line
    said = (
        f"after {amount(line.n_steps, 'step')} of at most {page.horizon:,}."
        if page.horizon
        else f"after {amount(line.n_steps, 'step')}."
    )
    if page.stages:
        done = sum(stage.success for stage in page.stages)
        said += f" {amount(done, 'subtask')} done in a row."
    if line.n_attempts > 1:
        said += f" Attempt {line.n_attempts} counts; the ones before were lost."
    return said


def _actions(page: EpisodePage) -> Any:
    if page.actions is None or page.query_steps is None:
        return None
    begun, stages = 0, []
    for stage in page.stages:
        if begun:
            stages.append((begun, stage.instruction))
        begun += stage.n_steps
    has_gripper = any("gripper" in name for name in page.action_names)
    return action_chart(
        page.actions, page.action_names, page.query_steps.tolist(), stages=stages, gripper=-1 if has_gripper else None
    )


def _latency(page: EpisodePage) -> BarChart | None:
    """A histogram where there are enough answers for a shape."""
    if page.latency_ms is None or len(page.latency_ms) < FEWEST_ANSWERS:
        return None
    return latency_chart(count_bins(page.latency_ms))


def _identity(page: EpisodePage) -> Iterator[tuple[str, str]]:
    yield "episode", page.line.episode_id
    yield "position in the plan", number(page.line.position + 1)
    yield "env seed", str(page.env_seed)
    yield "policy seed", str(page.policy_seed)
    if page.params:
        yield "variant", value_text(dict(page.params))
    if page.line.flags:
        yield "flags", ", ".join(page.line.flags)
    for attempt in page.attempts[-1:]:
        yield "trace", attempt.trace_digest or "none stored"
        yield "final state", attempt.final_digest or "not reached"
        yield "machine", value_text(dict(attempt.machine)) if attempt.machine else "not recorded"
        yield "started", attempt.started_at or "not recorded"


def _film_view(film: StoredFilm, path: str) -> dict[str, Any]:
    def url(name: str) -> str:
        return link(f"{path}/film/{name}", v=film.key[:12])

    return {
        "agreement": film.agreement,
        "stills": [{"url": url(name), "step": step} for name, step in film.stills],
        "width": film.width,
        "height": film.height,
        "video": url(film.video) if film.video else "",
        "video_width": film.video_width,
        "video_height": film.video_height,
    }


@router.post("/runs/{run}/episodes/{episode}/film")
def make_film(request: Request, run: str, episode: str) -> Response:
    """Replay an episode and keep its pictures; waits for them a while, then says where it stands.

    Anyone may ask, from this site or another: the cabinet makes one at a time, keeps what it made, and refuses more.
    """
    run_id, episode_id = _run_id(run), _episode_id(episode)
    store = request.app.state.store
    page = read.episode_page(database(request), store.traces, run_id, episode_id)
    cabinet, key = _cabinet(request), _film_key(page)
    if obstacle := cabinet.obstacle(page.head.suite, page.head.protocol, has_trace=page.actions is not None):
        raise Problem(409, obstacle, kind="no-film")
    cabinet.make(store, page.row.run, page.line.episode_id, key)
    return RedirectResponse(f"/runs/{run_id}/episodes/{page.line.episode_id}#film", status_code=303)


@router.get("/runs/{run}/episodes/{episode}/film/{name}")
def film_file(request: Request, run: str, episode: str, name: str) -> Response:
    """A picture or the film of an episode, where it was made."""
    run_id, episode_id = _run_id(run), _episode_id(episode)
    store = request.app.state.store
    page = read.episode_page(database(request), store.traces, run_id, episode_id)
    film = _cabinet(request).find(_film_key(page))
    found = film.file(name) if film else None
    if found is None:
        raise Problem(404)
    return FileResponse(found, headers={"Cache-Control": "public, max-age=31536000, immutable"})


def _cabinet(request: Request) -> FilmCabinet:
    """Where films are kept: one for the service, made at its first use."""
    found: FilmCabinet | None = getattr(request.app.state, "films", None)
    if found is None:
        found = request.app.state.films = FilmCabinet(film_folder(request))
    return found


def film_folder(request: Request) -> Path:
    """Beside local traces; in the system's folder for temporary files where traces are elsewhere."""
    from tempfile import gettempdir

    store = request.app.state.store
    return store.traces.path.with_name("films") if store.traces.is_local else Path(gettempdir()) / "vla-bench-films"
