"""The house rules as tests: who imports what, what is never used, how long things are.

Each rule is a checker of one module's source, applied to every module of the rooms, lazy imports included;
each checker is also fed violations.
"""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("envs", "search", "policies", "experiments", "conf")
MODULES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]

CONTRACT = (
    *("envs", "search.plans", "search.problem", "search.evaluator"),
    *("search.scenario_problem", "search.path_rule", "search.path_table"),
)
AGENT = ("policies.agent", "policies.chat", "policies.dialogue", "policies.understanding")
SESSIONS = ("policies.serving.sessions.open_questions", "policies.serving.sessions.session_store")
SERVED = ("policies.serving.openai_errors", "policies.serving.serve_settings")
MAY_IMPORT = {
    "envs": ("envs",),
    "envs/llm": (
        "envs.durable",
        "envs.errors",
        "envs.interrupts",
        "envs.checking.damaged",
        "envs.checking.validation",
        "envs.llm",
    ),
    "search": (
        *(*CONTRACT, "search.plan_lines", "search.planning", "search.batch_planning", "search.parallel"),
        *("search.surrogate.reallocate", "search.core.surface_plans"),
    ),
    "search/mcts.py": ("search.algorithms.mcts",),
    "search/bayes.py": ("search.algorithms.bayes",),
    "search/core": ("envs.bit_scan", "envs.kernel_cache", "search.core"),
    "search/surrogate": (*CONTRACT, "search.core", "search.surrogate"),
    "search/algorithms": (*CONTRACT, "search.core", "search.surrogate", "search.algorithms"),
    "search/population": (*CONTRACT, "search.core", "search.algorithms.exhaustive", "search.population"),
    "search/parallel": (*CONTRACT, "search.plan_lines", "search.planning", "search.parallel"),
    "policies": (
        "envs",
        "policies",
        "search.plans",
        "search.path_table",
        "search.population.policy_tree",
        "search.population.policy_tree_file",
        "search.population.history_values",
    ),
    "policies/understanding": ("envs", "policies.embeddings", "policies.understanding"),
    "policies/serving": ("envs", "policies"),
    "policies/serving/questions": ("envs", *AGENT, "policies.serving.questions"),
    "policies/serving/upstreams": ("envs", *SERVED, "policies.serving.upstreams"),
    "policies/serving/sessions": ("envs", *SERVED, "policies.serving.questions", "policies.serving.sessions"),
    "policies/serving/mcp_tools": ("envs", *AGENT, *SESSIONS, "policies.serving.mcp_tools"),
    "experiments": ("envs", "search", "policies", "experiments", "conf"),
    "conf": (),
}
"""What a room may import of ours; the longest path that holds a file counts."""
SURFACES = ("envs/judges/simulated/compiled_surface.py",)
"""Modules of compiled judges; add yours. They are imported lazily."""
ONLY_IN = {
    "numba": (
        "envs/bit_scan.py",
        "envs/kernel_cache.py",
        "envs/vector/",
        "search/core/",
        "search/population/",
        "experiments/benchmarks/gumbel_mcts_engine.py",
        *SURFACES,
    ),
    "ray": ("search/parallel/",),
    "openai": ("envs/llm/", "experiments/benchmark_serve.py", "experiments/serve_conversations.py"),
    "xllamacpp": ("envs/llm/",),
    "fastapi": ("policies/serving/", "experiments/serve.py", "experiments/judging/labelling/label_app.py"),
    "starlette": ("policies/serving/", "experiments/viewer/"),
    "uvicorn": ("experiments/serve.py", "experiments/view.py", "experiments/label.py"),
    "httpx2": ("policies/serving/",),
    "prometheus_client": ("policies/serving/",),
    "cryptography": ("policies/serving/",),
    "mcp": ("policies/serving/mcp_tools/", "experiments/serve_mcp.py"),
    "mcp_types": ("policies/serving/mcp_tools/mcp_server.py",),
    "langgraph": ("policies/serving/integrations/langgraph_node.py",),
    "litellm": ("policies/serving/integrations/litellm_guardrail.py",),
    "open_webui": ("policies/serving/integrations/open_webui_pipe.py",),
    "hydra": ("experiments/",),
    "omegaconf": ("experiments/",),
    "wandb": ("experiments/",),
    "botorch": ("experiments/comparison/botorch_search.py",),
    "gpytorch": ("experiments/comparison/botorch_search.py",),
    "gumbel_mcts": ("experiments/benchmarks/gumbel_mcts_engine.py",),
    "torch": ("experiments/benchmarks/gumbel_mcts_engine.py", "experiments/comparison/botorch_search.py"),
    "jax": ("experiments/benchmarks/mctx_engine.py",),
    "mctx": ("experiments/benchmarks/mctx_engine.py",),
    "pomdp_py": ("experiments/benchmarks/pomdp_py_model.py",),
    "matplotlib": ("experiments/",),
    "jinja2": ("experiments/pages/",),
    "inspect_ai": ("experiments/penguin/inspect_tasks/",),
}
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "random"}
FORBIDDEN_MODULES |= {"ppi_py"}  # importing it silences every warning of the process
CALLS_FORBIDDEN = {"eval", "exec", "builtins.eval", "builtins.exec"}
CATCH_ALLS = {"everything", "Exception", "BaseException"}
GENERATORS = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64", "PCG64DXSM", "Philox"}
"""What numpy.random offers without global state."""
MACHINE_PATH = re.compile(
    r"(?<![\w.:/~-])/(?:home|root|Users|mnt|opt|srv|tmp|var|work)/[\w.]|\b[A-Z]:\\{1,2}Users\b"
)

