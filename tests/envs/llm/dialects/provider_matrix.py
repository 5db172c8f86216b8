"""What each provider's dialect comes to, in real time: `python -m tests.envs.llm.dialects.provider_matrix`.

Each scripted dialect of `providers.py` is asked for a plan, for expected scoring and for a verdict by schema;
its first answer is an error, it takes 60 requests a minute and refuses others in its own words, and it is
down for 45 seconds. All providers are asked at the same time; it takes some minutes, most of them spent
waiting, and prints a table in Markdown. `NAME ...` takes some of them.
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from envs import UserError
from tests.envs.llm.dialects.providers import PROVIDERS, Outage, Quota, once
from tests.envs.llm.dialects.test_providers import planned, serving, url
from tests.envs.llm_cases import MARK, ask, client, judge, scenario

MINUTE_S, A_MINUTE, ASKED = 60.0, 60, 90
OUTAGE_S = 45.0
TIMEOUT_S = 60.0
"""As a user would have it; a busy machine that asks for 16 dialects at once is no outage."""
COLUMNS = (
    "dialect", "plan", "expected scoring", "verdict by", "first call an error",
    f"{ASKED} requests, {A_MINUTE} a minute", f"{OUTAGE_S:g} s outage, 40 requests",
)  # fmt: skip


def a_plan(provider, folder):
    with serving(provider) as running:
        running.keep_bodies = True
        found = planned(provider, running, folder, timeout_s=TIMEOUT_S)
        last, n = running.seen.bodies[-1], running.seen.requests
    by = "schema" if "response_format" in last or "text" in last else "text"
    return f"yes, {n} requests" if 1 <= found.score <= 5 else "none", by


def expected(provider, folder):
    keys = {
        "mode": "direct",
        "scoring": "expected",
        "temperature": 1,
        "timeout_s": TIMEOUT_S,
        **provider.keys,
    }
    with serving(provider) as running:
        try:
            (score,) = judge(url(provider, running), folder, **keys).score(scenario(), [()], [0])
        except UserError:
            return "refused in one line"
    return "yes" if score.reason is None else f"unscored: {score.reason}"


def answered(provider, running, n, **keys):
    """Ask `n` things at once; return how many were answered, and in how many seconds."""
    one = client(url(provider, running), timeout_s=TIMEOUT_S, **provider.keys, **keys)
    begun = time.monotonic()
    replies = one.engine.run([one.reply(ask(str(i), temperature=1)) for i in range(n)])
    return sum(reply.reason is None for reply in replies), time.monotonic() - begun


def first_call(provider):
    with serving(provider, once(provider.first)) as running:
        n, _ = answered(provider, running, 1)
    return "answered" if n else "lost"


def quota(provider):
    asked = Quota(provider, A_MINUTE, MINUTE_S)
    with serving(provider, asked) as running:
        n, took = answered(provider, running, ASKED)
    return f"{n} answered, {asked.refused} refusals, {took:.0f} s"


def outage(provider):
    down = Outage((503, "<html>down</html>"), 5, OUTAGE_S)
    with serving(provider, down) as running:
        n, took = answered(provider, running, 40)
    return f"{n} answered, {took:.0f} s"


def row(name):
    provider = PROVIDERS[name]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(5) as pool:
        parts = [
            pool.submit(a_plan, provider, folder),
            pool.submit(expected, provider, folder),
            *(pool.submit(part, provider) for part in (first_call, quota, outage)),
        ]
        (plan, by), *rest = [part.result() for part in parts]
    return name, plan, rest[0], by, *rest[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(PROVIDERS), metavar="NAME")
    names = parser.parse_args().names
    os.environ.setdefault("OPENAI_API_KEY", MARK)
    os.environ.setdefault("AZURE_OPENAI_API_KEY", MARK)
    with ThreadPoolExecutor(len(names)) as pool:
        rows = [COLUMNS, ["---"] * len(COLUMNS), *pool.map(row, names)]
    for cells in rows:
        print("|", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
