"""Retrieval: the stored queries nearest to a query, by exact cosine similarity (METHOD: "Planner")."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs import UserError
from envs.checking.damaged import ARCHIVE_DAMAGE
from envs.durable import replacing
from policies.embeddings import Embedding

INDEX_VERSION = 1
_DECIMALS = 6
_ROUNDING = 1e-5
"""float32 similarities of equal vectors differ by less: a product depends on the row's place."""
_SAME = 1e-3
"""Numbers of one text's vector, of length 1, differ by less between machines with the same model."""


class Index:
    """The vectors of N stored queries, each of length 1 (0 where a query has no token).

    Attributes
    ----------
    embedding : what made the vectors
    matrix : float32[N, D]
    digest : SHA-256 of the queries, in their order
    """

    def __init__(self, embedding: Embedding, matrix: np.ndarray, digest: str) -> None:
        self.embedding = embedding
        self.matrix = matrix
        self.digest = digest

    def __len__(self) -> int:
        return len(self.matrix)

    @classmethod
    def build(cls, embedding: Embedding, queries: Sequence[str], batch: int = 4096) -> Index:
        """Embed `queries`, `batch` at a time."""
        matrix = np.empty((len(queries), embedding.dim), dtype=np.float32)
        for start in range(0, len(queries), batch):
            part = embedding.embed(queries[start : start + batch])
            matrix[start : start + batch] = _unit(
                _checked(part, len(queries[start : start + batch]), embedding)
            )
        return cls(embedding, matrix, digest_of(queries))

    def take(self, rows: np.ndarray, queries: Sequence[str]) -> Index:
        """Return the index of the rows `rows` (int64[M]), whose queries are `queries`."""
        return Index(self.embedding, self.matrix[rows], digest_of(queries))

    def nearest(self, query: str, k: int, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows int64[k'], cosine similarities float64[k']), nearest first, k' = min(k, N).

        Similarities that are equal to six decimals come in the order of the rows. Exact: every row is looked
        at, or every row of `among` (int64[M], ascending).
        """
        vector = _unit(_checked(self.embedding.embed([query]), 1, self.embedding))[0]
        rough = self.matrix @ vector
        if among is not None:
            rough = rough[among]
        k = min(k, len(rough))
        if k < 1:
            return np.zeros(0, np.int64), np.zeros(0)
        kth = np.partition(rough, len(rough) - k)[len(rough) - k]
        rows = np.flatnonzero(rough >= kth - _ROUNDING)
        rows = rows if among is None else among[rows]
        # Again in float64 and row by row, so that equal vectors have equal similarities.
        exact = (self.matrix[rows].astype(np.float64) * vector.astype(np.float64)).sum(axis=1)
        order = np.lexsort((rows, -np.round(exact, _DECIMALS)))[:k]
        return rows[order], exact[order]

    def save(self, path: str | Path) -> None:
        """Write the vectors (`.npz`) with the embedding's name, version and the digest of the queries.

        Raises
        ------
        UserError
            the file cannot be written.
        """
        head = {
            "index_version": INDEX_VERSION,
            "embedding": self.embedding.name,
            "embedding_version": self.embedding.version,
            "digest": self.digest,
        }
        path = Path(path)
        try:
            with replacing(path) as file:
                np.savez(file, head=np.array(json.dumps(head)), matrix=self.matrix)
        except OSError as error:
            raise UserError(
                f"{path}: the index cannot be written ({error.strerror}), "
                f"expected a file in a folder that exists"
            ) from None

    @classmethod
    def load(cls, path: str | Path, embedding: Embedding, queries: Sequence[str]) -> Index:
        """Read an index and hold it against the embedding and the queries it is to be used with.

        Raises
        ------
        UserError
            no such file, no index, another embedding or version of it, or other queries; also where the
            embedding gives the first query another vector than the stored one, whatever it calls itself.
        """
        head, matrix = _read(path)
        wanted = {
            "index_version": INDEX_VERSION,
            "embedding": embedding.name,
            "embedding_version": embedding.version,
            "digest": digest_of(queries),
        }
        for key, expected in wanted.items():
            found = head.get(key) if isinstance(head, dict) else None
            if found != expected:
                raise UserError(
                    f"{path}: {key.replace('_', ' ')}: found {found!r}, expected {expected!r}; "
                    f"delete the file to have it made again"
                )
        if matrix.shape != (len(queries), embedding.dim) or matrix.dtype != np.float32:
            raise UserError(
                f"{path}: found vectors {matrix.shape}, expected ({len(queries)}, {embedding.dim})"
            )
        if len(queries):
            fresh = _unit(_checked(embedding.embed(queries[:1]), 1, embedding))
            if not np.allclose(fresh, matrix[:1], atol=_SAME):
                raise UserError(
                    f"{path}: embedding {embedding.name} gives the first query another vector than the "
                    f"stored one, expected the same model; delete the file to have it made again"
                )
        return cls(embedding, matrix, head["digest"])


def _read(path: str | Path) -> tuple[Any, np.ndarray]:
    """Return what an index file holds; `UserError` in one line where it is missing or damaged anywhere."""
    try:
        with zipfile.ZipFile(path) as archive:
            head, matrix = (_array(archive, name) for name in ("head", "matrix"))
        return json.loads(str(head)), matrix
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, expected an index of queries") from None
    except ARCHIVE_DAMAGE as error:
        raise UserError(
            f"{path}: not a readable index ({type(error).__name__}); delete the file to have it made again"
        ) from None


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def digest_of(queries: Sequence[str]) -> str:
    """Return the SHA-256 of `queries` in their order."""
    digest = hashlib.sha256()
    for query in queries:
        raw = query.encode()
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()


def _checked(vectors: np.ndarray, count: int, embedding: Embedding) -> np.ndarray:
    found = np.asarray(vectors, dtype=np.float32)
    if found.shape != (count, embedding.dim):
        raise UserError(
            f"embedding {embedding.name}: found an array of shape {found.shape}, "
            f"expected ({count}, {embedding.dim})"
        )
    if not np.all(np.isfinite(found)):
        raise UserError(f"embedding {embedding.name}: found numbers that are not finite")
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
