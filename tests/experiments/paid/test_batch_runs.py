"""Runs whose requests go with batches: the rows of any other run, at half the price, also after kills."""

import os
import re
import signal

import pytest

from envs.llm.scripted.scripted_batches import BatchScript
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from tests.experiments.paid.test_paid_runs import paid
from tests.experiments.run_cases import planned_ids, record, rows, start, summary, until, write_scenarios


@pytest.fixture
def folder(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(12)])
    return tmp_path


def batched(url, *more):
    """What `paid` is, with all plans at once."""
    keys = [key for key in paid(url) if not key.startswith("judge.concurrent_plans")]
    return (*keys, "judge.batch=true", *more)


def dollars(text, what):
    return float(re.search(rf"\$([\d.,]+){what}", text)[1].replace(",", ""))


@pytest.mark.parametrize("batch", [False, True])
def test_a_dry_run_says_what_both_ways_cost(command, folder, batch):
    done = command(*batched("http://127.0.0.1:9/v1", f"judge.batch={str(batch).lower()}", "dry_run=true"))
    assert (done.code, done.err) == (0, "")
    for line in ("at most ", "expected "):
        text = " ".join(done.out.split())
        text = text[text.rindex(line) :]
        if batch:
            both = dollars(text, r" in batches \("), dollars(text, " sent directly")
        else:
            both = dollars(text, " with judge.batch=true"), dollars(text, r" \(\$")
        assert both[0] == pytest.approx(both[1] / 2, rel=0.02)


@pytest.mark.slow
def test_a_run_in_batches_that_is_killed_twice_has_the_rows_of_one_sent_directly(command, folder):
    with ScriptedServer() as undisturbed:
        done = command(*paid(undisturbed.url, "output_dir=direct", "judge.cache=direct.sqlite"))
        assert (done.code, done.err) == (0, "")
        n_direct = undisturbed.seen.requests
    with ScriptedServer(Script(batches=BatchScript(work_s=1.0))) as running:
        batches = running.batches
        for batch in (2, 4):
            process = start(folder, *batched(running.url, "resume=true" if batch > 2 else "resume=false"))
            until(lambda batch=batch: len(batches.sizes) >= batch, process)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        done = command(*batched(running.url, "resume=true"))
        assert (done.code, done.err) == (0, "")
        assert planned_ids(folder / "out") == planned_ids(folder / "direct")
        # No line twice, and what shows at the beginning of a session that the endpoint works.
        assert set(batches.delivered.values()) == {1}
        assert running.seen.requests <= 3
        assert running.seen.requests + sum(batches.delivered.values()) == n_direct
    assert rows(folder / "out") == rows(folder / "direct")


@pytest.mark.slow
def test_an_interrupt_does_not_wait_for_a_batch_and_resume_takes_it_up(command, folder):
    with ScriptedServer(Script(batches=BatchScript(work_s=3600.0))) as running:
        process = start(folder, *batched(running.url))
        until(lambda: running.batches.sizes, process)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, (out, err)
        assert err.startswith("error: interrupted")
        for made in running.batches.made:
            made.ready_at = 0.0
        running.batches.change(work_s=0.0)
        done = command(*batched(running.url, "resume=true"))
        assert (done.code, done.err) == (0, "")
        assert set(running.batches.delivered.values()) == {1}
        assert summary(folder / "out")["n_planned"] == 12
