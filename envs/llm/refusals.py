"""Classify HTTP errors of an endpoint: retry, adapt or fail.

Servers say the same in many ways: by a code, by the name of a parameter, or in a sentence alone; nested in
`error` (OpenAI, Azure, LiteLLM), at the top (vLLM), or as a list of details (FastAPI). What they say is
looked at, never repeated: it may hold a key or a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import openai

from envs.llm.endpoint import Endpoint, EndpointError, SchemaRefused

_FILTERED = re.compile(
    r"content_filter|content[ _-]?policy|content management policy|ResponsibleAIPolicy|usage policy"
    r"|data_inspection_failed|input was flagged|prompt was flagged",
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
    r"|not permitted|forbidden|not allowed|unexpected",
    re.I,
)
_PARAMETER = re.compile(
    r"\b(max_completion_tokens|max_tokens|temperature|top_p|top_logprobs|logprobs|seed|response_format)\b"
)
_NO_SYSTEM = re.compile(
    r"system role (?:is )?not supported|does not support 'system'|roles must alternate", re.I
)
_ADVICE = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
}


def is_filtered(error: openai.APIStatusError) -> bool:
    """Tell whether a content filter refused the prompt: of this request, so that others may pass."""
    return error.status_code not in (401, 404, 429) and bool(_FILTERED.search(_said(error)))


def may_pass_later(error: openai.APIStatusError) -> bool:
    """Tell whether the same request can succeed another time."""
    if error.status_code == 429:
        return _code(error) not in ("insufficient_quota", "billing_hard_limit_reached")
    return error.status_code == 408 or error.status_code >= 500


def takes_no_system(error: openai.APIStatusError) -> bool:
    """Tell whether the model knows no system messages: its chat template (Gemma's, say) raises an error."""
    return error.status_code in (400, 422, 500) and bool(_NO_SYSTEM.search(_said(error)))


def parameter(error: openai.APIStatusError) -> str:
    """Return the name of the parameter that the endpoint objects to, "" where it tells none that is known."""
    found = _PARAMETER.search(str(error.param or "")) or _PARAMETER.search(_said(error))
    return found[1] if found else ""


def parameter_not_taken(error: openai.APIStatusError) -> str:
    """Return the name of the parameter that the model does not take (or not with this value), or ""."""
    refused = error.status_code in (400, 422) and bool(_NOT_TAKEN.search(_said(error)))
    return parameter(error) if refused else ""


def final(error: openai.APIStatusError, endpoint: Endpoint) -> EndpointError:
    """Return what to raise for a refusal that no repetition mends."""
    status, said = error.status_code, _said(error)
    model, variable = endpoint.model, endpoint.key_name
    message = {
        401: f"the key in {variable} was refused",
        402: f"the credit of the key in {variable} is used up",
        403: f"the key in {variable} may not use model {model}",
        404: f"no model {model} at {endpoint.url}, or no such path",
        405: f"no such path at {endpoint.url}, expected the base_url of an OpenAI-compatible endpoint",
        429: f"the quota of the key in {variable} is used up",
    }.get(status, "")
    if not message and _BAD_KEY.search(said):
        message = f"the key in {variable} was refused"
    if status in (400, 413, 422) and _TOO_LONG.search(said):
        message = f"a prompt is longer than the context of model {model}"
    elif status in (400, 422) and (error.param == "model" or _NO_MODEL.search(said)):
        message = f"no model {model} at {endpoint.url}"
    of_schema = status in (400, 422) and ("response_format" in said or "json_schema" in said)
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


def _said(error: openai.APIStatusError) -> str:
    return f"{error.code} {error.type} {error.param} {error.message} {' '.join(_texts(error.body))}"


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


def _code(error: openai.APIStatusError) -> str:
    """Return the first of code and type that is a plain word; free text could repeat a prompt or a key."""
    words: list[Any] = [error.code, error.type]
    return next((str(w) for w in words if re.fullmatch(r"[A-Za-z][A-Za-z_]{2,48}", str(w or ""))), "")


def _named(error: openai.APIStatusError) -> str:
    name = parameter(error)
    return (_code(error) or "no code given") + (f", {name}" if name else "")
