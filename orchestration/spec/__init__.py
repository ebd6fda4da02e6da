"""The sweep file: read, checked, explained; and the search space that it spans."""

from orchestration.spec.budget import Budget
from orchestration.spec.early_terminate import AnyStopping, Asha, Hyperband, Median, NoStopping, Patient, Wilcoxon
from orchestration.spec.faults import Fault, SweepFileError
from orchestration.spec.load import check_data_files, load_sweep, parse_sweep, spec_text
from orchestration.spec.search_space import Assignment, SearchSpace, make_trial_config, planned_trials
from orchestration.spec.sections import Collapse, MetricSpec, Resources, Search, SweepSpec, Tracking

__all__ = [
    "AnyStopping",
    "Asha",
    "Assignment",
    "Budget",
    "Collapse",
    "Fault",
    "Hyperband",
    "Median",
    "MetricSpec",
    "NoStopping",
    "Patient",
    "Resources",
    "Search",
    "SearchSpace",
    "SweepFileError",
    "SweepSpec",
    "Tracking",
    "Wilcoxon",
    "check_data_files",
    "load_sweep",
    "make_trial_config",
    "parse_sweep",
    "planned_trials",
    "spec_text",
]
