"""Keys, names, origins, sizes and rates; errors of every kind in OpenAI's form."""

import json
import logging
import subprocess
import sys

import httpx2
import openai
import pytest

from envs import UserError
from policies.serving.app import create_app
from policies.serving.questions.gates import AlwaysGate, DetectorGate
from policies.serving.serve_settings import ServiceSettings, UpstreamSettings, Workers
from policies.serving.sessions.shared_buckets import SharedBuckets
from tests.policies.serving.serving_cases import QUERY, layer

pytestmark = pytest.mark.slow  # each test has a service of its own
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def keyed(agent, monkeypatch):
    monkeypatch.setenv("MY_KEYS", "first-key, second-key")
    monkeypatch.setenv("UP_KEY", "upstream-key")
    settings = ServiceSettings(keys_variable="MY_KEYS", max_body_bytes=5000)
    with layer(
        agent, DetectorGate(), settings=settings, upstream={"key_variable": "UP_KEY", "max_connections": 5}
    ) as found:
        yield found


@pytest.fixture(scope="module")
def opened(agent):
    with layer(agent, DetectorGate()) as found:
        yield found


def post(url, body=BODY, **headers):
    return httpx2.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def test_a_key_is_wanted_and_never_goes_on(keyed):
    url, upstream = keyed
    for key in ("other-key", "first-key2", "first"):
        answer = post(url, authorization=f"Bearer {key}")
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert key not in answer.text
    assert post(url).status_code == post(url, authorization="Basic first-key").status_code == 401
    assert upstream.seen.requests == 0
    assert post(url, authorization="Bearer second-key").status_code == 200
    assert httpx2.get(f"{url}/healthz").status_code == 200
    assert httpx2.get(f"{url}/metrics").status_code == 401
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{url}/v1", api_key="no").chat.completions.create(**BODY)


def test_the_upstream_gets_its_own_key_or_the_clients(agent, monkeypatch):
    from envs.llm.scripted.scripted_server import Script

    monkeypatch.setenv("UP_KEY", "right")
    with layer(agent, DetectorGate(), Script(key="right"), upstream={"key_variable": "UP_KEY"}) as (url, _):
        assert post(url, authorization="Bearer other").status_code == 200
    with layer(agent, DetectorGate(), Script(key="right")) as (url, _):
        assert post(url, authorization="Bearer other").status_code == 401
        assert post(url, authorization="Bearer right").status_code == 200


@pytest.mark.parametrize("variable", ["NOT_SET", "BLANK"])
def test_a_variable_without_a_key_is_told_at_the_start(agent, monkeypatch, variable):
    monkeypatch.setenv("BLANK", " ")
    with pytest.raises(UserError, match="holds no key"):
        create_app(agent, AlwaysGate(), UpstreamSettings(key_variable=variable))
    with pytest.raises(UserError, match="holds no key"):
        create_app(agent, AlwaysGate(), settings=ServiceSettings(keys_variable=variable))


def test_a_body_that_is_too_large_is_refused(keyed):
    url, upstream = keyed
    big = BODY | {"x": "a" * 5000}
    headers = {"authorization": "Bearer first-key", "content-type": "application/json"}
    assert post(url, big, **headers).status_code == 413
    pieces = (json.dumps(big).encode()[i : i + 100] for i in range(0, 9000, 100))  # of no stated length
    answer = httpx2.post(f"{url}/v1/chat/completions", content=pieces, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert upstream.seen.requests == 0


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"host": "evil.example"}, 421, "unknown_host"),
        ({"host": "127.0.0.1.evil.example:8000"}, 421, "unknown_host"),
        ({"origin": "https://evil.example"}, 403, "origin_refused"),
        ({"origin": "null"}, 403, "origin_refused"),
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content-type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
    ],
)
def test_pages_elsewhere_cannot_use_it(opened, changes, status, code):
    url, upstream = opened
    before = upstream.seen.requests
    answer = post(url, **changes)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert upstream.seen.requests == before
    assert "access-control-allow-origin" not in answer.headers


def test_its_own_page_can(opened):
    url, _ = opened
    assert post(url, origin=url).status_code == 200


