"""What a request will take, from its text: before anything is sent."""

from __future__ import annotations

import math
from typing import NamedTuple

from envs.llm.client import Client
from envs.llm.messages import ChatRequest
from envs.llm.prices import Price

BYTES_A_TOKEN, LEAST_BYTES_A_TOKEN = 4.0, 2.0
"""UTF-8 bytes of a token: on average in English text, and at least, as an average over a prompt."""


class RequestCost(NamedTuple):
    """One kind of request: tokens of prompt and reply, as expected and at most (inf: nothing limits it).

    `price`: None = not known.
    """

    model: str
    input_tokens: float
    output_tokens: float
    most_input_tokens: float
    most_output_tokens: float
    price: Price | None

    @property
    def tokens(self) -> tuple[float, float]:
        """(expected, at most)."""
        return self.input_tokens + self.output_tokens, self.most_input_tokens + self.most_output_tokens

    @property
    def dollars(self) -> tuple[float, float]:
        """(expected, at most), NaN where there is no price."""
        if self.price is None:
            return math.nan, math.nan
        inputs, outputs = self.price.input / 1e6, self.price.output / 1e6
        most = inputs * self.most_input_tokens
        if outputs:  # nothing of infinitely many free tokens is nothing
            most += outputs * self.most_output_tokens
        return inputs * self.input_tokens + outputs * self.output_tokens, most


def request_cost(client: Client, request: ChatRequest, output_tokens: float) -> RequestCost:
    """Return what `request` takes; `output_tokens`: what such a reply has on average."""
    size = sum(len(content.encode()) for _, content in request.messages)
    limit = request.max_output_tokens
    return RequestCost(
        client.endpoint.model,
        size / BYTES_A_TOKEN,
        output_tokens if limit is None else min(output_tokens, limit),
        size / LEAST_BYTES_A_TOKEN,
        math.inf if limit is None else float(limit),
        client.price,
    )
