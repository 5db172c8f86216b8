"""What was paid for: the file of replies, and who may ask for one that is not in it."""

from envs.llm.cache.reply_cache import CacheRow, ReplyCache, ReplyKey, default_path

__all__ = ["CacheRow", "ReplyCache", "ReplyKey", "default_path"]
