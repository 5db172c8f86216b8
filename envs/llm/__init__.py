"""Client of language models at OpenAI-compatible endpoints: cached, limited, paid for once.

Importing this package does not import `openai`; the first request does.
"""

from envs.llm.cache.reply_cache import ReplyCache
from envs.llm.client import Client
from envs.llm.endpoint import Endpoint, EndpointError, LimitReached, Limits
from envs.llm.messages import ChatRequest, ModelReply, TokenChoice

__all__ = [
    "ChatRequest",
    "Client",
    "Endpoint",
    "EndpointError",
    "LimitReached",
    "Limits",
    "ModelReply",
    "ReplyCache",
    "TokenChoice",
]
