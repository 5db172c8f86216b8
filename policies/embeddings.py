"""Embeddings: from texts to vectors. Each says which model and version it is, for vectors of two do not mix.

The default, `StaticEmbedding`, is a table of token vectors that ships inside a wheel: no network, no torch.
Its author distributes code and weights under the MIT licence; the weights were trained from the token tables
of other models, Llama 2 and Phi 3 among them, whose licences whoever redistributes them may want to read.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np

from envs import UserError
from envs.checking.extras import check_installed


class Embedding(Protocol):
    """Texts to vectors.

    `name`, `version`: which model, exactly; vectors of another name or version are not comparable.
    `dim`: D, numbers in a vector.
    """

    name: str
    version: str
    dim: int

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32[len(texts), D], of any length (the index normalises)."""
        ...


class StaticEmbedding:
    """The mean of static token vectors (wordllama, 256 dimensions), from a file inside its package."""

    def __init__(self) -> None:
        with _quiet_root_logger():
            from wordllama import WordLlama
        spec = importlib.util.find_spec("wordllama")
        folder = Path(str(spec.origin)).parent if spec else Path()
        try:
            self._model = WordLlama.load(cache_dir=folder, disable_download=True)
        except FileNotFoundError:
            raise UserError(
                "embedding: the installed wordllama has no weights inside, expected a wheel of version 0.4"
            ) from None
        self.name = "wordllama-l2-supercat"
        self.version = version("wordllama")
        self.dim = int(self._model.embedding.shape[1])

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32[len(texts), 256]; a text without any token is all zero."""
        return np.asarray(self._model.embed(list(texts)), dtype=np.float32)


@functools.cache
def static_embedding() -> StaticEmbedding:
    """Return the default embedding, loaded at the first call (about a second) and shared after it."""
    return StaticEmbedding()


class SentenceTransformerEmbedding:
    """A sentence-transformers model, by default the paper's: all-MiniLM-L6-v2, 384 dimensions.

    `model`: a name on the Hugging Face hub or a folder with the model (a folder needs no network).

    Raises
    ------
    UserError
        the extra `minilm` is not installed, or the model cannot be loaded.
    """

    def __init__(self, model: str = "sentence-transformers/all-MiniLM-L6-v2") -> None:
        check_installed("embedding", "minilm", "sentence_transformers")
        from sentence_transformers import SentenceTransformer

        try:
            self._model = SentenceTransformer(model, device="cpu")
        except (OSError, ValueError) as error:
            raise UserError(
                f"embedding.model: {model!r} cannot be loaded ({type(error).__name__}), expected a folder or "
                f"a name on the Hugging Face hub"
            ) from None
        self.name = Path(model).name
        self.version = version("sentence-transformers")
        self.dim = int(self.embed(["dimension"]).shape[1])

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32[len(texts), D]."""
        return np.asarray(self._model.encode(list(texts), show_progress_bar=False), dtype=np.float32)


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Undo what wordllama does on import: it configures the root logger of the whole process."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
