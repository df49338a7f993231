"""What a submitter says of a policy that no episode can show. Required whole: a field that is missing is a refusal."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from vla_bench.results.reading import find_run, identity_of
from vla_bench.results.store import Store
from vla_bench.spec.errors import UsageError

__all__ = ["Declaration", "explain", "plain", "read_declaration", "template_of"]


def plain(text: str) -> str:
    """Text without blanks around it.

    Raises:
        ValueError: it holds a character that hides or reorders others on a page.
    """
    if odd := next((c for c in text if c != "\n" and unicodedata.category(c).startswith("C")), None):
        raise ValueError(f"holds the character U+{ord(odd):04X}, which cannot be shown")
    return text.strip()


def _link(text: str) -> str:
    parts = urlsplit(plain(text))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("is no http or https address")
    return parts.geturl()


Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(plain)]
Words = Annotated[str, Field(min_length=3, max_length=2000), AfterValidator(plain)]
Link = Annotated[str, Field(max_length=500), AfterValidator(_link)]


class Declaration(BaseModel):
    """The declaration of a submission, shown beside its score.

    Attributes:
        family: policy family, which counts as one in "runs submitted" (`lamp`, `openvla`).
        training_data: the data sets that the policy has seen, pre-training included.
        trained_on: whether it was trained on demonstrations of this suite.
        demonstrations_per_task: of this suite, 0 for none.
        checkpoint_scope: whether one set of weights answers for every suite.
        selection_rule: how the submitted checkpoint was chosen, and on which episodes.
        cameras, state: what the policy sees; what its handshake says must be among them.
        parameters: of the model, None where not told.
        open_weights: whether anyone can have the weights; None where not told.
        implementation: whose code and training it is: of the method's authors, or another's.
        device, precision, batch: what answered, in which arithmetic (`bfloat16`), how many rows at once. Answer times
            are compared within one device and precision at a batch of 1, and only where all three are told.
        links: paper, code, weights.
        notes: anything else that a reader should know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: Line
    training_data: Words
    trained_on: Literal["this suite", "zero-shot"]
    demonstrations_per_task: int = Field(ge=0, le=10_000_000, strict=True)
    checkpoint_scope: Literal["one", "one per suite"]
    selection_rule: Words
    cameras: list[Line] = Field(max_length=20)
    state: list[Line] = Field(max_length=50)
    parameters: int | None = Field(default=None, ge=0, strict=True)
    open_weights: bool | None = Field(default=None, strict=True)
    implementation: Literal["authors", "other"] | None = None
    device: Line | None = None
    precision: Line | None = None
    batch: int | None = Field(default=None, ge=1, le=65_536, strict=True)
    links: list[Link] = Field(default=[], max_length=5)
    notes: Annotated[str, Field(max_length=2000), AfterValidator(plain)] = ""


def explain(error: ValidationError, what: str) -> list[str]:
    """One line per fault: `declaration.trained_on: Input should be 'this suite' or 'zero-shot'`."""
    lines = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in (what, *fault["loc"]))
        lines.append(f"{place}: {fault['msg'].removeprefix('Value error, ')}")
    return lines


def read_declaration(path: Path) -> Declaration:
    """Read a declaration from a YAML file.

    Raises:
        UsageError: it is not there, no YAML, or lacks something; every fault is told.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Declaration.model_validate(found)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}. Write one with --write-declaration {path}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {error}") from error
    except ValidationError as error:
        raise UsageError("\n".join([f"{path}:", *(f"  {line}" for line in explain(error, "declaration"))])) from error


def template_of(store: Store, run_name: str) -> str:
    """A declaration to fill in for a run, as YAML with a word on each field; what its policy says is filled in.

    Raises:
        UnknownRun: there is no such run.
    """
    with store.database.read() as connection:
        policy = identity_of(connection, find_run(connection, run_name)).policy
    cameras = ", ".join(camera["name"] for camera in policy.get("cameras", ()))
    state = ", ".join(policy.get("state", {}))
    return f"""\
# What no episode can show. Every field up to `state` is required; it is shown beside the score.
family: {policy["name"]}            # runs of one family are counted together
training_data: ""        # every data set that the policy has seen, pre-training included
trained_on:              # this suite, or zero-shot
demonstrations_per_task: # of this suite, a whole number; 0 for none
checkpoint_scope: {policy.get("checkpoint_scope", "one")}    # one, or one per suite
selection_rule: ""       # how this checkpoint was chosen, and on which episodes
cameras: [{cameras}]
state: [{state}]
# parameters: 7000000000
# open_weights: true
# implementation: authors  # whose code and training: authors (of the method), or other
# device: NVIDIA H200      # what answered; with precision and batch: 1 its answer times are ranked
# precision: bfloat16
# batch: 1
# links: [https://example.org/paper]
# notes: ""
"""
