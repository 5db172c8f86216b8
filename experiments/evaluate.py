"""Measure policies on people they were not planned for: `python -m experiments.evaluate`."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console

from envs import UserError
from experiments import build
from experiments.config import budget_of
from experiments.evaluation.baselines import baselines
from experiments.evaluation.planning import plan_table, spread
from experiments.evaluation.results import evaluate as run_methods
from experiments.evaluation.setting import Setting, people
from experiments.evaluation.summary import Comparison
from experiments.main import entry_point


def evaluate(cfg: DictConfig) -> float:
    console = Console()
    budget = budget_of(cfg)
    train, test = _sides(cfg)
    frames = []
    import numpy as np
    t0 = time.time()
    from experiments.evaluation.conversations import Conversations
    from policies.memory import Memory, Index, StaticEmbedding
    from policies.acquisition import NearestAcquisition, VoteAcquisition
    from policies.abstention import ValueAbstention, FixedAbstention, NeverAbstention
    emb = StaticEmbedding()
    _, of = people(test)
    for k in range(cfg.model_seeds):
        judge = _seeded(cfg, k)
        table = plan_table(spread(train, cfg.table_size), judge, build.build_searcher(cfg), budget, cfg.seed, build.build_parallel(cfg), report_samples=cfg.report_samples)
        t1=time.time()
        tell = np.array([s.askable for s in test], dtype=np.uint64)
        setting = Setting(judge, train, test, budget, tell, table.table, cfg.seed, cfg.report_samples, k)
        methods = baselines(setting)
        t2=time.time()
        mem = Memory(table.table, Index.build(emb, table.table.table["query"].to_pylist()), source="")
        rules = {f"value {c:g}": ValueAbstention(c) for c in cfg.value_costs} | {f"fixed {i}": FixedAbstention(i) for i in range(1, budget+1)} | {"never": NeverAbstention()}
        conv = Conversations(setting, mem, lambda s, n: s.profile.get(n), rules)
        methods += conv.methods({"nearest": NearestAcquisition(), "vote": VoteAcquisition()}) + conv.abstention_only()
        frames.append(run_methods(setting, methods, of.tolist()))
        print(t1-t0, t2-t1, time.time()-t2)
    res = pd.concat(frames, ignore_index=True)
    c = Comparison(res, cfg.seed, cfg.draws, cfg.level)
    for n in c.names:
        f = c.figures(n)
        print(f"{n:40s} {f.score.estimate:.3f} [{f.score.low:.3f} {f.score.high:.3f}] asked {f.asked.estimate:.2f} share {f.share.estimate:.3f} [{f.share.low:.3f} {f.share.high:.3f}] worse {f.worse.estimate:.3f}")
    print(time.time()-t0)
    return 0.0


def _sides(cfg):
    sides = []
    for split in ("train", "test"):
        side = copy.deepcopy(cfg)
        side.scenarios.split = split
        sides.append(build.build_scenarios(side).scenarios)
    return sides


def _seeded(cfg: DictConfig, k: int):
    other = copy.deepcopy(cfg)
    if k:
        other.judge.model_seed += k
    return build.build_judge(other)


main = entry_point("evaluate")(evaluate)

if __name__ == "__main__":
    main()
