"""`python -m experiments.ask`: piped, on a terminal, interrupted; and what it leaves behind.

Two tests start a process of their own; the others call the command with standard input replaced.
"""

import io
import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import time

import pytest
from hydra import compose, initialize_config_module

from envs import UserError
from envs.llm.local.local_server import missing
from envs.llm.scripted.scripted_replies import Completion
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from experiments.ask import ask as ask_command
from experiments.ask import endpoints
from experiments.runs.config import register
from experiments.talk.waiting import STILL_WAITING
from policies.understanding import Reading, RulesReader, Value
from tests.experiments.run_cases import environment

ASK = "experiments.ask"
QUERY = "My brother wants the money back by Friday. Should I take a loan? I'm 34."
ALL = (
    "policy/abstention=never",
    "reader=custom",
    "reader._target_=tests.experiments.talk.test_ask.Whole",
)
LEFT = "You have left. Nothing was kept."


class Whole:
    """Reads a query by rules, and keeps a reply as it is."""

    def read(self, text, schema, asked=None, dialogue=None):
        rules = RulesReader.load()
        if asked is None or rules.tells_nothing(text):
            return rules.read(text, schema, asked, dialogue)
        return Reading({asked: Value(text)})


class Typed(io.StringIO):
    """Standard input of the given lines; a line is made when it is read."""

    def __init__(self, lines):
        super().__init__()
        self.lines = iter(lines)

    def readline(self, size=-1):
        return next((line + "\n" for line in self.lines), "")


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder with the given lines on standard input; return what it prints."""
    monkeypatch.chdir(tmp_path)

    def go(*arguments, lines=()):
        monkeypatch.setattr(sys, "stdin", Typed(lines))
        register()
        with initialize_config_module("conf", version_base="1.3"):
            cfg = compose("ask", overrides=list(arguments))
        ask_command(cfg)
        return capsys.readouterr().out

    return go


def test_a_conversation(ask, tmp_path):
    out = ask(*ALL, lines=[QUERY, "/neighbours", "Anxious, on tablets", "", "skip", "I feel cornered"])
    assert "stays in the memory of this process and is forgotten" in out
    assert "SIMULATED" in out
    assert "emergency" in out
    assert "similarity" in out
    assert "4 questions asked" in out
    assert "Age: 34 (from the query)" in out
    assert "Anxious, on tablets" in out
    assert "I feel cornered" in out
    assert not re.search(r"^  .*: skip$", out, re.M)
    assert list(tmp_path.iterdir()) == []


def test_says_where_the_words_go_when_a_model_is_asked(ask, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with ScriptedServer() as server:
        model = ("target=openai", "target.chat.model=m", f"target.chat.base_url={server.url}")
        out = ask(*ALL, "policy.budget=1", *model, lines=[QUERY, "none"])
        assert server.seen.requests == 1
    assert f"What you write is sent to m at {server.url}" in out
    assert "Scripted reply" in out
    assert "is sent to" not in ask(lines=[])
    assert endpoints({"chat": {"model": "m", "base_url": None}}) == ["m at https://api.openai.com/v1"]


def at(server, *more):
    return ("target=openai", "target.chat.model=m", f"target.chat.base_url={server.url}", *more)


def test_a_follow_up_goes_to_the_model_with_what_was_said_before(ask):
    rule = lambda body: Completion(f"Reply {len(body['messages'][-1]['content'])}.")  # noqa: E731
    with ScriptedServer(Script(rule), keep_bodies=True) as server:
        out = ask(*ALL, "policy.budget=1", *at(server), lines=[QUERY, "none", "And if he agrees to wait?"])
        first, second = server.seen.bodies
    assert first["stream"] is True
    assert len(re.findall(r"^Reply \d+\.$", out, re.M)) == 2
    said = second["messages"][-1]["content"]
    assert "And if he agrees to wait?" in said
    assert f"You: Reply {len(first['messages'][-1]['content'])}." in said
    assert "Take a loan" not in said
    assert out.rstrip().endswith(LEFT)


@pytest.mark.parametrize("fault", ["server_error", "truncated_json", "empty"])
def test_a_model_that_fails_is_told_in_a_line_and_an_empty_line_tries_again(ask, fault):
    with ScriptedServer(Script(fault_rate=1.0, faults=(fault,))) as server:

        def lines():
            yield from (QUERY, "none")
            server.script = Script()  # it is well again
            yield from ("", "And then?")

        options = at(server, "target.chat.max_retries=0", "target.chat.give_up_after=60")
        out = ask(*ALL, "policy.budget=1", *options, lines=lines())
    assert len(re.findall(r"^chat: model m: [^\n]+$", out, re.M)) == 1
    assert len(re.findall(r"^Scripted reply \d+\.$", out, re.M)) == 2
    assert "Traceback" not in out


def test_no_model_is_said(ask):
    assert "No model is configured to answer" in ask(*ALL, lines=[QUERY, "/answer"])


def answer(query, context, dialogue):
    """Answer as a callable of one's own."""
    return f"{len(context)} known, {len(dialogue.turns)} said."


