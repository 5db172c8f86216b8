"""Child process that runs llama.cpp's server on loopback for as long as its parent lives.

Run by its path, so that it loads xllamacpp and nothing else. It takes its settings as JSON in the one
argument, prints the server's URL as one line, and ends when its standard input does: the pipe closes whenever
the parent ends, by `kill -9` as well, so that no server is ever left behind.
"""

from __future__ import annotations

import json
import os
import sys

FAILED = 3
"""Exit code: llama.cpp did not take the model."""


def serve(model_path: str, alias: str, context: int, threads: int, chat_template: str) -> None:
    """Serve until standard input ends."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model_path
    params.model_alias = {alias}
    params.chat_template = chat_template  # "" = the model's own
    # One slot: slots share the context, and what another one holds moves the last bits of a result.
    params.n_parallel = 1
    params.n_ctx = context
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.offline = True
    params.ui = False
    params.verbosity = 0
    for pool in (params.cpuparams, params.cpuparams_batch):
        pool.n_threads = threads
        pool.poll = 0  # threads that spin while they wait take the core from the planner
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:
        sys.exit(FAILED)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)  # at once: a request under way has nobody to answer any more


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
