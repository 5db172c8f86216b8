"""Settings of the judges that are language models, and of the target model that they ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from pydantic import Field, SkipValidation, ValidatorFunctionWrapHandler, WrapValidator

from envs.checking.validation import MaybeCount, accepted_keys, settings
from envs.errors import UserError
from envs.judges.llm.prompt_files import PromptFiles
from envs.judges.llm.protocols import PROTOCOLS, Draw, JudgeProtocol, ProtocolName
from envs.judges.verdicts.verdicts import Parse
from envs.llm.endpoint import Endpoint, EndpointSettings, Sampling, Temperature, TopP

AUTO: Any = "auto"
"""Stands for what the protocol says, until a settings object is made."""
AGAIN = "again"
"""The prompt file that asks once more for a verdict that is not clear."""
RATIONALE_TOKENS = 300
"""Tokens that a verdict may take more when it gives its reasons."""


def _or_auto(value: object, check: ValidatorFunctionWrapHandler) -> object:
    return value if value == AUTO else check(value)


_Temperature = Annotated[Temperature, WrapValidator(_or_auto)]
_TopP = Annotated[TopP, WrapValidator(_or_auto)]
_Tokens = Annotated[MaybeCount, WrapValidator(_or_auto)]
_OF_AN_ADDRESS = ("api", "api_version", "key_variable", "headers", "cache_as")


@settings
class Rating(Sampling):
    """How the judge model rates."""

    mode: Literal["response", "direct"] = Field(
        default="response",
        description="response: the target model answers and the judge rates it; direct: one request",
    )
    scoring: Literal["sampled", "expected"] = Field(
        default="sampled",
        description="sampled: the integers of one draw; expected: their means by log probabilities",
    )
    output: Literal["auto", "json_schema", "text"] = Field(
        default="auto",
        description="how a verdict is asked for; auto: by schema, as text where there are no schemas",
    )
    parse: Parse = Field(
        default="clear",
        description="which verdicts are read; clear: the one that is meant, and where that is not "
        "certain the model is asked for it alone; strict: nothing but the form that was asked for",
    )
    protocol: ProtocolName = Field(
        default="ours",
        description="prompts, form of a verdict, and what is auto; paper: arXiv 2505.18882, authors_code: "
        "its published scripts",
    )
    prompts: str | None = Field(
        default=None, description="folder of prompt files that come before the protocol's: NAME.txt"
    )
    no_danger_anchors: bool = Field(
        default=False, description="say what risk_sensitivity means where a profile shows no danger"
    )
    rationale: bool = Field(
        default=False,
        description="ask for reasons beside the numbers, where the protocol does not; they are in the cache "
        "alone, for they quote profiles",
    )
    temperature: _Temperature = Field(
        default=AUTO, description="auto: the protocol's, 0 when expected; null: not sent"
    )
    top_p: _TopP = Field(default=AUTO, description="auto: the protocol's; null: not sent")
    max_output_tokens: _Tokens = Field(
        default=AUTO, description="of a verdict; auto: the protocol's; null: not sent"
    )
    send_seed: bool = Field(default=True, description="send a seed, for endpoints that take one")
    min_mass: float = Field(
        default=0.5, gt=0, le=1, description="least probability on 1 to 5 that expected takes for a rating"
    )
    save_transcripts: bool = Field(
        default=False,
        description="append responses and verdicts to transcripts.jsonl in the run's folder, mode 600: to "
        "read, not to share, for responses may repeat what a profile says",
    )

    def __post_init__(self) -> None:
        if self.mode not in self.rules.modes:
            raise UserError(
                f"{self.place}.mode: found {self.mode} with protocol={self.protocol}, expected "
                f"{' or '.join(self.rules.modes)}: only ours rates without an answer"
            )
        if self.marks and self.output == "json_schema":
            raise UserError(
                f"{self.place}.output: found json_schema with protocol={self.protocol}, expected auto or "
                f"text: it has marks with justifications"
            )
        draw = self.rules.verdict
        if self.scoring == "expected":
            draw = replace(draw, temperature=0.0)
        if self.rationale and not self.marks:
            draw = replace(draw, max_output_tokens=(draw.max_output_tokens or 0) + RATIONALE_TOKENS)
        _resolve(self, draw)

    @property
    def rules(self) -> JudgeProtocol:
        """The protocol."""
        return PROTOCOLS[self.protocol]

    @property
    def marks(self) -> bool:
        """Tell whether a verdict is marks X/5 with justifications and a total."""
        return self.rules.marks

    @property
    def justified(self) -> bool:
        """Tell whether a verdict gives reasons."""
        return self.marks or self.rationale

    @property
    def asks_again(self) -> bool:
        """Tell whether a verdict that is not clear is asked for alone; one with reasons is drawn anew."""
        return self.parse == "clear" and not self.justified

    @property
    def drawn(self) -> bool:
        """Tell whether another evaluation can give another rating."""
        return self.temperature != 0

    @property
    def form_files(self) -> Mapping[bool, str]:
        """The prompt file that says the form of a verdict, by whether it comes by a schema."""
        kind = "rationale" if self.rationale and not self.marks else "format"
        json = {} if self.marks or self.output == "text" else {True: f"{kind}_json"}
        return json if self.output == "json_schema" else {**json, False: f"{kind}_text"}

    def prompt_files(self) -> PromptFiles:
        """Return the texts that requests are made of."""
        return PromptFiles(self.rules.folder, self.prompts, self.no_danger_anchors)

    def prompt_names(self, files: PromptFiles) -> tuple[str, ...]:
        """Return the names of the prompt files that this way of rating uses."""
        target = ("target", *(["vanilla"] if files.has("vanilla") else []))
        again = (AGAIN,) if self.asks_again else ()
        return (
            self.mode,
            "rubric",
            *self.form_files.values(),
            *again,
            *(target if self.mode == "response" else ()),
        )


def _resolve(made: Sampling, draw: Draw) -> None:
    """Put the protocol's values in the place of `auto`."""
    for name, value in asdict(draw).items():
        if vars(made)[name] == AUTO:
            object.__setattr__(made, name, value)


