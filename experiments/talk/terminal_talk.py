"""One conversation on a console: what is shown, and what is typed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from envs import Scenario, UserError
from envs.llm import EndpointError, LimitReached
from envs.scenario import Profile
from envs.users import PersonUser, User, read_line
from experiments.talk.waiting import told_while_waiting
from experiments.talk.word_wrap import WordWrap
from policies import Agent, Turn
from policies.dialogue import Responder
from policies.dialogue.transcript import heading
from policies.understanding import Dialogue

COMMANDS = """\
Write as you would speak. An empty line skips a question. Beside your own words there are:
/why: what a question is for    /skip: leave it out         /undo: take back your last reply
/known: what is known of you    /forget NAME: forget that   /answer: no more questions
/neighbours: like questions     /help: these lines          /quit leaves"""
NO_MODEL = "No model is configured to answer: target=openai target.chat.model=M, or target=local."
SHOWN = 10
"""Stored queries that `/neighbours` shows."""
TRY_AGAIN = "Nothing is lost: an empty line tries again, /quit leaves."
_COMMAND = re.compile(r"/[a-z]+|/forget\s+\S.*", re.I)
"""A slash and one word: anything longer may be an answer, and is read as one."""


@runtime_checkable
class StreamingResponder(Protocol):
    """A `Responder` that also speaks as it goes."""

    def stream(self, query: str, context: Profile, dialogue: Dialogue) -> Iterator[str]:
        """Yield the answer piece by piece."""
        ...


class TerminalTalk:
    """Holds a conversation.

    `target`: lets a model answer, None = none does. `user`: who is at the keyboard, or answers `scenario`'s
    questions by a script. `reached_end`: whether an answer, or help, was shown.
    """

    def __init__(
        self, console: Console, agent: Agent, target: Responder | None, user: User, scenario: Scenario | None
    ) -> None:
        self.console = console
        self.agent = agent
        self.target = target
        self.user = user
        self.scenario = scenario
        self.reached_end = False
        self._again: tuple[Callable[[], Turn], bool] | None = None

    def hold(self, query: str | None) -> None:
        """Talk until the person leaves; somebody scripted leaves at the first answer.

        Raises
        ------
        EOFError, KeyboardInterrupt
            the input ends, Ctrl-C.
        """
        if query is None:
            query = self._query()
        else:
            self.console.print(f"[italic]{escape(query)}[/italic]")
        if query is None:
            return
        if isinstance(self.user, PersonUser):
            self.console.print(COMMANDS, markup=False)
        first = query
        turn = self._tried(lambda: self.agent.start(first))
        while True:
            if turn is not None:
                turn = self._show(turn)
                if self.reached_end and not isinstance(self.user, PersonUser):
                    return
            text = self._next(turn)
            command = text.strip().lower() if text else ""
            if command == "/quit":
                return
            turn = self._typed(text, command)

    def _typed(self, text: str | None, command: str) -> Turn | None:
        """Return the turn that follows what was typed, None where the one before is still open."""
        again = self._again
        if not command and again is not None:
            turn = self._tried(*again)
            return None if again[1] else turn
        if isinstance(self.user, PersonUser) and _COMMAND.fullmatch(command):
            return self._command(command)
        return self._tried(lambda: self.agent.reply(text))

    def _tried(self, step: Callable[[], Turn], shows: bool = False) -> Turn | None:
        """Return the turn of `step`; None where an endpoint fails, which is told and can be tried again.

        `shows`: the step shows its turn itself.
        """
        try:
            with told_while_waiting():
                turn = step()
        except (EndpointError, LimitReached) as error:
            if not isinstance(self.user, PersonUser):
                raise
            self._again = (step, shows)
            self.console.print(f"[red]{escape(str(error))}[/red]\n{TRY_AGAIN}")
            return None
        self._again = None
        return turn

    def _command(self, command: str) -> Turn | None:
        name, _, rest = command.partition(" ")
        if name == "/skip":
            return self._tried(lambda: self.agent.reply(None))
        if name == "/undo":
            return self._undo()
        if name == "/answer":
            return self._tried(self.agent.answer_now)
        if name == "/forget":
            return self._forget(rest.strip())
        if name == "/why":
            why = self.agent.why()
            self.console.print(escape(why or "No question is open."))
        elif name == "/known":
            self._show_known(self.agent.context)
        elif name == "/neighbours":
            self.console.print(_neighbours(self.agent))
        else:
            self.console.print(COMMANDS, markup=False)
        return None

    def _undo(self) -> Turn | None:
        try:
            return self.agent.undo()
        except UserError:
            self.console.print("There is nothing to take back.")
            return None

    def _forget(self, name: str) -> Turn | None:
        found = next((known for known in self.agent.context if known.lower() == name), None)
        if found is not None:
            return self.agent.forget(found)
        self.console.print("Say which, /forget and one of these names:")
        self._show_known(self.agent.context)
        return None

    def _next(self, turn: Turn | None) -> str | None:
        """Return what the person writes next, or somebody scripted replies."""
        if isinstance(self.user, PersonUser):
            return read_line(self.user.prompt).strip() or None
        assert turn is not None  # noqa: S101 - for somebody scripted errors end the conversation
        text = self.user.answer(self.scenario, turn.attribute or "", turn.question).text
        self.console.print(f"> {escape(text or '')}")
        return text

    def _query(self) -> str | None:
        """Return the person's query, None when the person quits."""
        while True:
            self.console.print("What would you like to ask?")
            query = read_line("> ").strip()
            if query.lower() == "/quit":
                return None
            if query and not _COMMAND.fullmatch(query.lower()):
                return query
            self.console.print("A question in your own words comes first; /quit leaves.")

    def _show(self, turn: Turn) -> Turn:
        """Show `turn`; return it with the model's answer."""
        self.console.print()
        if turn.note:
            self.console.print(f"{escape(turn.note)}\n")
        if turn.kind == "ask":
            if turn.attribute is not None:
                self.console.print(f"[dim]{escape(heading(turn))}[/dim]")
            self.console.print(escape(turn.question))
            return turn
        self.reached_end = True
        if turn.kind == "escalate":
            self._show_help(turn)
            return turn
        return self._show_answer(turn)

    def _show_help(self, turn: Turn) -> None:
        self.console.print(f"[bold]{escape(turn.message)}[/bold]\n")
        for resource in turn.resources:
            who = f"{escape(resource.where)}: {escape(resource.name)}"
            self.console.print(f"  {who}, [bold]{escape(resource.contact)}[/bold]")
        if isinstance(self.user, PersonUser):
            self.console.print("\nThat comes first. You can also go on here, whenever you like.")

    def _show_answer(self, turn: Turn) -> Turn:
        if turn.question == self.agent.dialogue.query:
            asked = f"{len(turn.path)} question{'' if len(turn.path) == 1 else 's'} asked"
            self.console.print(f"{asked}; {escape(turn.reason)}.")
            self._show_known(turn.context, turn.revealed)
        if not turn.question:
            return turn
        if turn.response is None and self.target is None:
            self.console.print(f"\n{NO_MODEL}")
        elif turn.response is None:
            return self._answered(turn) or turn
        else:
            self._say(iter([turn.response]))
        return turn

    def _answered(self, turn: Turn) -> Turn | None:
        """Let the model answer, shown as it speaks; None where it fails, which is told."""
        target = self.target
        assert target is not None  # noqa: S101 - the caller has looked
        asked = (turn.question, turn.context, self.agent.dialogue)

        def speak() -> Turn:
            if isinstance(target, StreamingResponder):
                pieces = target.stream(*asked)
            else:
                pieces = iter([target(*asked) or "The model gave no answer."])
            return self.agent.answered(self._say(pieces))

        return self._tried(speak, shows=True)

    def _say(self, pieces: Iterator[str]) -> str:
        """Show `pieces` as they come; return them in one."""
        out, said = self.console.file, ""
        wrap = WordWrap(out.write, None if self.console.soft_wrap else self.console.width)
        out.write("\n")
        try:
            for piece in pieces:
                said += piece
                wrap.add(piece)
                out.flush()
        finally:
            wrap.end()
        return said.strip()

    def _show_known(self, context: Profile, revealed: tuple[str, ...] = ()) -> None:
        self.console.print("[bold]Known of you:[/bold]" if context else "Nothing is known of you.")
        for name, value in context.items():
            message = " (from the query)" if name in revealed else ""
            self.console.print(f"  {escape(name)}: {escape(value)}{message}")


def _neighbours(agent: Agent) -> Table:
    """Return the nearest `SHOWN` stored queries."""
    found = agent.neighbours
    table = Table("similarity", "domain", "stored query", "its path")
    names = agent.plan_index.schema.names
    for i, query in enumerate(agent.plan_index.queries(found.rows[:SHOWN])):
        path = ", ".join(names[a] for a in found.paths[i].tolist() if a >= 0)
        table.add_row(f"{found.similarity[i]:.2f}", found.domains[i], escape(query), path)
    return table
