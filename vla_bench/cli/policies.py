"""`vla-bench policies`: what `--policy NAME` can be."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer

from vla_bench.cli.options import AsJson, examples

if TYPE_CHECKING:
    from vla_bench.cli.schemas import PolicyModel

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(epilog=examples("vla-bench policies", "vla-bench policies --json"))
def policies(as_json: AsJson = False) -> None:
    """List the registered policies and their options.

    Besides these names, --policy takes the URL of a server, a YAML file, and module:Class.
    """
    from vla_bench.cli.display.console import print_json
    from vla_bench.cli.schemas import PoliciesModel
    from vla_bench.spec.plugins import POLICIES, plugin_names

    models = [_describe(name) for name in plugin_names(POLICIES)]
    if as_json:
        print_json(PoliciesModel(policies=models).model_dump())
    else:
        _print(models)


def _describe(name: str) -> PolicyModel:
    from vla_bench.cli.schemas import PolicyModel
    from vla_bench.spec.errors import UnknownPolicy, UsageError
    from vla_bench.spec.plugins import POLICIES, load_plugin

    try:
        factory = load_plugin(POLICIES, name, UnknownPolicy)
    except UsageError as error:
        return PolicyModel(name=name, summary="", target="", options=[], problem=str(error))
    return PolicyModel(
        name=name,
        summary=(inspect.getdoc(factory) or "").partition("\n")[0],
        target=f"{factory.__module__}:{factory.__qualname__}",
        options=_options(factory),
        problem="",
    )


def _options(factory: Any) -> list[Any]:
    from vla_bench.cli.schemas import PolicyOptionModel

    named = [
        parameter
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    return [
        PolicyOptionModel(
            name=parameter.name,
            default=None if parameter.default is parameter.empty else _plain(parameter.default),
            is_required=parameter.default is parameter.empty,
        )
        for parameter in named
    ]


def _plain(value: Any) -> Any:
    """A default as JSON can say it."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)


def _print(models: list[PolicyModel]) -> None:
    import json

    from rich.markup import escape

    from vla_bench.cli.display.console import answer
    from vla_bench.cli.display.tables import plain_table

    table = plain_table("policy|", "options (-o)", "what it does")
    for policy in models:
        options = ", ".join(
            option.name if option.is_required else f"{option.name}={json.dumps(option.default)}"
            for option in policy.options
        )
        what = f"[bad]{escape(policy.problem)}[/]" if policy.problem else escape(policy.summary)
        table.add_row(f"[name]{policy.name}[/]", escape(options) or "–", what)
    answer().print(table)
