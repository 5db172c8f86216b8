"""The agent as an MCP server: a tool that says what to ask next, and one that asks the person itself.

Both are stateless. `next_question` replays the replies that it is given; `gather_context` asks by
elicitation: what was said travels with the request, sealed, in the client's hands (protocol revision
2026-07-28), or waits in the open call (2025-11-25 and before).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import anyio.to_thread
from mcp.server.elicitation import AcceptedElicitation, render_elicitation_schema
from mcp.server.mcpserver import Context, MCPServer, RequestStateSecurity
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ToolAnnotations,
)
from mcp_types.version import is_version_at_least
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from envs import UserError
from policies.agent import Agent
from policies.dialogue import Turn
from policies.serving.mcp_tools.mcp_turns import McpTurn, form_message, mcp_turn
from policies.serving.mcp_tools.question_urls import QuestionUrls

NAME = "raise-planner"
INSTRUCTIONS = (
    "Before you answer a question that may be risky for the person who asks it (health, money, work, family, "
    "feelings, life decisions), call gather_context with that question, word for word. Where it says "
    "kind=ask, put its question to the person in the chat and go on with next_question. Where it says "
    "kind=escalate, show message and resources first. Answer in view of context at kind=answer."
)
FORMS_BY_RETURN = "2026-07-28"
"""The first revision in which a call returns its question, and in which forms may ask all but secrets."""
MAX_FORMS = 8
"""Forms in one call: clients give up a call after ten rounds."""
MAX_UNSEEN = 2
"""Forms in a row that were cancelled before the rest is asked in the chat: some clients show none."""
MILD = 2
"""Sensitivity up to which revisions before 2026-07-28 are asked by form: they keep sensitive things out."""
THINK_S = 3600.0
"""Seconds that a person may think over one form before the call has to begin anew."""
_KEY = "question"

Query = Annotated[str, Field(description="what the person asked, word for word")]
Known = Annotated[
    dict[str, str] | None, Field(description="what the person told of themselves before: {attribute: words}")
]
Replies = Annotated[
    list[str | None] | None,
    Field(description="the person's replies so far, in order, word for word; null: declined", max_length=60),
]
_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


class _OwnWords(BaseModel):
    # The form of every question. No default: one click answers nothing. No docstring: it would be shown.
    model_config = ConfigDict(title="Your answer")

    answer: str = Field(title="Your answer", description="In your own words. Decline to skip the question.")


class _Waiting(BaseModel):
    """What travels with a call while the person thinks. The client holds it sealed."""

    conversation: str
    forms: int
    unseen: int
    question: str
    replies: list[str | None]


class FormTalk:
    """One call of `gather_context`, from form to form."""

    def __init__(
        self, agent: Agent, forms: int = 0, unseen: int = 0, replies: Sequence[str | None] = ()
    ) -> None:
        self.agent = agent
        self.forms = forms
        self.unseen = unseen
        self.replies = [*replies]

    @property
    def asks(self) -> bool:
        """Whether another question comes, and a form may ask it."""
        return self.agent.turn.kind == "ask" and self.forms < MAX_FORMS and self.unseen < MAX_UNSEEN

    def take(self, action: str, answer: str | None) -> None:
        """Take what became of a form. To decline, to cancel and to leave it empty is not to tell."""
        reply = answer if action == "accept" and answer is not None and answer.strip() else None
        self.agent.reply(reply)
        self.replies.append(reply)
        self.forms += 1
        self.unseen = self.unseen + 1 if action == "cancel" else 0

    def sealed(self) -> str:
        """Return all of it as text."""
        return _Waiting(
            conversation=self.agent.to_json(),
            forms=self.forms,
            unseen=self.unseen,
            question=form_message(self.agent.turn),
            replies=self.replies,
        ).model_dump_json()

    @classmethod
    def unsealed(cls, text: str, shared: Agent) -> tuple[FormTalk, str]:
        """Return the talk that `sealed` gave, and the question that was put."""
        found = _Waiting.model_validate_json(text)
        agent = Agent.from_json(found.conversation, shared)
        return cls(agent, found.forms, found.unseen, found.replies), found.question


def create_mcp_server(
    agent: Agent, keys: Sequence[bytes | str] = (), urls: QuestionUrls | None = None
) -> MCPServer[Any]:
    """Return the server; `run("stdio")` or `run("streamable-http", ...)` starts it.

    `agent`: whose plans, policy, reader and detector all calls share. `keys`: secrets of 32 bytes or more
    that seal what travels with a request, where several processes serve or a restart shall be survived: the
    first seals, all of them open; none: a key of this process. `urls`: how clients of revisions before
    2026-07-28 are asked what is sensitive; None: in the chat.
    """
    security = RequestStateSecurity.ephemeral(ttl=THINK_S)
    if keys:
        security = RequestStateSecurity(keys=list(keys), ttl=THINK_S)
    # What it says of calls that failed, below that level, repeats their arguments.
    logging.getLogger("mcp").setLevel(logging.WARNING)
    server: MCPServer[Any] = MCPServer(
        NAME, instructions=INSTRUCTIONS, log_level="WARNING", request_state_security=security
    )
    tools = _Tools(agent, urls)
    server.tool(annotations=_READS, structured_output=True)(tools.next_question)
    server.tool(annotations=_READS, structured_output=True)(tools.gather_context)
    return server


class _Tools:
    def __init__(self, shared: Agent, urls: QuestionUrls | None) -> None:
        self._shared = shared
        self._urls = urls

    def next_question(self, query: Query, replies: Replies = None, known: Known = None) -> McpTurn:
        """Say what to ask the person next before their question is answered, or that enough is known.

        Call it first with `query` alone. At kind=ask put `note` and `question` to the person, then call it
        again with the reply added to `replies` (null where they declined). At kind=answer, answer in view
        of `context`. At kind=escalate, show `message` and every resource to the person first, as they are.
        """
        with _told():
            own = _started(self._shared, query, known)
            for reply in replies or []:
                own.reply(reply)
            return mcp_turn(own.turn, own.context, replies or [])

    async def gather_context(
        self, query: Query, ctx: Context[Any, Any], known: Known = None
    ) -> McpTurn | InputRequiredResult:
        """Ask the person what matters for `query` by forms in the client, then return what is known.

        The result is that of next_question; where it is kind=ask, forms could not be used (any more): put its
        question in the chat, and go on with next_question and its `replies`.
        """
        with _told():
            if is_version_at_least(ctx.protocol_version or "", FORMS_BY_RETURN):
                return await anyio.to_thread.run_sync(_asked_by_return, self._shared, query, known, ctx)
            return await _asked_while_waiting(self._shared, query, known, ctx, self._urls)


@contextmanager
def _told() -> Iterator[None]:
    """Tell the client in one line what is wrong with its arguments, or with an endpoint."""
    try:
        yield
    except UserError as error:
        raise ToolError(str(error)) from None


def _started(shared: Agent, query: str, known: dict[str, str] | None) -> Agent:
    own = shared.new()
    own.start(query, known)
    return own


def _turn(talk: FormTalk) -> McpTurn:
    return mcp_turn(talk.agent.turn, talk.agent.context, talk.replies)


def _opens_urls(ctx: Context[Any, Any]) -> bool:
    """Tell whether the client declared that it can send its person to a page."""
    capabilities = ctx.client_capabilities
    declared = None if capabilities is None else capabilities.elicitation
    return declared is not None and declared.url is not None


def _shows_forms(ctx: Context[Any, Any]) -> bool:
    """Tell whether the client declared forms; `elicitation: {}` means them alone."""
    capabilities = ctx.client_capabilities
    declared = None if capabilities is None else capabilities.elicitation
    return declared is not None and (declared.form is not None or declared.url is None)


def _asked_by_return(
    shared: Agent, query: str, known: dict[str, str] | None, ctx: Context[Any, Any]
) -> McpTurn | InputRequiredResult:
    """Take the answer that came with the request, if one did, and return the next question, or the end."""
    if ctx.request_state is None:
        talk = FormTalk(_started(shared, query, known))
    else:
        talk, question = FormTalk.unsealed(ctx.request_state, shared)
        response = (ctx.input_responses or {}).get(_KEY)
        taken = _answer(response) if question == form_message(talk.agent.turn) else None
        # What is missing or no answer is asked for again; a client that never gives one ends its call itself.
        if taken is not None:
            talk.take(*taken)
    if not talk.asks or not _shows_forms(ctx):
        return _turn(talk)
    params = ElicitRequestFormParams(
        message=form_message(talk.agent.turn), requested_schema=render_elicitation_schema(_OwnWords)
    )
    return InputRequiredResult(
        input_requests={_KEY: ElicitRequest(params=params)}, request_state=talk.sealed()
    )


def _answer(response: object) -> tuple[str, str | None] | None:
    """Return (action, words) of a client's response, None where it is none."""
    if not isinstance(response, ElicitResult):
        return None
    if response.action != "accept":
        return response.action, None
    try:
        return "accept", _OwnWords.model_validate(response.content, strict=True).answer
    except ValidationError:
        return None


