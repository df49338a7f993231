"""How the leaderboard is set up: one table of settings, read from `VLA_BENCH_BOARD_*` and checked before it starts."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticUndefined

from vla_bench.spec.errors import UsageError
from vla_bench.spec.names import near_matches

__all__ = ["PREFIX", "Settings", "is_loopback", "variable"]

PREFIX = "VLA_BENCH_BOARD_"
SECRET_LENGTH = 32
_PLACEHOLDER = re.compile(r"change.?me|default|example|secret|password|^(.)\1*$", re.IGNORECASE)


class Settings(BaseModel):
    """Settings of the service. Every field is also an environment variable, `VLA_BENCH_BOARD_` and its name.

    Each description is the line of the documented table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    database: str = Field("", description="Path or URL of the database; your own SQLite file where empty.")
    traces: str = Field("", description="Folder or object store of the traces; beside the database where empty.")
    uploads: str = Field("", description="Folder of bundles that are being uploaded; beside the database where empty.")
    pictures: str = Field(
        "", description="Folder of pictures of tasks, `SUITE/TASK.webp`; `task_pictures` in the data home where empty."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8700, ge=0, le=65535, description="Port; 0 takes a free one.")
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^/\s]+(/[^\s?#]*)?)?$",
        description="Where readers reach the board, for links and badges.",
    )
    title: str = Field(
        "vla-bench leaderboard", min_length=1, max_length=80, description="Name of the board, on every page."
    )
    contact: str = Field("", max_length=200, description="Whom to ask, shown on the pages: an address or a URL.")
    secret: str = Field("", repr=False, description="Key that signs cookies, 32 characters or more.")
    metrics_token: str = Field(
        "", repr=False, description="Bearer token of `/metrics`; where empty it answers this machine alone."
    )
    trusted_proxies: str = Field(
        "", description="Addresses whose `X-Forwarded-For` is believed, separated by commas; nobody's where empty."
    )
    debug: bool = Field(False, description="Tracebacks in answers; on a loopback address only.")
    accepts_submissions: bool = Field(True, description="Whether bundles may be uploaded.")
    runs_jobs: bool = Field(True, description="Whether this process checks submissions; else another one does.")
    shows_published: bool = Field(True, description="Whether cited figures of papers stand beside the runs.")
    request_s: float = Field(30.0, gt=0, description="Seconds that an answer may take.")
    part_s: float = Field(300.0, gt=0, description="Seconds that one part of an upload, or sending a bundle, may take.")
    statement_s: float = Field(5.0, gt=0, description="Seconds that one SQL statement of a page may take.")
    max_body_bytes: int = Field(
        1 << 20, gt=0, description="The longest body of a request that is no part of an upload."
    )
    max_bundle_bytes: int = Field(2 << 30, gt=0, description="The largest bundle.")
    max_part_bytes: int = Field(64 << 20, gt=0, description="The largest part of an upload.")
    max_members: int = Field(100_000, gt=0, description="The most files in a bundle.")
    keep_refused_days: int = Field(30, ge=0, description="Days that the bundle of a refused submission is kept.")
    limits: str = Field("memory://", description="Where rate limits are counted: `memory://`, or Redis by URL.")
    reads_per_minute: int = Field(60, gt=0, description="Uncached requests of one address without a token.")
    submissions_per_hour: int = Field(10, gt=0, description="Submissions of one account.")
    failed_tokens_per_minute: int = Field(5, gt=0, description="Wrong tokens from one address.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )
    log_format: Literal["json", "text"] = Field("json", description="JSON lines, or text for people.")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        # `*` would believe what every reader says of himself.
        for part in filter(None, (part.strip() for part in value.split(","))):
            try:
                ipaddress.ip_network(part, strict=False)
            except ValueError:
                raise ValueError(
                    f"{part!r} is no address and no network of a proxy (10.0.0.5, 172.16.0.0/12)"
                ) from None
        return value

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """Read the variables; what is given wins where it is not None.

        Raises:
            UsageError: a variable has no such setting (near matches are named) or a value that it cannot have.
        """
        environment = os.environ if environment is None else environment
        names = {variable(name): name for name in cls.model_fields}
        values: dict[str, Any] = {}
        for key, value in environment.items():
            if not key.startswith(PREFIX):
                continue
            if key not in names:
                near = near_matches(key, list(names))
                hint = f" Did you mean {' or '.join(near)}?" if near else ""
                raise UsageError(f"{key} is no setting of the leaderboard.{hint}")
            if value.strip():
                values[names[key]] = value
        values |= {name: value for name, value in given.items() if value is not None}
        try:
            return cls(**values)
        except ValidationError as error:
            # The input is left out of the message: it may be a secret.
            found = "; ".join(f"{variable(str(item['loc'][0]))}: {item['msg']}" for item in error.errors())
            raise UsageError(found) from None

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)

    @property
    def is_https(self) -> bool:
        """Whether readers come over TLS: cookies are then `Secure` and browsers are told to stay with it."""
        return self.public_url.startswith("https://")

    def checked(self) -> Settings:
        """These settings, fit to start with; on loopback a missing secret becomes one of this process.

        Raises:
            UsageError: debug or no secret of its own on an address that others reach, or a secret that others know.
        """
        if self.debug and not self.is_local:
            raise UsageError(
                f"{variable('debug')} shows tracebacks to everybody who reaches {self.host}: unset it, or listen on "
                "127.0.0.1"
            )
        if not self.secret and self.is_local:
            return self.model_copy(update={"secret": secrets.token_urlsafe(SECRET_LENGTH)})
        if len(self.secret) < SECRET_LENGTH or _PLACEHOLDER.search(self.secret):
            what = "is not set" if not self.secret else "is a default or too short"
            raise UsageError(
                f"{variable('secret')} {what}, and it signs who is signed in. Type: export {variable('secret')}="
                "\"$(python -c 'import secrets; print(secrets.token_urlsafe(48))')\""
            )
        return self

    @classmethod
    def table(cls) -> list[tuple[str, str, str]]:
        """Rows of the documented table: variable, default as text, meaning."""
        rows = []
        for name, field in cls.model_fields.items():
            default = "" if field.default in ("", PydanticUndefined) else str(field.default)
            rows.append((variable(name), default, field.description or ""))
        return rows


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
