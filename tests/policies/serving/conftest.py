import pytest

from policies import Agent


@pytest.fixture(scope="session")
def agent():
    return Agent.load()
