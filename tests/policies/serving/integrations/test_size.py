"""What people copy stays small."""

from tests.policies.serving.integrations.own_environment import ROOT


def test_each_integration_is_one_file_of_at_most_80_lines():
    files = [*(ROOT / "policies" / "serving" / "integrations").glob("[a-z]*.py")]
    assert len(files) == 3
    assert [f.name for f in files if len(f.read_text(encoding="utf-8").splitlines()) > 80] == []