MAX_FILE, MAX_FUNCTION = 300, 40
LONG_FILES = {
    "experiments/stats.py": "the one module of statistics, by which every report is held together",
    "search/core/kernels.py": "compiled steps, which are inlined into one another",
    "search/population/compiled/tree_kernels.py": "the same for histories of answers",
}
LONG_FUNCTIONS = {
    "experiments/train_mcts.py:train": "the run from configuration to files, read from top to bottom",
    "search/planning.py:plan_scenario": "half of it is the one constructor call that names every column",
    "search/batch_planning.py:_rows": "the same",
}


@functools.lru_cache(maxsize=4)  # all checkers of one module come one after the other
def _nodes(source):
    return list(ast.walk(ast.parse(source)))


@functools.lru_cache(maxsize=4)
def _imports(source, path):
    """List (line, full module name) of each import; `from a import b` gives `a.b`, for b may be a module."""
    return list(_found_imports(source, path))


def _found_imports(source, path):
    package = Path(path).parent.parts
    for node in _nodes(source):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = [*above, *([node.module] if node.module else [])]
            for alias in node.names:
                yield node.lineno, ".".join([*base, alias.name])
        elif isinstance(node, ast.Call) and _name(node.func).endswith(("import_module", "__import__")):
            given = node.args[0] if node.args else None
            yield node.lineno, given.value if isinstance(given, ast.Constant) else "a computed name"


def _name(node):
    """Return the dotted name of an expression, "" where it has none."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{_name(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def _inside(path, room):
    return path == room or path.startswith(room + "/")


def _within(module, prefix):
    return module == prefix or module.startswith(prefix + ".")


MAY_PROBE = (
    "envs/checking/declared.py",  # what a plug-in may declare is read here, once
    "envs/users/user.py",  # readline differs from system to system
    "envs/checking/validation.py",  # pydantic models are told from plain classes
    "search/parallel/cores.py",  # affinity is not on every system
    "experiments/console/keys.py",  # pydantic models are told from plain classes
)


def foreign_rooms(source, path):
    """Imports of ours that the room may not have; the tests and computed names among them."""
    allowed = MAY_IMPORT[max((room for room in MAY_IMPORT if _inside(path, room)), key=len)]
    return [
        f"{path}:{line}: imports {module}"
        for line, module in _imports(source, path)
        if module.split(".")[0] in (*ROOMS, "tests", "a computed name")
        and not any(_within(module, prefix) for prefix in allowed)
    ]


def misplaced_libraries(source, path):
    """Imports of a library outside the one place where it may be imported."""
    return [
        f"{path}:{line}: imports {module}"
        for line, module in _imports(source, path)
        for library, places in ONLY_IN.items()
        if _within(module, library) and not path.startswith(places)
    ]


def never_used(source, path):
    """Uses of eval, exec, pickle, catch-all excepts and global random state."""
    found = [
        (line, f"imports {module}")
        for line, module in _imports(source, path)
        if module.split(".")[0] in FORBIDDEN_MODULES
    ]
    for node in _nodes(source):
        if isinstance(node, ast.Call) and _name(node.func) in CALLS_FORBIDDEN:
            found.append((node.lineno, f"calls {_name(node.func)}"))
        elif isinstance(node, ast.Call) and _name(node.func).endswith(".read_pickle"):
            found.append((node.lineno, "reads a pickle"))
        elif isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = ["everything" if kind is None else _name(kind).split(".")[-1] for kind in kinds]
            found += [(node.lineno, f"except {name}") for name in names if name in CATCH_ALLS]
        elif isinstance(node, ast.Attribute) and _name(node.value) in ("np.random", "numpy.random"):
            if node.attr not in GENERATORS:
                found.append((node.lineno, f"global random state: {_name(node)}"))
        elif isinstance(node, ast.ImportFrom) and node.module == "numpy.random":
            found += [(node.lineno, a.name) for a in node.names if a.name not in GENERATORS]
    return [f"{path}:{line}: {what}" for line, what in found]


def machine_paths(text, path):
    """Absolute paths of somebody's machine."""
    lines = enumerate(text.splitlines(), 1)
    return [f"{path}:{n}: {found[0]}..." for n, line in lines if (found := MACHINE_PATH.search(line))]


