"""schemathesis over the OpenAPI document; RAISE_OPENAPI_CASES=10000 in the environment: as many requests."""

import os
from collections import Counter

import pytest

from policies.serving.questions.gates import AlwaysGate
from tests.policies.serving.serving_cases import layer


def explored(agent, cases):
    """Return {status: how many} of generated requests; what the document does not describe raises."""
    import hypothesis
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    all_of = list(hypothesis.HealthCheck)
    checks = [not_a_server_error, status_code_conformance, content_type_conformance]
    seen = Counter()
    with layer(agent, AlwaysGate()) as (url, _):
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        operations = [found.ok() for found in schema.get_all_operations()]
        chat = [one for one in operations if one.path == "/v1/chat/completions"]
        rest = [one for one in operations if one not in chat]

        def explore(operation, count):
            @hypothesis.given(case=operation.as_strategy())
            @hypothesis.settings(
                max_examples=count, deadline=None, database=None, suppress_health_check=all_of
            )
            def check(case):
                response = case.call(timeout=120)  # a busy machine is no finding
                seen[response.status_code] += 1
                case.validate_response(response, checks=[*checks, response_schema_conformance])

            check()

        for operation in rest:
            explore(operation, cases // (3 * len(rest)))
        while sum(seen.values()) < cases:  # a route without parameters has few different requests
            explore(*chat, cases - sum(seen.values()))
    return seen


@pytest.mark.slow
def test_generated_requests_are_answered_as_described(agent):
    cases = int(os.environ.get("RAISE_OPENAPI_CASES", "300"))
    seen = explored(agent, cases)
    print(f"{sum(seen.values()):,} requests, answers by status: {dict(sorted(seen.items()))}")
    assert sum(seen.values()) >= cases
    assert sum(n for status, n in seen.items() if status < 300) >= 0.5 * sum(seen.values())
    assert max(seen) < 500
