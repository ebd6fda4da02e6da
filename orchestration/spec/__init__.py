"""The sweep file: read, checked, explained; and the search space that it spans."""

from orchestration.spec.faults import Fault, SweepFileError
from orchestration.spec.load import check_data_files, load_sweep, parse_sweep, spec_text
from orchestration.spec.search_space import Assignment, SearchSpace, make_trial_config, planned_trials
from orchestration.spec.sections import Asha, Budget, Collapse, MetricSpec, NoStopping, Resources, Search, SweepSpec, Tracking

__all__ = [
    "Asha",
    "Assignment",
    "Budget",
    "Collapse",
    "Fault",
    "MetricSpec",
    "NoStopping",
    "Resources",
    "Search",
    "SearchSpace",
    "SweepFileError",
    "SweepSpec",
    "Tracking",
    "check_data_files",
    "load_sweep",
    "make_trial_config",
    "parse_sweep",
    "planned_trials",
    "spec_text",
]
