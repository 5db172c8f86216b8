"""The default embedding keeps off the network and off the process; the optional one says how to get it."""

import logging
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from envs import UserError
from policies.embeddings import SentenceTransformerEmbedding, StaticEmbedding

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def static():
    return StaticEmbedding()


def test_static(static):
    found = static.embed(["I lost my job", "My work is gone, I was fired", "The cat sat on the mat", ""])
    assert (found.shape, found.dtype, static.dim) == ((4, 256), np.float32, 256)
    unit = found[:3] / np.linalg.norm(found[:3], axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2]
    assert not found[3].any()
    assert static.name
    assert static.version


def test_a_text_has_the_same_vector_alone_and_among_longer_ones(static):
    texts = ["short", "a much longer text about losing a job and a flat and what comes next"]
    np.testing.assert_allclose(static.embed(texts)[0], static.embed(texts[:1])[0], rtol=1e-5, atol=1e-6)


def test_static_needs_no_network_and_leaves_logging_alone():
    code = (
        "import logging, socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = refuse; socket.create_connection = refuse; socket.getaddrinfo = refuse\n"
        "from policies.embeddings import StaticEmbedding\n"
        "before = logging.getLogger().level, list(logging.getLogger().handlers)\n"
        "StaticEmbedding().embed(['hello'])\n"
        "assert before == (logging.getLogger().level, list(logging.getLogger().handlers))\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert logging.getLogger().level is not None


def test_without_the_extra_it_says_which_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^embedding: [^\n]*raise-planner\[minilm\][^\n]*$"):
        SentenceTransformerEmbedding()


def test_with_the_extra_the_model_is_asked(monkeypatch):
    """A stand-in for the library: the names that are called, with the arguments that keep it on the CPU."""

    class SentenceTransformer:
        def __init__(self, model, device):
            if model == "nowhere":
                raise OSError("not found")
            assert device == "cpu"

        def encode(self, texts, show_progress_bar):
            assert show_progress_bar is False
            return np.array([[len(t), 1, 0] for t in texts], np.float64)

    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = SentenceTransformer
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("policies.embeddings.version", lambda name: "5.0")
    embedding = SentenceTransformerEmbedding("some/all-MiniLM-L6-v2")
    assert (embedding.name, embedding.version, embedding.dim) == ("all-MiniLM-L6-v2", "5.0", 3)
    assert embedding.embed(["ab"]).tolist() == [[2.0, 1.0, 0.0]]
    with pytest.raises(UserError, match=r"^embedding\.model: 'nowhere' cannot be loaded[^\n]*$"):
        SentenceTransformerEmbedding("nowhere")