def long_things(source, path):
    """Keys of a file over 300 lines and of functions over 40, their docstrings not counted."""
    found = [path] if len(source.splitlines()) > MAX_FILE else []
    for node in _nodes(source):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            doc = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) is not None else 0
            if node.end_lineno - node.lineno + 1 - doc > MAX_FUNCTION:
                found.append(f"{path}:{node.name}")
    return found


def probing(source, path):
    """Looks for attributes by name, to see whether they are there, and objects made past `__init__`."""
    found = []
    for node in _nodes(source):
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if name in ("hasattr", "object.__new__") or (name == "getattr" and len(node.args) > 2):
                found.append(f"{path}: {name}")
    return [] if path in MAY_PROBE else found


@pytest.mark.parametrize("name", NAMES)
def test_module_keeps_the_rules(name):
    source = (ROOT / name).read_text(encoding="utf-8")
    checks = (foreign_rooms, misplaced_libraries, never_used, probing, machine_paths)
    assert [problem for check in checks for problem in check(source, name)] == []


def test_nothing_is_long_without_a_reason():
    found = {key for name in NAMES for key in long_things((ROOT / name).read_text(encoding="utf-8"), name)}
    assert found <= {*LONG_FILES, *LONG_FUNCTIONS}


def test_no_name_of_a_module_or_class_occurs_twice():
    """Public import paths that stayed where a module moved are the exceptions."""
    shims = ("search/bayes.py", "search/mcts.py")
    found = {}
    for name in NAMES:
        path = Path(name)
        if path.stem != "__init__" and name not in shims:
            found.setdefault(path.stem, []).append(name)
        for node in ast.parse((ROOT / name).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(name)
    assert {key: places for key, places in found.items() if len(places) > 1} == {}


def test_no_machine_paths_in_what_is_shipped_beside_the_code():
    kinds = ("*.md", "*.toml", "*.py", "*.cff", "*.in", ".pre-commit-config.yaml", "LICENSE")
    files = [p for kind in kinds for p in ROOT.glob(kind)]
    files += [*(ROOT / "conf").rglob("*.yaml"), *(p for p in (ROOT / ".ci").glob("*") if p.is_file())]
    texts = [(p.read_text(encoding="utf-8"), p.name) for p in files]
    assert len(texts) > 10
    assert [problem for text, name in texts for problem in machine_paths(text, name)] == []


def test_search_package_is_empty():
    assert (ROOT / "search" / "__init__.py").read_text(encoding="utf-8") == ""


def test_every_room_and_surface_is_looked_at():
    assert {name.split("/")[0] for name in NAMES} == set(ROOMS)
    assert set(SURFACES) <= set(NAMES)
    assert set(SURFACES) == {name for name in NAMES if name.endswith("_surface.py")} - {
        "search/surrogate/response_surface.py"  # nothing compiled: its loops are in `search/core`
    }


@pytest.mark.parametrize(
    ("check", "path", "source"),
    [
        (foreign_rooms, "envs/x.py", "import search.plans"),
        (foreign_rooms, "envs/x.py", "def f():\n    from search import plans"),
        (foreign_rooms, "envs/judges/x.py", "from ...search import plans"),
        (foreign_rooms, "search/x.py", "from experiments.runs.config import budget_of"),
        (foreign_rooms, "search/x.py", "import tests.helpers"),
        (foreign_rooms, "policies/x.py", "from search.algorithms.mcts import MCTSSearch"),
        (foreign_rooms, "policies/x.py", "from search import planning"),
        (foreign_rooms, "policies/x.py", "import search.plans_of_mine"),
        (foreign_rooms, "policies/x.py", "import importlib\nimportlib.import_module('search.rollouts')"),
        (foreign_rooms, "search/x.py", "import importlib\nimportlib.import_module('experi' + 'ments')"),
        (foreign_rooms, "conf/x.py", "import envs"),
        (foreign_rooms, "envs/llm/x.py", "from envs.judges.protocol import Score"),
        (foreign_rooms, "search/core/x.py", "from search.problem import Problem"),
        (foreign_rooms, "search/surrogate/x.py", "from search.algorithms.mcts import MCTSSearch"),
        (foreign_rooms, "search/problem.py", "from search.algorithms.mcts import MCTSSearch"),
        (foreign_rooms, "policies/understanding/x.py", "from policies.agent import Agent"),
        (misplaced_libraries, "search/algorithms/mcts.py", "def f():\n    import ray"),
        (misplaced_libraries, "search/problem.py", "from numba import njit"),
        (misplaced_libraries, "envs/judges/simulated/set_function.py", "import numba.core"),
        (misplaced_libraries, "envs/judges/x.py", "from openai import OpenAI"),
        (misplaced_libraries, "search/x.py", "from hydra.utils import instantiate"),
        (misplaced_libraries, "policies/x.py", "if True:\n    import omegaconf as o"),
        (misplaced_libraries, "search/rollouts.py", "import wandb"),
        (never_used, "search/x.py", "eval('1')"),
        (never_used, "search/x.py", "def f(code):\n    exec(code)"),
        (never_used, "search/x.py", "import pickle"),
        (never_used, "search/x.py", "from pickle import loads"),
        (never_used, "search/x.py", "import pandas as pd\npd.read_pickle('x')"),
        (never_used, "search/x.py", "try:\n    pass\nexcept Exception:\n    pass"),
        (never_used, "search/x.py", "try:\n    pass\nexcept (ValueError, BaseException) as e:\n    raise"),
        (never_used, "search/x.py", "try:\n    pass\nexcept:\n    pass"),
        (never_used, "search/x.py", "import numpy as np\nnp.random.seed(0)"),
        (never_used, "search/x.py", "import numpy\nnumpy.random.rand(3)"),
        (never_used, "search/x.py", "import numpy as np\nx = np.random.RandomState(0)"),
        (never_used, "search/x.py", "from numpy.random import shuffle"),
        (never_used, "search/x.py", "import random"),
        (probing, "search/x.py", "noisy = getattr(judge, 'stochastic', False)"),
        (probing, "search/x.py", "if hasattr(judge, 'surface'):\n    pass"),
        (probing, "search/x.py", "judge = object.__new__(type(self))"),
        (machine_paths, "envs/x.py", "DATA = '/" + "home/somebody/data.json'"),
        (machine_paths, "README.md", "see /" + "tmp/results"),
        (machine_paths, "README.md", "C:\\" + "Users\\somebody"),
        (long_things, "envs/x.py", "x = 1\n" * 301),
        (long_things, "envs/x.py", "def f():\n" + "    x = 1\n" * 40),
    ],
)
def test_checker_catches(check, path, source):
    assert len(check(source, path)) == 1


@pytest.mark.parametrize(
    ("check", "path", "source"),
    [
        (foreign_rooms, "envs/judges/x.py", "from ..scenario import Scenario\nfrom envs import Score"),
        (foreign_rooms, "policies/x.py", "from search.path_table import PathTable\nfrom search import plans"),
        (foreign_rooms, "search/x.py", "from searching import x\nimport envsomething"),
        (misplaced_libraries, "search/parallel/x.py", "def f():\n    import ray.exceptions"),
        (misplaced_libraries, "envs/x.py", "import raylib"),
        (never_used, "search/x.py", "import numpy as np\nrng = np.random.default_rng(0)\nrng.random()"),
        (never_used, "search/x.py", "model.eval()\ntry:\n    pass\nexcept (ValueError, KeyError):\n    pass"),
        (probing, "search/x.py", "value = getattr(self, name)"),
        (probing, "envs/checking/declared.py", "found = getattr(part, name, None)"),
        (machine_paths, "README.md", "https://example.org/home/x, outputs/tmp/x, docs.org/opt/x"),
        (long_things, "envs/x.py", 'def f():\n    """' + "doc\n" * 30 + '    """\n' + "    x = 1\n" * 30),
    ],
)
def test_checker_lets_pass(check, path, source):
    assert check(source, path) == []


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("envs", "numba ray torch openai pydantic hydra wandb"),
        (
            "policies",
            "numba ray torch openai hydra wandb fastapi uvicorn httpx2 cryptography pydantic yaml pyarrow",
        ),
        ("search.plans, search.path_table", "numba ray torch openai hydra wandb pyarrow"),
        (
            "search.population.policy_tree_file",
            "numba ray torch openai hydra wandb pandas",
        ),
        (
            "search.population.scenario_population, search.population.exact, search.population.tree_search",
            "numba ray openai hydra",
        ),
        ("search.algorithms.mcts, search.rollouts", "numba ray torch openai hydra wandb"),
        ("envs.judges.simulated, envs.loading, envs.acquisition_env", "numba ray torch openai hydra wandb"),
        ("envs.llm, envs.judges.llm, envs.judges.llm.replay", "numba ray torch openai hydra wandb"),
    ],
)
def test_importing_is_light(modules, heavy):
    """In a fresh process, for another test may have loaded anything."""
    code = f"import sys, {modules}; print(*[m for m in {heavy.split()!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
