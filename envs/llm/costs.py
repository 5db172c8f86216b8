"""Estimate tokens and dollars of a request before it is sent; read the price file."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from envs.llm.messages import ChatRequest
from envs.validation import FileModel, read_yaml

if TYPE_CHECKING:
    from envs.llm.client import Client

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


PACKAGED = Path(__file__).parent / "prices.yaml"


class Price(FileModel):
    """Dollars for a million tokens of prompt and of reply."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Return the dollars of one request."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


def in_dollars(amount: float) -> str:
    """Return `amount` as text, to the cent; little to a hundredth of one, so that it is not nothing."""
    return f"${amount:,.2f}" if amount == 0 or amount >= 0.1 else f"${amount:.4f}"


@functools.lru_cache(maxsize=8)
def read_prices(path: str | None) -> dict[str, Price]:
    """Return the price of each model in the file, None = the one that ships with the package.

    Raises
    ------
    UserError
        the file cannot be read or an entry is not {input, output} of numbers >= 0.
    """
    file = PACKAGED if path is None else Path(path).expanduser()
    found: dict[str, Price] = read_yaml(file, dict[str, Price], "`model: {input: $, output: $}`", "prices=")
    return found


def price_of(model: str, path: str | None) -> Price | None:
    """Return the price of `model`: its own entry, or the longest entry it begins with before a `-`."""
    prices = read_prices(path)
    name = model.rpartition("/")[2] if model not in prices else model
    fitting = [key for key in prices if name == key or name.startswith(key + "-20")]
    return prices[max(fitting, key=len)] if fitting else None