async def _asked_while_waiting(
    shared: Agent, query: str, known: dict[str, str] | None, ctx: Context[Any, Any], urls: QuestionUrls | None
) -> McpTurn:
    """Ask by requests to the client inside the call.

    Sensitive questions are asked on a page, or else left to the chat, as is whether the person is safe.
    """
    talk = FormTalk(await anyio.to_thread.run_sync(_started, shared, query, known))
    while talk.asks:
        # Clients end a call of which they hear nothing for a minute.
        await ctx.report_progress(talk.forms, MAX_FORMS, "a question to the person is open")
        turn = talk.agent.turn
        if _is_mild(turn, shared) and _shows_forms(ctx):
            taken = await _by_form(turn, ctx)
        elif urls is not None and turn.attribute is not None and _opens_urls(ctx):
            taken = await urls.ask(form_message(turn), ctx)
        else:
            break
        if taken is None:
            break
        await anyio.to_thread.run_sync(talk.take, *taken)
    return _turn(talk)


async def _by_form(turn: Turn, ctx: Context[Any, Any]) -> tuple[str, str | None] | None:
    """Return (action, words) of a form, None where it was accepted without an answer."""
    try:
        found = await ctx.elicit(form_message(turn), _OwnWords)
    except ValueError:
        return None
    return found.action, found.data.answer if isinstance(found, AcceptedElicitation) else None


def _is_mild(turn: Turn, shared: Agent) -> bool:
    """Tell whether a form may ask it by the older rules; a question about danger may not."""
    schema = shared.plan_index.schema
    return turn.attribute is not None and schema.attributes[schema.index(turn.attribute)].sensitivity <= MILD
