"""Write the pages of `docs/reference/` that repeat the code: commands, errors, exit codes, settings, JSON output.

    python scripts/reference.py            write them
    python scripts/reference.py --check    say which differ; exit code 1 where any does

Everything stands once, in the code; a test runs the check.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from vla_bench.cli.main import COMMANDS, build_cli
from vla_bench.cli.schemas import json_schemas
from vla_bench.harness.config import RunConfig
from vla_bench.policies.base import Deadlines
from vla_bench.results.runs import GroupMean, GroupSummary, LatencySummary, RunSummary, TaskSummary
from vla_bench.results.stats.rates import Interval
from vla_bench.results.stats.suites import ClusterInterval
from vla_bench.spec import errors, outcomes
from vla_bench.spec.outcomes import ExitCode
from vla_bench.spec.settings import EvalSettings

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Made from the code by scripts/reference.py (`make reference`). -->\n"


COMMANDS_OPENING = f"""# Commands

{NOTE}
Names of suites, tasks, policies and protocols are matched without regard to case, dashes and underscores. What is the
answer goes to standard output, what is the story to standard error.
"""

ERRORS_OPENING = f"""# Errors

{NOTE}
Every error that vla-bench raises on purpose is a `VlaBenchError` of `vla_bench.spec.errors`. They are grouped by who
must act, which is also the outcome of the episode. `kind` is stored with each attempt and shown in the score line.

| class | kind | outcome | exit code | |
|---|---|---|---|---|"""

EXIT_CODES_OPENING = f"""# Exit codes

{NOTE}
What the shell sees. 70 is never 1, so that a crash of ours never reads as a regression.

| code | name | meaning |
|---|---|---|"""

SETTINGS_OPENING = f"""# Settings

{NOTE}
## Evaluation settings

Everything on the policy's side that changes a score. Their canonical JSON makes the `eval_hash`: a run has one set, and
resuming with another is refused. Given as options of `vla-bench run`, under `settings:` of a policy's YAML file, or as
`settings=` of `vla_bench.evaluate`; the command line wins over the file.
"""

RUN_OPENING = """
## Run options

The arguments of `vla_bench.evaluate` and the fields of `RunConfig`. They change how a run goes; what it measures is
decided by policy, suite, protocol, tasks, trials, repeats and settings.
"""

DEADLINES_OPENING = """
## Deadlines

How long a run waits for a policy. A deadline is for the whole answer, however slowly its bytes drip.
"""

RUN_JSON_OPENING = """\
`show` and `run` print one `RunSummary`, `runs` an object with a list `runs` of them, each without its tasks and groups.
 Beside the fields below it has `schema`, `n_lost`, `not_run`, `coverage`, `is_complete`, `is_imported`, `is_oracle`
and `score_line`.
"""

PUBLIC_NAMES_OPENING = f"""## Public names

