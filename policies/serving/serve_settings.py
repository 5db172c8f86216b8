"""Settings of the service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from envs.checking.validation import Count, MaybeCount, settings
from envs.llm.endpoint import DEFAULT_URL


@settings
class UpstreamSettings:
    """The endpoint that answers: any that speaks OpenAI's API.

    Its key comes from the environment variable `key_variable`. Without one a client's own key goes on to it,
    as without this layer.
    """

    base_url: str = Field(default=DEFAULT_URL, description="with /v1 at its end, or what stands for it")
    model: str | None = Field(default=None, description="the one model that is served; null: all of them")
    key_variable: str | None = Field(
        default=None, description="environment variable with its key; null: each client's own key goes on"
    )
    connect_s: float = Field(default=5.0, gt=0, description="seconds to open a connection")
    timeout_s: float = Field(default=290.0, gt=0, description="seconds without a byte of an answer")
    max_connections: Count = Field(default=200, description="requests to it at one time")
    place: ClassVar[str] = "upstream"


@settings
class AskSettings:
    """How questions are put."""

    shows_why: bool = Field(default=False, description="number, attribute and reason stand in the text too")
    consent: bool = Field(default=False, description="the person is asked first whether questions may come")
    remembered_turns: int = Field(
        default=2000, ge=0, description="of each worker, in memory for half an hour; spares their replay"
    )
    place: ClassVar[str] = "ask"


@settings
class ServiceSettings:
    """Who may speak to the service, what one client or all of them may take, and what streams look like.

    Limits are those of all workers together; see `Workers`.
    """

    keys_variable: str | None = Field(
        default=None, description="environment variable with keys, separated by commas; null: none are wanted"
    )
    hosts: list[str] = Field(
        default_factory=lambda: ["127.0.0.1", "localhost", "[::1]"],
        description="names it answers to, without a port; * for any",
    )
    cors_origins: list[str] = Field(
        default_factory=list, description="origins of pages elsewhere that may call it"
    )
    max_body_bytes: Count = Field(default=20 * 2**20, description="bytes of a request")
    max_in_flight: Count = Field(default=500, description="requests at one time, a like share by each worker")
    requests_per_minute: MaybeCount = Field(
        default=None, description="of one key, or of one address where there are no keys; null: no limit"
    )
    keep_alive: Literal["comment", "chunk", "off"] = Field(
        default="comment", description="what a stream sends while the upstream thinks; chunk: an empty one"
    )
    keep_alive_s: float = Field(default=15.0, gt=0, description="seconds of silence before it")
    place: ClassVar[str] = "service"


@dataclass(frozen=True)
class Workers:
    """Who serve together. The system gives each connection to one of them, and not evenly.

    `count`: processes, each of which has `max_in_flight / count` requests at most at one time, rounded up;
    `folder`: one that they share for as long as they serve, None where there is one process.
    """

    count: int = 1
    folder: Path | None = None

    @property
    def rates(self) -> Path | None:
        """The file of the rates of all clients."""
        return None if self.folder is None else self.folder / "rates.sqlite"


ALONE = Workers()
