"""`vla-bench policies`: what `--policy NAME` can be, and what one policy says of itself."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vla_bench.cli.options import AsJson, PolicyOptions, examples, parse_options, read_token
from vla_bench.spec.errors import UsageError

if TYPE_CHECKING:
    from vla_bench.cli.policy_schemas import PolicyModel

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench policies",
        "vla-bench policies docker://ghcr.io/me/lamp:1.2",
        "vla-bench policies http://127.0.0.1:8600 --json",
    )
)
def policies(
    policy: Annotated[
        str,
        typer.Argument(
            metavar="[POLICY]",
            show_default=False,
            help="Look at this one: a name, a URL, docker://IMAGE, a YAML file, or module:Class.",
        ),
    ] = "",
    option: PolicyOptions = None,
    token_env: Annotated[str, typer.Option(help="Environment variable with the server's bearer token.")] = "",
    first_act_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that it may take to load.")] = 300.0,
    as_json: AsJson = False,
) -> None:
    """List the registered policies and their options, or look at one policy.

    To look starts what --policy would start (a server, a container), reads its handshake (name, version, what its
    actions mean, which cameras and state it asks for), and stops it; no suite is run.
    """
    if policy:
        _look(policy, parse_options(option), first_act_timeout, read_token(token_env), as_json)
    elif option or token_env:
        raise UsageError("--option and --token-env belong to a policy: vla-bench policies POLICY")
    else:
        _list(as_json)


def _list(as_json: bool) -> None:
    from vla_bench.cli.display.console import print_json
    from vla_bench.cli.policy_schemas import PoliciesModel
    from vla_bench.spec.plugins import POLICIES, plugin_names

    models = [_describe(name) for name in plugin_names(POLICIES)]
    if as_json:
        print_json(PoliciesModel(policies=models).model_dump())
    else:
        _print(models)


def _look(spec: str, options: dict[str, Any], start_s: float, token: str | None, as_json: bool) -> None:
    from vla_bench.cli.display.console import answer, print_json
    from vla_bench.cli.display.tables import facts
    from vla_bench.cli.handshakes import ask, facts_of
    from vla_bench.cli.policy_schemas import LookModel

    found = ask(spec, options, start_s=start_s, token=token)
    if as_json:
        print_json(LookModel(policy=spec, handshakes=list(found)).model_dump())
        return
    for number, model in enumerate(found):
        if number:
            answer().print()
        answer().print(facts(facts_of(model)))


def _describe(name: str) -> PolicyModel:
    from vla_bench.cli.policy_schemas import PolicyModel
    from vla_bench.spec.errors import UnknownPolicy
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
    from vla_bench.cli.policy_schemas import PolicyOptionModel

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
