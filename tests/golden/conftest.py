import pytest

from tests.golden.golden_cases import Runs


def pytest_addoption(parser):
    parser.addoption("--renew", action="store_true", help="write the golden rows anew, the slow ones too")


def pytest_configure(config):
    if config.getoption("--renew"):
        config.option.markexpr = ""


@pytest.fixture(scope="session")
def renew(request):
    return request.config.getoption("--renew", default=False)


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    runs = Runs(tmp_path_factory.mktemp("golden"))
    yield runs
    runs.stop()
