import pytest

from tests.experiments.run_cases import Commands


@pytest.fixture(scope="session")
def commands(tmp_path_factory):
    server = Commands(tmp_path_factory.mktemp("commands"))
    yield server
    server.stop()


@pytest.fixture
def command(commands, tmp_path):
    """Run a command in `tmp_path`: `command("+budget=4", ...)`."""

    def run(*arguments, **options):
        return commands.run(tmp_path, *arguments, **options)

    return run
