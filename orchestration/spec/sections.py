"""``SweepSpec``: the sections of a sweep file, typed and explained."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from dashboards.home import check_tracking_uri
from orchestration.spec.parameters import AnyParameter
from vae_core.configurable import Config, Count

NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$"
"""What can name a sweep, and so a directory."""
_WALL_TIME = r"^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def _safe_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError("must be 1 to 64 letters, digits, '.', '_' or '-', and begin with a letter, a digit or '_'")
    return name


def _duration(text: str) -> str:
    if not re.fullmatch(_WALL_TIME, text) or len(text) > 32:
        raise ValueError("must be a time such as 90s, 30m, 2h or 1h30m")
    return text


class Search(Config):
    """How parameters are drawn."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    startup_trials: Count = 10
    """tpe: trials drawn at random before the model of the search begins."""


class MetricSpec(Config):
    """What the search looks at: exact, at beta 1, on the validation split."""

    name: str = "val/neg_elbo"
    goal: Literal["minimize", "maximize"] = "minimize"


class NoStopping(Config):
    """Every trial runs to its end."""

    type: Literal["none"]


class Asha(Config):
    """Asynchronous successive halving (Li et al. 2020): at each rung the best 1/eta go on."""

    type: Literal["asha"]
    min_epochs: Count = 1
    """No trial is stopped before this epoch, nor before the end of its annealing."""
    eta: Annotated[int, Field(ge=2)] = 3
    """Rungs lie at min_epochs x eta^k; 1/eta of the trials pass each."""


AnyStopping = Annotated[NoStopping | Asha, Field(discriminator="type")]
"""The family's table."""


class Collapse(Config):
    """When a posterior counts as collapsed: after annealing, below either figure."""

    min_active_units: Annotated[int, Field(ge=0)] = 1
    min_rate: Annotated[float, Field(ge=0.0)] = 0.0
    """In nats."""
    action: Literal["stop", "report"] = "report"


class Budget(Config):
    """What ends the sweep before its trials are used up."""

    wall_time: Annotated[str, AfterValidator(_duration), Field(json_schema_extra={"pattern": _WALL_TIME})] | None = None
    """90s, 30m, 2h, 1h30m; after it no trial is started. null: no limit."""
    max_failures: Count | None = None
    """So many failed trials end the sweep; null: none does."""

    @property
    def wall_time_s(self) -> float:
        """In seconds; infinite where there is no limit."""
        if self.wall_time is None:
            return float("inf")
        return float(sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([dhms])", self.wall_time)))


class Resources(Config):
    """What one trial takes, and how many run at once."""

    cpu: Annotated[float, Field(gt=0.0)] = 1.0
    """Cores a trial; it computes in one thread whatever stands here."""
    gpu: Annotated[float, Field(ge=0.0)] = 0.0
    """GPUs a trial; 0.25: four trials share one."""
    max_concurrent_trials: Count | None = None
    """null: as many as the resources allow."""


def _tracking_uri(uri: str) -> str:
    check_tracking_uri(uri)
    return uri


class Tracking(Config):
    """Where the record goes."""

    uri: Annotated[str, AfterValidator(_tracking_uri)] | None = None
    """An MLflow server or a database; null: MLFLOW_TRACKING_URI, else sqlite in the home directory."""


class SweepSpec(Config):
    """One sweep file."""

    version: Literal[1]
    """Of the file's format."""
    name: Annotated[str, AfterValidator(_safe_name), Field(json_schema_extra={"pattern": NAME})]
    """Of the sweep; also of its directory, so letters, digits, '.', '_' and '-' only."""
    question: str = ""
    """What the sweep is to answer."""
    trial: dict[str, Any]
    """One trial but for what is searched: part of a TrialConfig as a plain nested dict."""
    method: Literal["random", "tpe", "grid"]
    """tpe: the tree-structured Parzen estimator (Bergstra et al. 2011)."""
    search: Search = Search()
    metric: MetricSpec = MetricSpec()
    parameters: Annotated[dict[str, AnyParameter], Field(min_length=1, max_length=100)]
    """What is searched, by dotted name below trial."""
    early_terminate: AnyStopping | None = None
    collapse: Collapse | None = None
    run_cap: Count
    """Trials at most. A grid may leave it out and then has as many as it has points."""
    budget: Budget = Budget()
    resources: Resources = Resources()
    tracking: Tracking = Tracking()
