"""A guardrail of the LiteLLM proxy that asks before a model answers; `raise-planner serve` decides.

Copy this file beside the proxy's config.yaml, which gets

    guardrails:
      - guardrail_name: raise-planner
        litellm_params:
          guardrail: litellm_guardrail.AskFirst
          mode: pre_call
          default_on: true
          api_base: http://127.0.0.1:8000
          api_key: os.environ/RAISE_PLANNER_KEY     # where the service wants keys

A question becomes the reply, streamed or not, and no model is called. The conversation is in the messages
that clients resend: nothing is kept here.
"""

from __future__ import annotations

from typing import Any

import httpx
from fastapi import HTTPException
from litellm.integrations.custom_guardrail import CustomGuardrail, ModifyResponseException
from litellm.llms.custom_httpx.http_handler import get_async_httpx_client, httpxSpecialProvider
from litellm.types.guardrails import GuardrailEventHooks

CHATS = ("completion", "acompletion")
SEEN = "raise_planner"
FIELDS = ("messages", "tools", "functions", "response_format", "n", "modalities", "audio")


class AskFirst(CustomGuardrail):
    """Lets a chat pass with what is known of the person, or replies with a question or with help."""

    def __init__(
        self, api_base: str = "http://127.0.0.1:8000", api_key: str | None = None, **rest: Any
    ) -> None:
        self._url = f"{api_base.rstrip('/')}/v1/next"
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = get_async_httpx_client(llm_provider=httpxSpecialProvider.GuardrailCallback)
        super().__init__(supported_event_hooks=[GuardrailEventHooks.pre_call], **rest)

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Return the request as it goes on to the model; raise what is said in the model's place."""
        if call_type not in CHATS or not self.should_run_guardrail(data, GuardrailEventHooks.pre_call):
            return data
        metadata = data.setdefault("metadata", {})
        if SEEN in metadata:  # some versions call a hook twice
            return data
        body = {name: data[name] for name in FIELDS if data.get(name) is not None}
        try:
            response = await self._http.post(self._url, json=body, headers=self._headers)
            step = response.json()
        except (httpx.HTTPError, ValueError):
            # No plain exception: that would be a 500, which clients repeat.
            raise HTTPException(400, {"error": "raise-planner: the service does not answer"}) from None
        if step["kind"] == "answer":
            data["messages"] = step["messages"]
        elif step["text"]:
            # A text that is returned would be a 400 for chats; this is a reply, streamed or not.
            raise ModifyResponseException(step["text"], data.get("model", ""), data, self.guardrail_name)
        metadata[SEEN] = step["kind"]
        return data
