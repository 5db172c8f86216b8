"""Estimate tokens and dollars of a request before it is sent; read the price file."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from envs.checking.validation import FileModel, read_yaml
from envs.llm.books import Tokens
from envs.llm.messages import ChatRequest

if TYPE_CHECKING:
    from envs.llm.client import Client

BYTES_A_TOKEN, LEAST_BYTES_A_TOKEN = 4.0, 2.0
"""UTF-8 bytes of a token: on average in English text, and at least, as an average over a prompt."""


UNTOLD_REPLY = 131_072
"""Tokens of the longest reply where a request sets no limit; no endpoint that we know of gives more."""


class Bill(NamedTuple):
    """What requests take: their number, tokens of prompts and replies together, dollars."""

    requests: int = 0
    tokens: float = 0.0
    dollars: float = 0.0

    def plus(self, other: Bill) -> Bill:
        """Return the sum."""
        return Bill(self.requests + other.requests, self.tokens + other.tokens, self.dollars + other.dollars)

    def __str__(self) -> str:
        cost = f", {in_dollars(self.dollars)}" if self.dollars else ""
        return f"{self.requests:,} requests, {self.tokens:,.0f} tokens{cost}"


class RequestCost(NamedTuple):
    """One kind of request: tokens of prompt and reply, as expected and at most (inf: nothing limits it).

    `price`: sent directly, None = not known. `in_batch`: it goes with a batch; `may_wait`: it could.
    `pace`: seconds a token of the prompt and of the reply takes, where that can be known beforehand.
    """

    model: str
    input_tokens: float
    output_tokens: float
    most_input_tokens: float
    most_output_tokens: float
    price: Price | None
    in_batch: bool = False
    may_wait: bool = False
    pace: tuple[float, float] | None = None

    @property
    def tokens(self) -> tuple[float, float]:
        """(expected, at most)."""
        return self.input_tokens + self.output_tokens, self.most_input_tokens + self.most_output_tokens

    @property
    def seconds(self) -> tuple[float, float]:
        """(expected, at most), 0 where no pace is known."""
        if self.pace is None:
            return 0.0, 0.0
        prompt, reply = self.pace
        return (
            prompt * self.input_tokens + reply * self.output_tokens,
            prompt * self.most_input_tokens + reply * self.most_output_tokens,
        )

    @property
    def dollars(self) -> tuple[float, float]:
        """(expected, at most) in the way it goes, NaN where there is no price."""
        return self.batch_dollars if self.in_batch else self.direct_dollars

    @property
    def direct_dollars(self) -> tuple[float, float]:
        """(expected, at most) sent directly."""
        return self._dollars(self.price)

    @property
    def batch_dollars(self) -> tuple[float, float]:
        """(expected, at most) in a batch, where it may wait for one."""
        price = self.price if self.price is None or not self.may_wait else self.price.in_batch()
        return self._dollars(price)

    def _dollars(self, price: Price | None) -> tuple[float, float]:
        if price is None:
            return math.nan, math.nan
        inputs, outputs = price.input / 1e6, price.output / 1e6
        most = price.dearest_input / 1e6 * self.most_input_tokens
        if outputs:  # nothing of infinitely many free tokens is nothing
            most += outputs * self.most_output_tokens
        return inputs * self.input_tokens + outputs * self.output_tokens, most


def request_cost(
    client: Client, request: ChatRequest, output_tokens: float, may_wait: bool = False
) -> RequestCost:
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
        client.batch,
        may_wait,
    )


def worst_case(body: Mapping[str, Any], price: Price | None) -> Bill:
    """Return what the request `body` takes at most.

    No tokenizer makes more tokens of a text than it has bytes. What a chat template or a
    server's wording of a schema adds is less than the JSON around them.
    """
    inputs = len(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))
    outputs = 0
    if "messages" in body:
        given = [body[name] for name in ("max_tokens", "max_completion_tokens") if name in body]
        outputs = int(given[0]) if given else UNTOLD_REPLY
    tokens = float(inputs + outputs)
    return Bill(
        1, tokens, 0.0 if price is None else (price.dearest_input * inputs + price.output * outputs) / 1e6
    )


def bill_of(tokens: Tokens, price: Price | None) -> Bill:
    """Return what one request took."""
    return Bill(1, float(tokens.input + tokens.output), 0.0 if price is None else price.of(tokens))


PACKAGED = Path(__file__).parent / "prices.yaml"


class Price(FileModel):
    """Dollars for a million tokens of prompt and of reply.

    `cached_input`: of what the endpoint's own cache had of a prompt; `cache_write`: of what it took in;
    None = as `input`.
    `batch`: what a request of a batch costs, as a share of that; None = no less.
    """

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    cache_write: float | None = Field(default=None, ge=0)
    batch: float | None = Field(default=None, gt=0, le=1)

    def of(self, tokens: Tokens) -> float:
        """Return the dollars of one request."""
        cached = self.input if self.cached_input is None else self.cached_input
        written = self.input if self.cache_write is None else self.cache_write
        fresh = tokens.input - tokens.cached_input - tokens.cache_write
        inputs = fresh * self.input + tokens.cached_input * cached + tokens.cache_write * written
        return (inputs + tokens.output * self.output) / 1e6

    @property
    def dearest_input(self) -> float:
        """Dollars for a million tokens of a prompt at most."""
        return max(self.input, self.cached_input or 0.0, self.cache_write or 0.0)

    def in_batch(self) -> Price:
        """Return the price of the same in a batch; what the endpoint's own cache has is not less there."""
        share = 1.0 if self.batch is None else self.batch
        written = None if self.cache_write is None else share * self.cache_write
        return Price(input=share * self.input, output=share * self.output, cache_write=written)


def in_dollars(amount: float) -> str:
    """Return `amount` as text, to the cent; little to a hundredth of one, so that it is not nothing."""
    return f"${amount:,.2f}" if amount == 0 or amount >= 0.1 else f"${amount:.4f}"


@functools.lru_cache(maxsize=8)
def read_prices(path: str | None) -> dict[str, Price]:
    """Return the price of each model in the file, None = the one that ships with the package.

    Raises
    ------
    UserError
        the file cannot be read or an entry is not {input, output} (and parts of `Price`) of numbers >= 0.
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