def test_cors_for_the_origins_that_are_named(agent):
    settings = ServiceSettings(cors_origins=["https://chat.example"])
    with layer(agent, DetectorGate(), settings=settings) as (url, _):
        asked = {"origin": "https://chat.example", "access-control-request-method": "POST"}
        asked["access-control-request-headers"] = "authorization,content-type"
        answer = httpx2.options(f"{url}/v1/chat/completions", headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://chat.example"
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        answer = post(url, origin="https://chat.example")
        assert answer.headers["access-control-allow-origin"] == "https://chat.example"
        assert httpx2.options(f"{url}/v1/models", headers=asked | {"origin": "https://x"}).status_code >= 400


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"[1]", 400),
        ("POST", "/v1/chat/completions", b"[" * 100_000, 400),
        ("POST", "/v1/chat/completions", b"\xff", 400),
        ("GET", "/v1/chat/completions", None, 405),
        ("POST", "/v1/responses", b"{}", 404),
        ("GET", "/nothing", None, 404),
        ("DELETE", "/v1/sessions/abc", None, 404),
    ],
)
def test_every_error_has_openais_form(opened, method, path, content, status):
    headers = {"content-type": "application/json"}
    answer = httpx2.request(method, opened[0] + path, content=content, headers=headers)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)


def test_a_fault_of_ours_is_a_500_that_tells_nothing(agent, caplog):
    """The server's log has its kind and its place: a plug-in's words may hold what was said."""

    class Broken:
        def opens(self, text):
            raise RuntimeError(f"cannot read {text}")

    with layer(agent, Broken()) as (url, _):
        logging.getLogger("uvicorn.error").addHandler(caplog.handler)  # it hands its records to nobody else
        answer = post(url, {"model": "m", "messages": [{"role": "user", "content": "secret words"}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text
    assert "in opens" in caplog.text


def test_a_rate_is_kept_for_each_client(agent, monkeypatch):
    monkeypatch.setenv("MY_KEYS", "a,b")
    settings = ServiceSettings(keys_variable="MY_KEYS", requests_per_minute=2)
    with layer(agent, DetectorGate(), settings=settings) as (url, _):
        found = [post(url, authorization="Bearer a") for _ in range(3)]
        assert [answer.status_code for answer in found] == [200, 200, 429]
        assert int(found[-1].headers["retry-after"]) >= 1
        assert post(url, authorization="Bearer b").status_code == 200


@pytest.mark.parametrize("name", [None, "rates.sqlite"])
def test_buckets_fill_again(tmp_path, name):
    buckets = SharedBuckets(60, None if name is None else tmp_path / name)
    assert [buckets.take("a", 0.0) for _ in range(60)] == [0.0] * 60
    assert buckets.take("a", 0.0) == pytest.approx(1.0)
    assert buckets.take("a", 0.5) == pytest.approx(0.5)
    assert buckets.take("a", 1.0) == 0.0
    assert buckets.take("b", 1.0) == 0.0
    assert [buckets.take("a", 100.0) for _ in range(60)] == [0.0] * 60
    assert buckets.take("a", 100.0) > 0
    buckets.close()


def test_workers_share_one_rate_and_split_what_is_in_flight(agent, tmp_path):
    workers = Workers(2, tmp_path)
    settings = ServiceSettings(requests_per_minute=4, max_in_flight=3)
    options = {"settings": settings, "workers": workers}
    with (
        layer(agent, DetectorGate(), **options) as (one, _),
        layer(agent, DetectorGate(), **options) as (two, _),
    ):
        found = [post(url).status_code for url in (one, two) * 3]
    assert found == [200] * 4 + [429] * 2


def test_many_processes_get_no_more_than_the_rate(tmp_path):
    code = (
        "import sys; from policies.serving.sessions.shared_buckets import SharedBuckets\n"
        "buckets = SharedBuckets(50, sys.argv[1])\n"
        "print(sum(buckets.take('a', 1.0) == 0 for _ in range(40)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "rates.sqlite")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sum(int(one.communicate(timeout=120)[0]) for one in running) == 50


def test_metrics_count_and_hold_no_words(agent):
    with layer(agent, AlwaysGate()) as (url, _):
        post(url, {"model": "secretmodel", "messages": [{"role": "user", "content": QUERY}]})
        httpx2.get(f"{url}/secretpath")
        text = httpx2.get(f"{url}/metrics").text
    assert 'raise_turns_total{kind="ask"} 1.0' in text
    assert 'raise_requests_total{route="/v1/chat/completions",status="200"} 1.0' in text
    assert 'raise_requests_total{route="other",status="404"} 1.0' in text
    assert "raise_own_seconds_count 1.0" in text
    assert "secret" not in text


def test_only_plain_asgi_stands_before_the_routes(agent):
    """Under BaseHTTPMiddleware nobody learns that a client has left."""
    from starlette.middleware.base import BaseHTTPMiddleware

    app = create_app(agent, AlwaysGate())
    assert not any(issubclass(one.cls, BaseHTTPMiddleware) for one in app.user_middleware)
