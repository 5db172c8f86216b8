"""Providers behind their OpenAI routes: how each refuses, throttles and answers."""

import json
import time
from dataclasses import dataclass, field

from envs.judges.verdicts.verdicts import DIMENSIONS
from envs.llm.scripted.scripted_replies import Completion


def error(message, **keys):
    return {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **keys}
    }


def refuses(told):
    """Refuse the first parameter of `told` that a request has: name -> (status, JSON)."""

    def refusal(body):
        return next((answer for name, answer in told.items() if name in body), None)

    return refusal


def vllm(message):
    return 400, {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400}


def gemini(message):
    return 400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}]


def bedrock(name):
    told = f"Malformed input request: #: extraneous key [{name}] is not permitted, please reformat your input"
    return 400, {"message": told}


def fewer(most, told):
    return lambda body: told if body.get("top_logprobs", 0) > most else None


def not_one(name, told):
    return lambda body: told if body.get(name, 1) != 1 else None


def first_of(*refusals):
    return lambda body: next((found for one in refusals if (found := one(body)) is not None), None)


@dataclass(frozen=True)
class Provider:
    """Keys of a script and of an endpoint, what it has, how it says that it is too much (with headers)."""

    script: dict = field(default_factory=dict)
    keys: dict = field(default_factory=dict)
    schema: bool = True
    logprobs: bool = True
    throttled: tuple = (429, error("Rate limit reached", code="rate_limit_exceeded"))
    first: tuple = (500, error("The server had an error", type="server_error"))


PAGE = "<!DOCTYPE html><html><title>Attention Required!</title></html>"
DELAY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.3s"}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
PROVIDERS = {
    "openai": Provider(throttled=(429, error("Rate limit reached. Please try again in 300ms."))),
    "azure": Provider(
        keys={"api": "azure", "api_version": "2024-10-21"},
        throttled=(429, error("Requests have exceeded the call rate limit."), "retry-after-ms: 300\r\n"),
    ),
    "openrouter": Provider(
        throttled=(200, {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-min"}}),
        first=(200, {"error": {"code": 502, "message": "Provider returned error"}}),
    ),
    "gemini": Provider(
        {
            "refusal": refuses(
                {
                    "response_format": gemini(
                        "Invalid value at 'generation_config.response_schema.properties[0].value.enum[0]' "
                        "(TYPE_STRING), 1"
                    ),
                    "seed": gemini('Invalid JSON payload received. Unknown name "seed": Cannot find field.'),
                    "logprobs": gemini('Invalid JSON payload received. Unknown name "logprobs".'),
                }
            )
        },
        schema=False,
        logprobs=False,
        throttled=(429, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [DELAY]}}]),
        first=(503, [{"error": {"code": 503, "status": "UNAVAILABLE"}}]),
    ),
    "vllm": Provider(
        {"refusal": fewer(5, vllm("Requested sample logprobs of 20, which is greater than max allowed: 5"))},
        first=(500, {"object": "error", "message": "EngineCore died", "code": 500}),
    ),
    "xai": Provider({"refusal": fewer(8, (400, error("`top_logprobs` must be at most 8.")))}),
    "llama.cpp": Provider(
        {"refusal": refuses({"response_format": (400, error("Failed to parse grammar", code=400))})},
        schema=False,
        throttled=(
            503,
            {"error": {"code": 503, "message": "no slot available", "type": "unavailable_error"}},
        ),
        first=(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
    ),
    "ollama": Provider(
        {"logprobs": False},
        logprobs=False,
        throttled=(503, {"error": "server busy, please try again. maximum pending requests exceeded"}),
        first=(409, {"error": "model is being loaded"}),
    ),
    "bedrock": Provider(
        {"refusal": refuses({name: bedrock(name) for name in ("response_format", "seed", "logprobs")})},
        schema=False,
        logprobs=False,
        throttled=(
            400,
            {"message": "ThrottlingException: Too many requests, please wait before trying again."},
        ),
        first=(424, {"message": "ModelErrorException"}),
    ),
    "anthropic": Provider(
        {
            "logprobs": False,
            "refusal": refuses({"temperature": (400, error("`temperature` is deprecated for this model."))}),
        },
        logprobs=False,
        throttled=(529, OVERLOADED),
        first=(529, OVERLOADED),
    ),
    "reasoning": Provider(
        {
            "refusal": first_of(
                refuses(
                    {
                        "max_tokens": (400, error("Unsupported parameter: 'max_tokens'", param="max_tokens")),
                        "logprobs": (400, error("'logprobs' is not supported with reasoning models")),
                    }
                ),
                not_one("temperature", (400, error("Only the default (1) value", param="temperature"))),
            )
        },
        logprobs=False,
    ),
    "responses only": Provider({"route": "/responses"}),
    "streams only": Provider(
        {
            "refusal": lambda body: (
                None
                if body.get("stream")
                else (400, error("This model only support stream mode, please enable the stream parameter."))
            ),
            "logprobs": False,
        },
        logprobs=False,
    ),
    "says nothing": Provider(
        {
            "refusal": refuses({"response_format": (400, {}), "seed": (422, {})}),
            "rule": lambda body: Completion(json.dumps(dict.fromkeys(DIMENSIONS, 4))),
        },
        schema=False,
    ),
    "behind a firewall": Provider(throttled=(403, PAGE), first=(403, PAGE)),
    "too early": Provider(first=(425, {})),
}


class Quota:
    """At most `n` requests in any window of `window_s` seconds, counted as they come; others are refused."""

    def __init__(self, provider, n, window_s):
        self.provider, self.n, self.window_s = provider, n, window_s
        self.taken, self.refused = [], 0

    def __call__(self, body):
        now = time.monotonic()
        self.taken = [at for at in self.taken if at > now - self.window_s]
        if len(self.taken) >= self.n:
            self.refused += 1
            return self.provider.throttled
        self.taken.append(now)
        return None


class Outage:
    """Nothing but `answer` for `seconds` from the `after`-th request on."""

    def __init__(self, answer, after, seconds):
        self.answer, self.after, self.seconds = answer, after, seconds
        self.came, self.until = 0, None

    def __call__(self, body):
        self.came += 1
        if self.came > self.after and self.until is None:
            self.until = time.monotonic() + self.seconds
        return self.answer if self.until is not None and time.monotonic() < self.until else None


def once(answer):
    """Refuse the first request with `answer`."""
    left = [answer]
    return lambda body: left.pop() if left else None
