"""The README: short, its first two commands are those of a fresh clone, its links lead somewhere."""

import pytest

from envs import DOMAINS
from tests.documentation.documents import README, ROOT, blocks, environment, one_liners, run

LONGEST = 180


def _lines(text):
    """Return the lines that are not blank: an empty one is the table's edge."""
    return [line for line in text.splitlines() if line.strip()]


def test_it_is_short():
    assert len(README.splitlines()) <= LONGEST


def test_first_output_has_the_shape_of_real_output(tmp_path):
    """Title, headings, domains and files are what the command prints; the figures may be of another day."""
    shown = _lines(next(b.text for b in blocks(README, "text")))
    command = ["python", "-m", "experiments.train_mcts", "+budget=4", "scenarios.split=test"]
    done = run(["bash", "-c", " ".join(command)], tmp_path, environment(tmp_path))
    assert done.returncode == 0, done.stderr
    real = _lines(done.stdout)
    taken = [lines.pop(0).partition(":")[0] for lines in (real, shown)]
    assert taken == ["parallel=auto takes this process"] * 2
    assert real[0].split() == shown[0].split()
    assert "SIMULATED" in shown[0]
    assert [line.split() for line in real[1:3]] == [line.split() for line in shown[1:3]]
    assert [line.split()[0] for line in real[-4:]] == [line.split()[0] for line in shown[-4:]]  # the files
    domains = {line.split()[0] for line in real[4:-5]} & {*DOMAINS, "all"}
    assert "all" in domains
    assert domains <= {line.split()[0] for line in shown[4:-5]}


def test_first_two_blocks_are_the_commands_of_a_fresh_clone():
    first, second = one_liners(README, 2)
    for line in (first, second):
        assert line.startswith("python3 -m venv .venv && . .venv/bin/activate && pip install -q -e ")
    assert first.endswith("python -m experiments.train_mcts budget=4")
    assert second.endswith("python -m pytest -n logical")


def test_links_lead_somewhere():
    """In a checkout, of all its pages; the build of the site checks places within pages, too."""
    pages = (ROOT / "docs").rglob("*.md")
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *pages):
        names = [part.split(")")[0] for part in file.read_text(encoding="utf-8").split("](")[1:]]
        local = [name.split("#")[0].split()[0] for name in names if "://" not in name and name[:1] != "#"]
        assert local or file.name != "README.md"
        assert [name for name in local if not (file.parent / name).exists()] == [], file


def test_blocks_finds_language_text_line_file_and_note():
    text = "a\n\n```bash\nls\n```\n<!-- data.jsonl -->\n```json\n{}\n```\n```python\n# my_x.py\ny\n```\n"
    assert blocks(text) == [
        ("bash", "ls\n", 4, "", ""),
        ("json", "{}\n", 8, "data.jsonl", ""),
        ("python", "# my_x.py\ny\n", 11, "my_x.py", ""),
    ]
    assert [b.line for b in blocks(text, "json")] == [8]
    noted = "<!-- stays -->\n```bash\na\n```\n<!-- not run: wants a cluster -->\n```bash\nb\n```\n"
    assert [b.note for b in blocks(noted)] == ["stays", "not run: wants a cluster"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```bash\na\n```\n", "found 1 bash blocks"),
        ("```bash\na\n```\n```bash\nb\nc\n```\n", "line 5: a bash block of 2 lines"),
        ("```bash\na\n```\n```bash\n```\n", "a bash block of 0 lines"),
        ("```bash\na\n```\n```bash\nb\n", "line 4: a block that is never closed"),
    ],
)
def test_one_liners_refuses(text, message):
    with pytest.raises(ValueError, match=message):
        one_liners(text, 2)
