"""Reading scenario files: every published layout, what of it cannot be used, splits by person."""

from envs.loading.records import BadRecord
from envs.loading.scenario_files import (
    ScenarioSet,
    ScenarioStream,
    load_bundled,
    load_scenarios,
    person_share,
)
from envs.loading.stored_scenarios import StoredScenarios

__all__ = [
    "BadRecord",
    "ScenarioSet",
    "ScenarioStream",
    "StoredScenarios",
    "load_bundled",
    "load_scenarios",
    "person_share",
]
