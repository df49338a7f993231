from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from vla_bench.policies.load import load_policy
from vla_bench.policies.resolve import ResolvedPolicy, resolve_policy
from vla_bench.policies.serving import serve_policy
from vla_bench.spec.errors import PolicyRaised, UnknownPolicy, UsageError

MY_POLICY = """
    from vla_bench.policies.builtin.noop import NoopPolicy
    import neighbour

    class Mine(NoopPolicy):
        def __init__(self, size, speed=1.0):
            super().__init__(chunk=size)

    class Open(NoopPolicy):
        def __init__(self, **anything):
            super().__init__()

    class Halved:
        def info(self): ...
        def act(self, batch): ...

    class Mute(NoopPolicy):
        def info(self):
            return {"name": "mute"}

    class Broken(NoopPolicy):
        def info(self):
            raise RuntimeError("no weights")

    def build(chunk=1):
        return NoopPolicy(chunk=chunk)

    number = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    (tmp_path / "neighbour.py").write_text("here = True\n")
    path = tmp_path / "my_policy.py"
    path.write_text(textwrap.dedent(MY_POLICY))
    return path


def write(folder: Path, text: str) -> str:
    path = folder / "policy.yaml"
    path.write_text(textwrap.dedent(text))
    return str(path)


@pytest.mark.parametrize("typed", ["random", "Random", "RANDOM", "ran-dom", "ran_dom"])
def test_a_name_is_known_in_any_spelling(typed: str) -> None:
    resolved = resolve_policy(typed, {"chunk": 2})
    assert resolved == ResolvedPolicy(name="random", target="random", options={"chunk": 2})


def test_an_unknown_name_names_the_near_ones() -> None:
    with pytest.raises(UnknownPolicy, match=r"unknown policy 'exprt'\. Did you mean 'expert'\?"):
        resolve_policy("exprt")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1"),
        ("https://robots.example/policy", "robots.example"),
        ("grpc://[::1]:9000", "::1"),
    ],
)
def test_a_url_is_taken_as_it_is(url: str, name: str) -> None:
    assert resolve_policy(url) == ResolvedPolicy(name=name, url=url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ws://127.0.0.1:8000", "begins with http://, https://, grpc:// or docker://"),
        ("grpc://127.0.0.1", "wants a host and a port"),
        ("http://", "wants a host"),
        ("grpc://127.0.0.1:eight", "Port could not be cast"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve_policy(url)


def test_options_do_not_go_with_a_url() -> None:
    with pytest.raises(UsageError, match=r"options \(noise\) are given where the server is started"):
        resolve_policy("http://127.0.0.1:8000", {"noise": 1})


def test_a_file_says_everything(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        policy: Expert
        name: shaky expert
        options: {noise: 0.5, chunk: 4}
        settings: {replan_horizon: 2}
        """,
    )
    assert resolve_policy(path, {"noise": 0.1}) == ResolvedPolicy(
        name="shaky expert",
        label="shaky expert",
        target="expert",
        options={"noise": 0.1, "chunk": 4},
        settings={"replan_horizon": 2},
    )


def test_a_file_can_hold_a_url_and_where_its_token_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "url: grpc://127.0.0.1:1\ntoken_env: MY_TOKEN\n")
    resolved = resolve_policy(path)
    assert (resolved.url, resolved.token_env, resolved.name) == ("grpc://127.0.0.1:1", "MY_TOKEN", "127.0.0.1")
    monkeypatch.delenv("MY_TOKEN", raising=False)
    with pytest.raises(UsageError, match=r"Type: export MY_TOKEN="):
        resolved.connect()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("polcy: random", r"unknown key 'polcy'\. Did you mean 'policy'\? Known: policy, url"),
        ("policy: random\noption: {}", "Did you mean 'options'"),
        ("policy: random\nurl: http://h:1", "give one of the keys policy and url"),
        ("options: {}", "give one of the keys policy and url"),
        ("policy: randm", "unknown policy 'randm'. Did you mean 'random'"),
        ("policy: [random]", "policy is a text"),
        ("policy:", "policy is a text"),
        ("policy: random\noptions: [1]", "options is a map"),
        ("policy: random\noptions: {1: 2}", "options is a map of names"),
        ("policy: random\noptions: {when: 2020-01-01}", "plain values"),
        ("policy: random\nsettings: {replan: 1}", "unknown evaluation settings: replan"),
        ("policy: random\nsettings: {replan_horizon: 0}", "out of range"),
        ("policy: random\nsettings: {replan_horizon: x}", "replan_horizon|not supported"),
        ("url: http://h:1\noptions: {noise: 1}", "given where the server is started"),
        ("- random", "wants the keys"),
        ("", "wants the keys"),
        ("policy: 'random", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        resolve_policy(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for spec in (str(tmp_path / "no.yaml"), f"{tmp_path / 'no.py'}:Mine"):
        with pytest.raises(UsageError, match="does not exist"):
            resolve_policy(spec)
    with pytest.raises(UsageError, match=r"no\.py:MyPolicy"):
        resolve_policy("no.py")


def test_a_class_in_ones_own_file_is_a_policy(mine: Path) -> None:
    resolved = resolve_policy(f"{mine}:Mine", {"size": 3})
    assert resolved.name == "Mine"
    assert load_policy(resolved.target, resolved.options).info().chunk_length == 3
    assert load_policy(f"{mine}:build", {"chunk": 2}).info().chunk_length == 2
    assert load_policy(f"{mine}:Open", {"whatever": 2}).info().name == "noop"


def test_a_file_beside_the_configuration_is_found_from_anywhere(
    mine: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(mine.parent, "policy: my_policy.py:Mine\noptions: {size: 2}\n")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    resolved = resolve_policy(config)
    assert load_policy(resolved.target, resolved.options).info().chunk_length == 2


def test_a_class_in_a_module_of_the_present_folder_is_a_policy(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine.parent)
    assert load_policy("my_policy:Mine", {"size": 2}).info().chunk_length == 2


@pytest.mark.parametrize(
    ("attribute", "options", "words"),
    [
        ("Mien", {}, "has no 'Mien'. Did you mean 'Mine'"),
        ("Mine", {}, "missing a required argument: 'size'.* Its options: size, speed"),
        ("Mine", {"size": 1, "sped": 1}, "no option 'sped'. Did you mean 'speed'"),
        ("Halved", {}, "has no reset, close"),
        ("Mute", {}, r"info\(\) gives a dict"),
        ("number", {}, "is a int, wants a class"),
    ],
)
def test_a_class_that_is_no_policy_is_refused(mine: Path, attribute: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_policy(f"{mine}:{attribute}", options)


def test_a_policy_that_raises_in_info_is_the_policys_fault(mine: Path) -> None:
    with pytest.raises(PolicyRaised, match="RuntimeError: no weights"):
        load_policy(f"{mine}:Broken", {})


def test_a_file_that_is_not_python_is_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("def (:\n")
    with pytest.raises(UsageError, match="cannot be imported: SyntaxError"):
        load_policy(f"{tmp_path / 'odd.py'}:Odd", {})


def test_a_url_cannot_be_served_again() -> None:
    with pytest.raises(UsageError, match="is served already"):
        serve_policy("http://127.0.0.1:8000")