def test_a_target_of_ones_own(ask):
    own = ("target=custom", f"target._target_={__name__}.answer")
    assert "2 known, 2 said." in ask(*ALL, *own, "policy.budget=1", lines=[QUERY, "none"])


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_the_small_local_model_answers(ask):
    out = ask(
        *ALL, "policy.budget=1", "target=local", "target.chat.max_output_tokens=12", lines=[QUERY, "none"]
    )
    assert out.rstrip().endswith(LEFT)
    assert "No model" not in out
    assert re.search(r"Known of you:[\s\S]*\n\n\S", out)


def test_commands(ask):
    lines = [QUERY, "/why", "none", "/undo", "/skip", "/known", "/forget", "/forget age", "/known", "/undo"]
    out = ask(*ALL, lines=lines)
    assert out.count("stored plans find it") + out.count("stored questions most like yours") == 1
    assert out.count("Question 1 of at most 4") == 2
    assert out.count("Question 2 of at most 4") == 3  # after the answer, the skip and the forgetting
    assert out.count("Age: 34") == 2
    assert "Forgotten: Age" in out
    assert "Nothing is known of you." in out
    assert "There is nothing to take back." in out


def test_after_help_one_may_go_on(ask):
    lines = [QUERY, "I just took a whole bottle of pills", "My sister is driving me to hospital", "/answer"]
    out = ask(*ALL, lines=lines)
    assert "911" in out
    assert "Question 2 of at most 4" in out
    assert "Known of you" in out


def test_a_model_reads_and_looks_for_danger_and_it_says_where_the_words_go(ask):
    scores = {"self-harm": 0.9, "self-harm/intent": 0.0, "self-harm/instructions": 0.0}
    with ScriptedServer(
        Script(moderation=lambda text: scores if "pans" in text else scores | {"self-harm": 0.0})
    ) as server:
        reads = ("reader=llm", "reader.model=r", f"reader.base_url={server.url}")
        looks = ("detector=moderation", "detector.model=d", f"detector.base_url={server.url}")
        out = ask(*reads, *looks, lines=["Which pans should I buy?", "/quit"])
    assert f"What you write is sent to r at {server.url}, d at {server.url}" in out.replace("\n", " ")
    assert "988" in out


def test_text_with_markup_is_shown_as_it_is(ask):
    out = ask(*ALL, "policy.budget=1", lines=["Is [bold]this[/red] it?", "a [link=x]b[/link]"])
    assert "a [link=x]b[/link]" in out


def test_help_comes_first_when_there_is_danger(ask, tmp_path):
    out = ask(lines=["I want to end my life tonight"])
    assert "988" in out
    assert "116 123" in out
    assert "Known when answering" not in out
    assert list(tmp_path.iterdir()) == []


def test_danger_in_a_reply(ask):
    out = ask("query='Should I take a loan?'", lines=["I just took a whole bottle of pills"])
    assert "911" in out
    assert "Known when answering" not in out


@pytest.mark.parametrize("lines", [[], [QUERY], [QUERY, "fine"], [QUERY, "/quit"]])
def test_leaving_is_clean(ask, tmp_path, lines):
    assert ask(*ALL, lines=lines).rstrip().endswith(LEFT)
    assert list(tmp_path.iterdir()) == []


def test_a_query_is_asked_for_until_there_is_one(ask):
    out = ask("policy/abstention=fixed", "policy.abstention.k=0", lines=["", "  ", "/help", "Should I go?"])
    assert out.count("What would you like to ask?") == 4
    assert "0 questions asked" in out
    assert ask(lines=["/quit"]).rstrip().endswith(LEFT)


def test_a_command_that_is_none_is_no_answer(ask):
    out = ask(*ALL, "policy.budget=1", lines=[QUERY, "/help", "/neighbors", "/ slash and words"])
    assert out.count("/quit leaves") == 3
    assert "/ slash and words" in out
    assert "neighbors" not in out


def test_danger_behind_a_slash_is_read(ask):
    assert "988" in ask(*ALL, lines=[QUERY, "/quit I want to die"])


def test_it_says_that_it_reads_english(ask):
    assert "It reads English" in ask(lines=[])


def test_answer_ends_the_questions(ask):
    out = ask(*ALL, lines=[QUERY, "none", "/answer"])
    assert "1 question asked" in out


@pytest.mark.parametrize("acquisition", ["nearest", "vote", "conditional"])
def test_a_bundled_person_answers(ask, acquisition):
    out = ask(
        "users=profile",
        "scenario=relationship-breakup-divorce",
        f"policy/acquisition={acquisition}",
        "policy/abstention=fixed",
        "policy.abstention.k=2",
        *ALL[1:],
    )
    assert "2 questions asked" in out
    known = re.findall(r"^  [A-Z][\w -]+: .*", out, re.M)
    assert len([line for line in known if "(from the query)" not in line]) == 2


