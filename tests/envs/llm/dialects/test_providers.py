"""The judge over each provider's dialect: plans, expected scoring, schemas, quotas, outages, first errors."""

import pytest

from envs import UserError
from envs.llm.admission import lane
from envs.llm.sending import repetition
from search.algorithms.greedy import GreedySearch
from search.rollouts import plan
from tests.envs.llm.dialects.providers import PROVIDERS, Outage, Quota, first_of, once
from tests.envs.llm_cases import MARK, ask, client, judge, scenario, server

EACH = pytest.mark.parametrize("name", PROVIDERS)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", MARK)
    for module in (repetition, lane):
        monkeypatch.setattr(module, "FIRST_WAIT_S", 0.01)


def serving(provider, *more, **keys):
    own = provider.script.get("refusal", lambda body: None)
    return server(**{**provider.script, "refusal": first_of(*more, own), **keys})


def url(provider, running):
    return running.url.removesuffix("/v1") if provider.keys.get("api") == "azure" else running.url


def planned(provider, running, folder, **keys):
    one = judge(url(provider, running), folder, mode="direct", **provider.keys, **keys)
    (found,) = plan([scenario()], one, GreedySearch(), 1, report_samples=2)
    return found


@EACH
def test_it_plans_and_learns_what_is_taken_once(name, tmp_path):
    provider = PROVIDERS[name]
    with serving(provider) as running:
        found = planned(provider, running, tmp_path)
        assert 1 <= found.score <= 5
        before = running.seen.requests
        one = judge(url(provider, running), tmp_path, mode="direct", **provider.keys)
        one.score(scenario(1), [()], [0])
        taught = running.seen.requests - before
        one.score(scenario(2), [(), ("Age",), ("Gender",)], [0] * 3)
        assert running.seen.requests - before - taught == 3


@EACH
def test_expected_scoring_works_or_is_told(name, tmp_path):
    provider = PROVIDERS[name]
    with serving(provider) as running:
        one = judge(
            url(provider, running),
            tmp_path,
            mode="direct",
            scoring="expected",
            temperature=1,
            **provider.keys,
        )
        if provider.logprobs:
            (score,) = one.score(scenario(), [()], [0])
            assert score.reason is None
            assert score.value not in (1.0, 2.0, 3.0, 4.0, 5.0)
        else:
            with pytest.raises(UserError, match="sampled"):
                one.score(scenario(), [()], [0])


@EACH
def test_a_schema_is_used_where_there_is_one(name, tmp_path):
    provider = PROVIDERS[name]
    with serving(provider) as running:
        running.keep_bodies = True
        planned(provider, running, tmp_path)
    last = running.seen.bodies[-1]
    with_schema = "response_format" in last or "text" in last
    assert with_schema == provider.schema


@EACH
def test_the_first_call_may_fail(name, tmp_path):
    provider = PROVIDERS[name]
    with serving(provider, once(provider.first)) as running:
        assert client(url(provider, running), **provider.keys).complete(ask(temperature=1)).reason is None


@pytest.mark.slow
@EACH
def test_a_quota_costs_no_row_and_few_refusals(name, tmp_path, monkeypatch):
    provider = PROVIDERS[name]
    # A minute of this test, for server and client: much longer than a burst of 32 takes, as a real one is.
    monkeypatch.setattr(lane, "MINUTE_S", 2.0)
    monkeypatch.setattr(lane, "FIRST_WAIT_S", 2.0 / 120)
    quota = Quota(provider, 30, 2.0)
    with serving(provider, quota) as running:
        one = client(url(provider, running), **provider.keys)
        asked = [one.reply(ask(str(i), temperature=1)) for i in range(75)]
        assert [reply.reason for reply in one.engine.run(asked)] == [None] * 75
    # A burst of all slots at the first refusal, then single trials.
    assert quota.refused < 32 + 16


@pytest.mark.slow
@EACH
def test_a_quota_that_is_configured_is_never_passed(name, tmp_path, monkeypatch):
    provider = PROVIDERS[name]
    monkeypatch.setattr(lane, "MINUTE_S", 1.0)
    quota = Quota(provider, 20, 0.9)  # a little less: requests take their time to come
    with serving(provider, quota) as running:
        limits = {"max_requests_per_minute": 20}
        one = judge(url(provider, running), tmp_path, mode="direct", temperature=1, **provider.keys, **limits)
        one.score(scenario(), [(), *((attribute,) for attribute in scenario().schema.names)], [0] * 11)
        one.score(scenario(1), [(), *((attribute,) for attribute in scenario().schema.names)], [0] * 11)
    assert quota.refused == 0


@pytest.mark.slow
@EACH
def test_an_outage_costs_no_row(name, tmp_path):
    provider = PROVIDERS[name]
    with serving(provider, Outage((503, "<html>down</html>"), 5, 1.0)) as running:
        one = client(url(provider, running), max_retries=1, **provider.keys)
        asked = [one.reply(ask(str(i), temperature=1)) for i in range(40)]
        assert [reply.reason for reply in one.engine.run(asked)] == [None] * 40
