"""Sweeps whose jobs run at once: the same rows, and the cores shared out."""

import pytest
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig

from experiments.console import sweeps
from experiments.runs.build import build_parallel
from experiments.runs.config import register
from search.rollouts import Serial
from tests.experiments.run_cases import record, rows, run, write_scenarios

pytest.importorskip("hydra_plugins.hydra_joblib_launcher")


@pytest.fixture
def composed(monkeypatch):
    """Compose a command's configuration as a job of its run sees it, on a machine of eight cores."""
    monkeypatch.setattr(sweeps, "available_cores", lambda: 8)
    register()

    def make(*overrides):
        with initialize_config_module(config_module="conf", version_base="1.3"):
            cfg = compose("train_mcts", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        return cfg

    yield make
    HydraConfig.instance().cfg = None


SWEEP = ("hydra.mode=MULTIRUN", "hydra.job.num=0")
JOBLIB = (*SWEEP, "hydra/launcher=joblib")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("hydra.mode=RUN", "hydra/launcher=joblib"), None),
        (SWEEP, None),
        (JOBLIB, 1),
        ((*JOBLIB, "hydra.launcher.n_jobs=1"), None),
        ((*JOBLIB, "hydra.launcher.n_jobs=2"), 4),
        ((*JOBLIB, "hydra.launcher.n_jobs=3"), 2),
        ((*JOBLIB, "hydra.launcher.n_jobs=20"), 1),
        ((*JOBLIB, "hydra.launcher.n_jobs=-5"), 2),
    ],
)
def test_cores_are_shared_out(composed, overrides, expected):
    composed(*overrides)
    assert sweeps.workers_of_a_job() == expected


@pytest.mark.parametrize("member", ["auto", "ray"])
def test_a_job_gets_its_share_unless_told_otherwise(composed, member):
    job = (*JOBLIB, "hydra.launcher.n_jobs=2", f"parallel={member}")
    assert build_parallel(composed(*job)).num_workers == 4
    assert build_parallel(composed(*job, "parallel.num_workers=3")).num_workers == 3
    # A cluster has cores of its own.
    given = build_parallel(composed(*job, "parallel.address=auto"))
    assert getattr(given, "ray", given).num_workers is None


def test_a_serial_job_stays_serial(composed):
    assert isinstance(build_parallel(composed(*JOBLIB, "parallel=serial")), Serial)


@pytest.mark.slow
def test_jobs_at_once_have_the_rows_of_jobs_in_turn(tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(4)])
    sweep = ("-m", "search=mcts,greedy", "seed=0,1", "scenarios.path=s.jsonl", "judge.noise_std=0.17")
    sweep += ("report_samples=2", "search.max_judge_calls=30")
    for how in (("hydra.sweep.dir=turn",), ("hydra.sweep.dir=once", "hydra/launcher=joblib")):
        done = run(tmp_path, *sweep, *how)
        assert (done.code, done.err) == (0, ""), done.err
    tables = [[rows(tmp_path / name / str(job)) for job in range(4)] for name in ("turn", "once")]
    assert tables[0] == tables[1]
    assert tables[0][0] != tables[0][1]
