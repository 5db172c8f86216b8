"""Classify errors of an endpoint: retry, adapt or fail.

Servers say the same in many ways: by a code, by the name of a parameter, or in a sentence alone; nested in
`error` (OpenAI, Azure, LiteLLM), at the top (vLLM), as a list of details (FastAPI), or under status 200
(OpenRouter). What they say is looked at, never repeated: it may hold a key or a prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from envs.llm.endpoint import Endpoint, EndpointError, SchemaRefused

if TYPE_CHECKING:
    import openai

_FILTERED = re.compile(
    r"content_filter|content[ _-]?policy|content management policy|ResponsibleAIPolicy|usage policy"
    r"|data_inspection_failed|input was flagged|prompt was flagged|invalid_prompt|repetitive patterns",
    re.I,
)
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|context (?:length|size|window)|contextwindow"
    r"|maximum context|maximum model length|exceeds? the (?:available )?context|prompt is too long"
    r"|input is too long|input token count|reduce the length|too many (?:input )?tokens",
    re.I,
)
_NO_MODEL = re.compile(
    r"model_not_found|DeploymentNotFound|invalid model|not a valid model|unknown model|no such model"
    r"|model\b.{0,80}\b(?:does not exist|not found)",
    re.I | re.S,
)
_BAD_KEY = re.compile(
    r"invalid_api_key|(?:invalid|incorrect) api[ _-]?key|api[ _-]?key (?:not valid|is invalid)", re.I
)
_NOT_TAKEN = re.compile(
    r"unsupported|not support|n't support|unrecogni[sz]ed|unknown (?:parameter|argument|field|name)"
    r"|not permitted|forbidden|not allowed|unexpected|deprecated|extraneous|no longer|cannot both"
    r"|not available|invalid (?:value|json)|must be|greater than|less than|at most|should be"
    r"|out of range|maximum",
    re.I,
)
_PARAMETER = re.compile(
    r"\b(max_completion_tokens|max_tokens|temperature|top_p|top_logprobs|logprobs|seed|response_format)\b"
)
_LOGPROBS = re.compile(r"\b(top_logprobs|logprobs|top logprobs|sample logprobs|log ?probs)\b", re.I)
_SCHEMA = re.compile(
    r"response_?format|json_?schema|response_?schema|output_?(?:format|config)|structured.?outputs?"
    r"|guided|grammar|\benum\b|schema",
    re.I,
)
_NO_SYSTEM = re.compile(
    r"system role (?:is )?not supported|does not support 'system'|roles must alternate", re.I
)
_NO_MARKS = re.compile(
    r"cache_control|content\b.{0,40}\b(?:must be|should be|valid|expected?) (?:a )?str", re.I
)
_THROTTLED = re.compile(
    r"throttl|too many requests|rate.?limit|quota exceeded|resource.?exhausted|overloaded|at capacity"
    r"|try again (?:in|later)|requests per minute|too many concurrent",
    re.I,
)
_CREDIT_GONE = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_TOO_LARGE = re.compile(r"request too large", re.I)
_STREAMS_ONLY = re.compile(
    r"only supports? (?:the )?stream|stream(?:ing)? (?:mode )?(?:is )?(?:required|only)"
    r"|enable the stream|stream.{0,20}must be (?:set to )?true"
    r"|non-?stream\w* .{0,30}not (?:supported|allowed)",
    re.I,
)
_RESPONSES_ONLY = re.compile(r"v1/responses|responses (?:api|endpoint)|not a chat model", re.I)
_PAGE = re.compile(r"^\s*<(?:!doctype|html)", re.I)
_GATEWAYS = (502, 504, 520, 521, 522, 523, 524)
_ADVICE = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
}

Passing = Literal["throttled", "busy", "outage", "failed"]


@dataclass(frozen=True)
class Refusal:
    """An error as the endpoint told it. `code`, `type`, `param`: its own words, of any type."""

    status: int
    message: str = field(repr=False)
    code: Any = None
    type: Any = None
    param: Any = None
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, error: openai.APIStatusError) -> Refusal:
        """Return what an error status came with."""
        status, headers = error.status_code, error.response.headers
        return cls(status, error.message, error.code, error.type, error.param, error.body, headers)

    @property
    def said(self) -> str:
        """All that it says, but for a request that it repeats."""
        return f"{self.code} {self.type} {self.param} {self.message} {' '.join(_texts(self.body))}"


def in_good_answer(text: str) -> Refusal | None:
    """Return the error in the body of an answer with status 200, None where it is an answer.

    An answer that also holds text of the model is one, whatever broke off afterwards.
    """
    if '"error"' not in text:
        return None
    try:
        body = json.loads(text)
        error = body.get("error") or body["choices"][0].get("error")
        said = (body.get("choices") or [{}])[0].get("message") or {}
        said = said.get("content") if isinstance(said, dict) else None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None
    if not error or said:
        return None
    told = error if isinstance(error, Mapping) else {"message": str(error)}
    code = told.get("code")
    status = int(str(code)) if re.fullmatch(r"[45]\d\d", str(code)) else 0
    if not status:
        status = 429 if _THROTTLED.search(f"{code} {told}") else 500
    return Refusal(status, str(told.get("message")), code, told.get("type"), told.get("param"), body)


def is_filtered(error: Refusal) -> bool:
    """Tell whether a content filter refused the prompt: of this request, so that others may pass."""
    return error.status not in (401, 404, 429) and bool(_FILTERED.search(error.said))


def passing(error: Refusal) -> Passing | None:
    """Return how the same request can succeed another time, None = it cannot.

    `throttled`: when fewer are sent; `busy`: that, or when it is less busy;
    `outage`: when the endpoint, or what is before it, is up again; `failed`: at once, perhaps.
    """
    status = error.status
    if status == 429:
        final = str(error.code) in _CREDIT_GONE or str(error.type) in _CREDIT_GONE
        return None if final or _TOO_LARGE.search(error.said) else "throttled"
    if status in (503, 529):
        # A page is of what stands before the endpoint, which is down; JSON may be of a quota.
        return "busy" if _PAGE.match(_raw(error)) else "throttled"
    if status in _GATEWAYS:
        return "outage"
    if status == 403 and _PAGE.match(_raw(error)):
        return "throttled"  # a firewall's page: an endpoint would speak JSON, and a key's refusal lasts
    if status in (400, 403) and _THROTTLED.search(error.said):
        return "throttled"
    return "failed" if status in (408, 409, 424, 425) or status >= 500 else None


def may_have_cost(error: Refusal) -> bool:
    """Tell whether the model behind a gateway may have answered, and be billed, all the same."""
    return error.status == 408 or error.status in _GATEWAYS


def takes_no_system(error: Refusal) -> bool:
    """Tell whether the model knows no system messages: its chat template (Gemma's, say) raises an error."""
    return error.status in (400, 422, 500) and bool(_NO_SYSTEM.search(error.said))


def takes_no_marks(error: Refusal) -> bool:
    """Tell whether a mark of what prompts share is refused, or a message of parts, which it takes."""
    return error.status in (400, 422) and bool(_NO_MARKS.search(error.said))


def streams_only(error: Refusal) -> bool:
    """Tell whether the model answers in streams alone."""
    return error.status in (400, 404, 422) and bool(_STREAMS_ONLY.search(error.said))


def wants_responses(error: Refusal) -> bool:
    """Tell whether the model is served by the route `/responses` alone, or may be."""
    return error.status in (400, 404, 405) and bool(_RESPONSES_ONLY.search(error.said))


def may_lack_route(error: Refusal) -> bool:
    """Tell whether a 404 may be of the route and not of the model."""
    return error.status == 404 and not _NO_MODEL.search(error.said)


def parameter(error: Refusal) -> str:
    """Return the name of the parameter that the endpoint objects to, "" where it tells none that is known."""
    found = _PARAMETER.search(str(error.param or "")) or _PARAMETER.search(error.said)
    if found:
        return found[1]
    return "top_logprobs" if _LOGPROBS.search(error.said) else ""


def parameter_not_taken(error: Refusal) -> str:
    """Return the name of the parameter that the model does not take (or not with this value), or ""."""
    refused = error.status in (400, 422) and bool(_NOT_TAKEN.search(error.said))
    return parameter(error) if refused else ""


def most_logprobs(error: Refusal, asked: int) -> int | None:
    """Return how many alternatives an endpoint gives that refused `asked`, None where it names no number."""
    numbers = [int(n) for n in re.findall(r"\b\d{1,2}\b", error.said)]
    return max((n for n in numbers if 0 < n < asked), default=None)


def is_about_schema(error: Refusal) -> bool:
    """Tell whether a refusal is of the form that a reply is to have."""
    return error.status in (400, 404, 422) and bool(_SCHEMA.search(error.said))


def is_unexplained(error: Refusal, of_schema: bool) -> bool:
    """Tell whether a 400 or 422 does not say why; `of_schema`: it is about a reply's form."""
    if error.status not in (400, 422) or of_schema or parameter(error) or error.param == "model":
        return False
    known = (_TOO_LONG, _NO_MODEL, _BAD_KEY, _FILTERED, _NO_SYSTEM)
    return not any(pattern.search(error.said) for pattern in known)


def final(error: Refusal, endpoint: Endpoint, sent_schema: bool) -> EndpointError:
    """Return what to raise for a refusal that no repetition mends."""
    status, said = error.status, error.said
    model, variable = endpoint.model, endpoint.key_name
    message = {
        401: f"the key in {variable} was refused",
        402: f"the credit of the key in {variable} is used up",
        403: f"the key in {variable} may not use model {model}",
        404: f"no model {model} at {endpoint.url}, or no such path",
        405: f"no such path at {endpoint.url}, expected the base_url of an OpenAI-compatible endpoint",
        429: f"the quota of the key in {variable} is used up",
    }.get(status, "")
    if status == 429 and _TOO_LARGE.search(said):
        message = "a request is larger than the quota of a minute"
    if not message and _BAD_KEY.search(said):
        message = f"the key in {variable} was refused"
    if status in (400, 413, 422) and _TOO_LONG.search(said):
        message = f"a prompt is longer than the context of model {model}"
    elif status in (400, 422) and (error.param == "model" or _NO_MODEL.search(said)):
        message = f"no model {model} at {endpoint.url}"
    of_schema = sent_schema and not message and is_about_schema(error)
    message = (
        message or f"the request was refused ({_named(error)}){_advice(parameter(error), endpoint.place)}"
    )
    kind = SchemaRefused if of_schema else EndpointError
    return kind(f"{endpoint.place}: model {model}: {status}: {message}")


def _advice(name: str, place: str) -> str:
    if name in ("logprobs", "top_logprobs"):
        return f"; {place}.scoring=sampled needs no log probabilities"
    if name not in _ADVICE:
        return ""
    if place == "prior":
        return "; see prior.sampling_temperature" if name == "temperature" else ""
    key = _ADVICE[name]
    places = [f"{place}.{key}"] + ([f"{place}.target.{key}"] if place == "judge" else [])
    return f"; see {' and '.join(places)}"


def _raw(error: Refusal) -> str:
    return error.body if isinstance(error.body, str) else error.message


def _texts(part: Any) -> Iterator[str]:
    """Yield all text in the body of an error, but for a request that it repeats."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key not in ("input", "ctx", "messages"):
                yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)
    elif isinstance(part, str):
        yield part


def _code(error: Refusal) -> str:
    """Return the first of code and type that is a plain word; free text could repeat a prompt or a key."""
    words: list[Any] = [error.code, error.type]
    return next((str(w) for w in words if re.fullmatch(r"[A-Za-z][A-Za-z_]{2,48}", str(w or ""))), "")


def _named(error: Refusal) -> str:
    name = parameter(error)
    return (_code(error) or "no code given") + (f", {name}" if name else "")
