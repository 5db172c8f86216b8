"""Limits of judges: of judge and target together, of each member of a panel, of requests in batches."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import OutsideError, UserError
from envs.judges.panel import PanelJudge
from envs.llm import EndpointError, LimitReached, Limits
from envs.llm.admission import lane
from envs.llm.admission.ledger import FILE_NAME, Ledger
from envs.llm.batch import batch_service, batcher
from envs.llm.costs import Bill
from envs.llm.endpoint import Unreadable
from envs.llm.scripted.scripted_batches import LINE_FAULTS, BatchScript
from envs.llm.scripted.scripted_replies import FAULTS
from envs.llm.sending import repetition
from tests.envs.llm_cases import judge, scenario, server

KINDS = ("target", "panel", "batch", "batch and target")
CENTS = 1
"""A token, of prompt or reply; half of it in batches."""
CONTEXTS = [(), ("Age",), ("Gender",)]


@pytest.fixture
def _short_waits(monkeypatch):
    for module in (repetition, lane, batch_service):
        monkeypatch.setattr(module, "FIRST_WAIT_S", 0.005)
    monkeypatch.setattr(batcher, "QUIET_S", 0.02)
    monkeypatch.setattr(batcher, "FIRST_LOOK_S", 0.005)


def made(kind, urls, folder, limits):
    """Return the judge, and for each of its ledgers the folder and which servers it pays."""
    keys = {"timeout_s": 0.3, "max_retries": 1, "give_up_after": 2.0, "max_output_tokens": 20, **limits}
    if kind == "panel":
        members = [judge(url, folder, mode="direct", cache_as=url, **keys) for url in urls]
        return PanelJudge(members), [(folder / "member_1", [0]), (folder / "member_2", [1])]
    batch = kind.startswith("batch")
    if not kind.endswith("target"):
        return judge(urls[0], folder, mode="direct", batch=batch, **keys), [(folder, [0])]
    target = {"model": "t", "base_url": urls[1], "max_output_tokens": 20}
    return judge(urls[0], folder, target=target, batch=batch, **keys), [(folder, [0, 1])]


def billed(running):
    """Requests, tokens and cents that a server would bill, of those that it has answered."""
    seen, batches = running.seen, running.batches
    lines = sum(batches.delivered.values())
    return seen.requests + lines, seen.billed + batches.billed, CENTS * (seen.billed + batches.billed / 2)


def kept(folder, scratch):
    """Return what a ledger on the disk comes to, read from a copy: reading it goes on with it."""
    file = folder / FILE_NAME
    if not file.exists():
        return Bill()
    copy = scratch / f"{folder.name}.jsonl"
    copy.write_bytes(file.read_bytes())
    ledger = Ledger(Limits())
    ledger.keep(copy)
    ledger.close()
    return ledger.taken


def session(one, folder, first):
    """Let three plans ask at once until they end or a limit ends them; return whether one did."""

    def asked(i):
        try:
            if not i:
                one.preflight(folder, scenario(first))
            one.score(scenario(first + i), CONTEXTS, [0] * len(CONTEXTS))
        except (EndpointError, LimitReached, OutsideError, Unreadable) as error:
            return isinstance(error, LimitReached)
        except UserError as error:  # a server whose first reply and its repetition are garbled is none
            if i or "does not answer like" not in str(error):
                raise
        return False

    ended = asked(0)
    with ThreadPoolExecutor(3) as pool:
        return any([ended, *pool.map(asked, range(1, 4))])


def check(drawn, folder, scratch):
    kind, limit, value, in_flight, rate, sessions, faults, line_faults = drawn
    file = folder / "prices.yaml"
    price = f"{{input: {CENTS * 1e4}, output: {CENTS * 1e4}, batch: 0.5}}"
    file.write_text(f"m: {price}\nt: {price}\n")
    limits = {limit: value, "max_in_flight": in_flight, "prices": str(file)}
    batches = BatchScript(fault_rate=rate, faults=line_faults, seed=value)
    keys = {"fault_rate": rate, "faults": faults, "seed": value, "batches": batches}
    most = {"max_requests": math.inf, "max_tokens": math.inf, "max_cost": math.inf, limit: value}
    was_ended = False
    with server(**keys) as one, server(**keys) as two:
        for number in range(sessions):
            found, ledgers = made(kind, [one.url, two.url], folder, limits)
            was_ended |= session(found, folder, 10 * number)
            for place, paid in ledgers:
                taken = kept(place, scratch)
                bills = [billed((one, two)[i]) for i in paid]
                requests, tokens, cents = map(sum, zip(*bills, strict=True))
                assert requests <= taken.requests <= most["max_requests"], (requests, taken)
                assert tokens <= taken.tokens <= most["max_tokens"], (tokens, taken)
                assert cents / 100 - 1e-6 <= taken.dollars <= most["max_cost"] + 1e-6, (cents, taken)
    return was_ended


SETTINGS = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from(["max_requests", "max_tokens", "max_cost"]),
    st.integers(1, 30),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.2, 0.5]),
    st.integers(1, 2),
    st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(LINE_FAULTS), min_size=1, max_size=2, unique=True).map(tuple),
).map(lambda d: (*d[:2], d[2] * {"max_requests": 1, "max_tokens": 1000, "max_cost": 10}[d[1]], *d[3:]))


@pytest.mark.slow
@pytest.mark.usefixtures("_short_waits")
@settings(max_examples=100, deadline=None)
@given(SETTINGS)
def test_limits_of_any_judge_are_never_passed_nor_its_ledger_below_the_bill(tmp_path_factory, drawn):
    check(drawn, tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("ledger"))


@pytest.mark.usefixtures("_short_waits")
@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_ends_each_kind_of_judge_with_requests_that_time_out(kind, tmp_path, tmp_path_factory):
    drawn = (kind, "max_requests", 5, 4, 0.3, 2, ["timeout", "drop"], ("server_error",))
    assert check(drawn, tmp_path, tmp_path_factory.mktemp("ledger"))
