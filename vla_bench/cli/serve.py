"""`vla-bench serve`: a policy behind a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vla_bench.cli.options import PolicyOptions, examples, parse_options, read_token
from vla_bench.spec.errors import UsageError

if TYPE_CHECKING:
    from vla_bench.policies.base import Policy

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples("vla-bench serve expert", "vla-bench serve my_policy.py:MyPolicy -o checkpoint=best.pt --port 8600")
)
def serve(
    policy: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE.yaml|MODULE:CLASS", help="A registered name, a configuration file, or a class."
        ),
    ],
    option: PolicyOptions = None,
    host: Annotated[str, typer.Option(help="Address to listen on; loopback unless you say so.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8600,
    grpc: Annotated[bool, typer.Option("--grpc", help="Speak gRPC instead of HTTP.")] = False,
    token_env: Annotated[str, typer.Option(help="Environment variable with the token that clients must send.")] = "",
    max_wait_ms: Annotated[
        float, typer.Option(help="The longest that a batch waits for sessions that have not asked.", min=0)
    ] = 10.0,
    session_expiry: Annotated[
        float, typer.Option(help="Seconds after which a silent session is closed.", min=1)
    ] = 1800.0,
) -> None:
    """Serve a policy over HTTP or gRPC until stopped.

    Prints the URL on stdout once the server answers; that URL is what --policy takes.
    """
    token = read_token(token_env)
    built = _build(policy, parse_options(option))

    def on_ready(at: int) -> None:
        _announce(f"{'grpc' if grpc else 'http'}://{f'[{host}]' if ':' in host else host}:{at}", built, bool(token))

    if grpc:
        from vla_bench.policies.grpc.server import serve as serve_policy
    else:
        from vla_bench.policies.http.server import serve as serve_policy
    serve_policy(
        built,
        host=host,
        port=port,
        token=token,
        max_wait_s=max_wait_ms / 1e3,
        session_expiry_s=session_expiry,
        on_ready=on_ready,
    )


def _build(spec: str, options: dict[str, object]) -> Policy:
    from vla_bench.policies.load import load_policy
    from vla_bench.policies.resolve import resolve_one

    resolved = resolve_one(spec, options)
    if not resolved.target:
        served = resolved.url or f"docker://{resolved.image}"
        raise UsageError(f"{served} is a server already; give it to `vla-bench run --policy`")
    return load_policy(resolved.target, resolved.options)


def _announce(url: str, policy: Policy, has_token: bool) -> None:
    from vla_bench.cli.display.console import answer, story

    info = policy.info()
    answer().out(url, highlight=False)
    token = " --token-env NAME" if has_token else ""
    story().print(
        f"[name]{info.name}[/] {info.version} ({info.kind}) listens; stop it with Ctrl-C. From another terminal:\n"
        f"  [bold]vla-bench run --policy {url} --suite SUITE{token}[/]",
        soft_wrap=True,
    )