def test_a_person_who_declines_everything(ask):
    out = ask(*ALL, lines=["Should I go?", "", "", "", ""])
    assert "4 questions asked" in out
    assert "Nothing is known of you." in out


def test_answers_are_stored_only_when_asked_for(ask, tmp_path):
    out = ask(*ALL, "store_answers=true", "output_dir=kept", lines=[QUERY, "none", "/answer"])
    assert "written to kept" in out
    assert "Nothing was kept" not in out
    (path,) = (tmp_path / "kept").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    row = json.loads(path.read_text(encoding="utf-8"))
    assert row["query"] == QUERY
    assert "none" in [value["words"] for value in row["values"].values()]
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("paths=nowhere",),
        ("crisis=nowhere.yaml",),
        ("reading=nowhere.yaml",),
        ("users=profile", "query=hello"),
        ("scenario=nobody", "users=profile"),
        ("query=''",),
    ],
)
def test_a_mistake_is_a_users_mistake_of_one_line(ask, arguments):
    with pytest.raises(UserError, match=r"^[^\n]+$"):
        ask(*arguments)


def _process(tmp_path, *arguments, **options):
    options = {"env": environment(), **options}
    return subprocess.Popen(
        [sys.executable, "-m", ASK, *arguments], cwd=tmp_path, start_new_session=True, **options
    )


def without_waiting(text):
    """Return standard error without the word for a person who waits: a machine may be slow."""
    return text.replace(f"{STILL_WAITING}\n", "")


def test_a_piped_process(tmp_path):
    pipe = subprocess.PIPE
    process = _process(tmp_path, *ALL, "policy.budget=2", stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    out, err = process.communicate(f"{QUERY}\nAnxious\n\n", timeout=120)
    assert (process.returncode, without_waiting(err)) == (0, "")
    assert "2 questions asked" in out
    assert "Anxious" in out
    assert list(tmp_path.iterdir()) == []


def _read_some(fd):
    """Return what is there to be read, so that the other side never waits for room to write."""
    seen = ""
    while select.select([fd], [], [], 0)[0]:
        seen += os.read(fd, 65536).decode(errors="replace")
    return seen


def _read_until(fd, text, seconds=60):
    seen, deadline = "", time.monotonic() + seconds
    while text not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([fd], [], [], 0.2)[0]:
            seen += os.read(fd, 65536).decode(errors="replace")
    return seen


def test_long_and_pasted_text_is_one_answer(tmp_path):
    """Longer than the 4,095 bytes of a terminal's line, and pasted with its line ends."""
    master, slave = pty.openpty()
    terminal = {"stdin": slave, "stdout": slave, "stderr": slave, "env": environment() | {"TERM": "xterm"}}
    process = _process(tmp_path, *ALL, "policy.budget=1", **terminal)
    os.close(slave)
    pasted = "It began in May.\n" + "It went on. " * 500 + "\nI am 34."
    text = f"\x1b[200~{pasted}\x1b[201~\n".encode()
    try:
        _read_until(master, "\x1b[?2004h", 120)  # the line editor is there, and wants pastes marked
        for start in range(0, len(text), 512):
            os.write(master, text[start : start + 512])
            _read_some(master)
        _read_until(master, "/quit leaves", 120)
        os.write(master, b"/answer\n")
        seen = _read_until(master, "(from the query)", 120)
        os.write(master, b"/quit\n")
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert "0 questions asked" in seen
    assert re.search(r"Age: 34 \(from the query\)", seen)
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_of_few_letters_shows_the_others_as_it_can(tmp_path):
    pipe = subprocess.PIPE
    plain = environment() | {"PYTHONIOENCODING": "ascii:surrogateescape"}
    process = _process(tmp_path, *ALL, "policy.budget=1", stdin=pipe, stdout=pipe, stderr=pipe, env=plain)
    out, err = process.communicate("Caf\u00e9 loan?\nm\u00fcde\n".encode(), timeout=120)
    assert (process.returncode, without_waiting(err.decode())) == (0, "")
    assert b"?de" in out


def test_on_a_terminal_with_control_c(tmp_path):
    """A pseudo-terminal: a question is shown before its answer is awaited; Ctrl-C leaves without a trace."""
    master, slave = pty.openpty()
    process = _process(tmp_path, *ALL, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    try:
        _read_until(master, "What would you like to ask?")
        os.write(master, (QUERY + "\n").encode())
        _read_until(master, "/quit")
        process.send_signal(signal.SIGINT)
        seen = _read_until(master, LEFT)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert "Traceback" not in seen
    assert list(tmp_path.iterdir()) == []
