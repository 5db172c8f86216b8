"""Reading scenario files: every published layout, what of it cannot be used, splits by person."""

from envs.loading.records import BadRecord
from envs.loading.scenario_files import (
    ScenarioSet,
    ScenarioStream,
    load_bundled,
    load_scenarios,
    person_share,
)

__all__ = ["BadRecord", "ScenarioSet", "ScenarioStream", "load_bundled", "load_scenarios", "person_share"]