{NOTE}
What each room exports. Everything else may change without notice.
"""

ROOMS = (
    "vla_bench", "vla_bench.spec", "vla_bench.envs", "vla_bench.policies", "vla_bench.results", "vla_bench.harness",
    "vla_bench.testing",
)  # fmt: skip


def commands_page() -> str:
    """Every command with its usage, options and examples."""
    group = build_cli()
    lines = [COMMANDS_OPENING]
    for entry in COMMANDS:
        command = group.commands[entry.name].make_context(entry.name, [], resilient_parsing=True).command
        lines += _command(f"vla-bench {entry.name}", command, level=2)
    return "\n".join(lines)


def _command(name: str, command: Any, level: int) -> Iterator[str]:
    yield f"{'#' * level} {name}"
    yield ""
    yield _prose(command.help or "")
    yield ""
    leaves = getattr(command, "commands", {})
    if not leaves or command.invoke_without_command:
        yield from _parameters(command)
    for leaf_name, leaf in leaves.items():
        yield from _command(f"{name} {leaf_name}", leaf, level + 1)


def _parameters(command: Any) -> Iterator[str]:
    """Arguments, options and examples of what does something by itself."""
    arguments = [f"`{_placeholder(p)}`: {_text(p.help)}" for p in command.params if p.param_type_name == "argument"]
    if arguments:
        yield from (f"- {line}" for line in arguments)
        yield ""
    options = [p for p in command.params if p.param_type_name == "option" and not getattr(p, "hidden", False)]
    yield "| option | | default |"
    yield "|---|---|---|"
    for option in options:
        names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
        yield f"| {names} | {_text(option.help)}{_choices(option)} | {_default(option)} |"
    yield ""
    if examples := re.findall(r"\[bold\](.*?)\[/bold\]", command.epilog or ""):
        yield "```bash"
        yield from examples
        yield "```"
        yield ""


def _prose(text: str) -> str:
    return re.sub(r"\[/?[a-z ]+\]", "", inspect.cleandoc(text))


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _placeholder(param: Any) -> str:
    return param.metavar or (param.name or "").upper()


def _choices(option: Any) -> str:
    annotation = option.type_descriptor.annotation
    if not (isinstance(annotation, type) and issubclass(annotation, enum.Enum)):
        return ""
    return f" One of {', '.join(f'`{choice.value}`' for choice in annotation)}."


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.default in (None, "", False, (), []) or callable(option.default) or _is_unset(option.default):
        return ""
    return f"`{getattr(option.default, 'value', option.default)}`"


def _is_unset(value: Any) -> bool:
    return type(value).__name__ == "Sentinel"


def errors_page() -> str:
    """The error tree: class, kind, outcome, exit code and when it is raised."""
    lines = [ERRORS_OPENING]
    for error in _tree(errors.VlaBenchError):
        depth = len(error.__mro__) - len(errors.VlaBenchError.__mro__)
        name = "&nbsp;&nbsp;" * depth + f"`{error.__name__}`"
        when = _text((error.__doc__ or "").split("\n\n")[0])
        lines.append(f"| {name} | `{error.kind}` | `{error.outcome}` | {int(error.exit_code)} | {when} |")
    return "\n".join([*lines, ""])


def _tree(root: type[errors.VlaBenchError]) -> Iterator[type[errors.VlaBenchError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


def exit_codes_page() -> str:
    """The exit codes, each with the sentence under it in the source."""
    meanings = _comments(inspect.getsource(outcomes.ExitCode))
    lines = [f"| {int(code)} | `{code.name}` | {meanings[code.name]} |" for code in ExitCode]
    return "\n".join(
        [EXIT_CODES_OPENING, *lines, "", "An error's own code stands in the [error table](errors.md).", ""]
    )


def _comments(source: str) -> dict[str, str]:
    """Name → the docstring under it, of the members of an enum."""
    return dict(re.findall(r'^    ([A-Z_]+) = .*\n    """(.*?)"""', source, flags=re.MULTILINE))


def settings_page() -> str:
    """Evaluation settings, run options and deadlines: the attributes of three dataclasses."""
    lines = [SETTINGS_OPENING, *_attributes(EvalSettings)]
    lines += [RUN_OPENING, *_attributes(RunConfig)]
    lines += [DEADLINES_OPENING, *_attributes(Deadlines)]
    return "\n".join([*lines, ""])


def _attributes(kind: type) -> Iterator[str]:
    assert is_dataclass(kind)
    described = _described(inspect.cleandoc(kind.__doc__ or ""))
    yield "| name | | default |"
    yield "|---|---|---|"
    for field in fields(kind):
        yield f"| `{field.name}` | {_text(described.get(field.name))} | {_field_default(field)} |"


def _described(docstring: str) -> dict[str, str]:
    """Attribute → its text, from the section `Attributes:` of a docstring; several names may share one entry."""
    section = docstring.partition("Attributes:\n")[2]
    entries = re.split(r"\n(?=    \S)", "\n" + section)
    described = {}
    for entry in entries:
        names, colon, text = entry.strip().partition(": ")
        if colon:
            described.update({name.strip(): text for name in names.split(",")})
    return described


def _field_default(field: Any) -> str:
    default = field.default if field.default is not MISSING else field.default_factory
    if default is MISSING:
        return "required"
    if callable(default) or is_dataclass(default) or default is None or default in ("", ()):
        return ""
    return f"`{getattr(default, 'value', default)}`"


def json_page() -> str:
    """The hand-written opening of the page, the fields of a run's summary, then the schemas."""
    lines = [_opening("json.md", "## A run"), "## A run", "", NOTE, RUN_JSON_OPENING]
    for kind in (RunSummary, TaskSummary, GroupSummary, GroupMean, Interval, ClusterInterval, LatencySummary):
        lines += [f"### {kind.__name__}", "", _text((kind.__doc__ or "").split("\n\n")[0]), "", *_attributes(kind), ""]
    lines += ["## Schemas", "", "JSON Schema of each command's output:", ""]
    lines += [f"- [`{command} --json`](schemas/{_schema_file(command)})" for command in json_schemas()]
    return "\n".join([*lines, ""])


def _schema_file(command: str) -> str:
    return f"{command.replace(' ', '-')}.json"


def schema_pages() -> dict[str, str]:
    """One file per command."""
    return {
        f"schemas/{_schema_file(command)}": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for command, schema in json_schemas().items()
    }


def python_page() -> str:
    """The hand-written opening of the page, then what each room exports."""
    lines = [_opening("python.md", "## Public names"), PUBLIC_NAMES_OPENING]
    for room in ROOMS:
        module = importlib.import_module(room)
        lines += [f"### {room}", "", _text((module.__doc__ or "").split("\n\n")[0]), "", "| name | |", "|---|---|"]
        lines += [f"| `{name}` | {_summary(getattr(module, name))} |" for name in getattr(module, "__all__", [])]
        lines.append("")
    return "\n".join(lines)


def _summary(value: Any) -> str:
    is_documented = inspect.isclass(value) or inspect.isfunction(value)
    return _text((inspect.getdoc(value) or "").split("\n\n")[0]) if is_documented else ""


def _opening(page: str, until: str) -> str:
    """What people wrote, up to the first heading that the code writes."""
    path = FOLDER / page
    return path.read_text(encoding="utf-8").partition(until)[0].rstrip("\n") + "\n" if path.exists() else ""


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": commands_page,
    "errors.md": errors_page,
    "exit-codes.md": exit_codes_page,
    "settings.md": settings_page,
    "json.md": json_page,
    "python.md": python_page,
}


def main() -> int:
    """Write the pages, or compare them."""
    texts = {name: make() for name, make in PAGES.items()} | schema_pages()
    pages = {FOLDER / name: text for name, text in texts.items()}
    differing = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in differing:
            print(f"{path} is not what the code says. Type: make reference", file=sys.stderr)
        return bool(differing)
    for path in differing:
        path.parent.mkdir(exist_ok=True)
        path.write_text(pages[path], encoding="utf-8")
        print(f"wrote {path.relative_to(FOLDER.parent.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
