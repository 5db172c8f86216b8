"""A language model as judge, its replay from a cache, and a model on this machine."""

from envs.judges.llm.llm_judge import TRANSCRIPTS, LLMJudge

__all__ = ["TRANSCRIPTS", "LLMJudge"]
