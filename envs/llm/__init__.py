"""Client of language models at OpenAI-compatible endpoints: cached, limited, paid for once.

Importing this package does not import `openai`; the first request does.
"""

from envs.llm.client import Client
from envs.llm.endpoint import Endpoint, EndpointError, LimitReached, Limits
from envs.llm.messages import ChatRequest, Reply, TokenChoice
from envs.llm.reply_cache import ReplyCache

__all__ = [
    "ChatRequest",
    "Client",
    "Endpoint",
    "EndpointError",
    "LimitReached",
    "Limits",
    "Reply",
    "ReplyCache",
    "TokenChoice",
]