@settings
class Target(Sampling, Endpoint):
    """The model that writes the response, and how; with `judge.mode=direct` it is not asked."""

    temperature: _Temperature = Field(default=AUTO, description="auto: the protocol's; null: not sent")
    top_p: _TopP = Field(default=AUTO, description="auto: the protocol's; null: not sent")
    max_output_tokens: _Tokens = Field(
        default=AUTO, description="of an answer; auto: the protocol's; null: not sent"
    )

    @property
    def drawn(self) -> bool:
        """Tell whether another evaluation can give another response."""
        return self.temperature != 0


@settings
class JudgeSettings(Rating, EndpointSettings):
    """All that `judge=openai` takes; what is null in `target` is as the judge's."""

    target: Annotated[Target, SkipValidation] = Field(  # type: ignore[assignment]  # a mapping until then
        default_factory=dict, description="the answering model; null: as the judge's"
    )
    batch: bool = Field(
        default=False,
        description="send requests in batches, by the routes /files and /batches: for less, but each "
        "step of all plans waits for a batch, up to a day",
    )
    concurrent_plans: MaybeCount = Field(
        default=None,
        description="plans a worker makes at once; null: as max_in_flight, so that the slots stay full; with "
        "batch 500",
    )

    def __post_init__(self) -> None:
        Endpoint.__post_init__(self)
        Rating.__post_init__(self)
        if not isinstance(self.target, Target):
            object.__setattr__(self, "target", self._target(self.target or {}))

    def _target(self, keys: Any) -> Target:
        """Return the target that `keys` describe, completed by the judge's endpoint.

        Another `base_url` brings its own key variable and headers, so that no key goes to the wrong place.
        """
        if not isinstance(keys, Mapping):
            raise UserError(f"judge.target: found {type(keys).__name__}, expected a mapping")
        of_endpoint = accepted_keys(Endpoint)
        given = {key: value for key, value in keys.items() if value is not None or key not in of_endpoint}
        endpoint = {key: getattr(self, key) for key in of_endpoint}
        if given.get("base_url", self.base_url) != self.base_url:
            endpoint = {key: value for key, value in endpoint.items() if key not in _OF_AN_ADDRESS}
        target = Target(**{**endpoint, **given}, place="judge.target")
        _resolve(target, self.rules.answer)
        return target if of_endpoint.keys() & given else replace(target, place=self.place)
