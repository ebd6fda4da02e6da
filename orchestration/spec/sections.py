"""``SweepSpec``: the sections of a sweep file, typed and explained."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, SerializerFunctionWrapHandler, model_serializer, model_validator

from dashboards.home import check_database_url, check_tracking_uri
from orchestration.spec.budget import Budget
from orchestration.spec.conditions import Condition, ConditionFault
from orchestration.spec.confirmation import Confirm, confirmed
from orchestration.spec.early_terminate import AnyStopping
from orchestration.spec.notification import Notify
from orchestration.spec.parameters import AnyParameter
from vae_core.configurable import Config, Count

NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$"
"""What can name a sweep, and so a directory."""


def _safe_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError("must be 1 to 64 letters, digits, '.', '_' or '-', and begin with a letter, a digit or '_'")
    return name


class WarmStart(Config):
    """What earlier sweeps of the home have found."""

    from_: Annotated[tuple[Annotated[str, AfterValidator(_safe_name)], ...], Field(min_length=1, max_length=20, alias="from")]
    """Names of sweeps. Their complete trials are told to the search where they could be trials of this one."""

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"from": handler(self)["from_"]}


def _storage_url(url: str) -> str:
    check_database_url(url)
    return url


class Search(Config):
    """How parameters are drawn."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    startup_trials: Count = 10
    """tpe, gp: trials drawn at random before the model of the search begins."""
    population: Annotated[int, Field(ge=2, le=10_000)] | None = None
    """cmaes, nsga2, nsga3: trials a generation; null: 4 + 3 ln(parameters) for cmaes, 50 for the others."""
    enqueue: Annotated[tuple[Annotated[dict[str, JsonValue], Field(min_length=1)], ...], Field(max_length=1000)] = ()
    """Start points, tried first: values by dotted name; what one leaves out is drawn."""
    warm_start: WarmStart | None = None
    storage: Annotated[str, AfterValidator(_storage_url)] | None = None
    """The study's database, as postgresql://USER@HOST/NAME or sqlite:////FILE; null: sqlite in the home directory."""


class MetricSpec(Config):
    """What the search looks at: exact, at beta 1, on the validation split."""

    name: str = "val/neg_elbo"
    goal: Literal["minimize", "maximize"] = "minimize"

    @property
    def sign(self) -> float:
        """Times which a value is lower where it is better."""
        return 1.0 if self.goal == "minimize" else -1.0

    @property
    def column(self) -> str:
        """The metric of the selected epoch, by which a trial that has ended is judged; a speed is the last epoch's."""
        return f"best/{self.name}" if self.name.startswith("val/") else self.name


def _condition(text: str) -> str:
    try:
        Condition(text)
    except ConditionFault as fault:
        raise ValueError(f"{fault} (character {fault.at + 1})") from None
    return text


AnyCondition = Annotated[str, AfterValidator(_condition)]
"""See ``orchestration.spec.conditions``."""


class Collapse(Config):
    """When a posterior counts as collapsed: after annealing, below either figure."""

    min_active_units: Annotated[int, Field(ge=0)] = 1
    min_rate: Annotated[float, Field(ge=0.0)] = 0.0
    """In nats."""
    action: Literal["stop", "report"] = "report"


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
    method: Literal["random", "grid", "qmc", "tpe", "gp", "cmaes", "nsga2", "nsga3"]
    """How points are chosen; ``docs/search.md`` says what each can do."""
    search: Search = Search()
    metric: MetricSpec = MetricSpec()
    metrics: Annotated[tuple[MetricSpec, ...], Field(max_length=4)] = ()
    """Two or more in place of ``metric``: the search is for their Pareto set. ``metric`` is then the first of them."""
    parameters: Annotated[dict[str, AnyParameter], Field(min_length=1, max_length=100)]
    """What is searched, by dotted name below trial."""
    constraints: Annotated[tuple[AnyCondition, ...], Field(max_length=20)] = ()
    """On the numbers of a trial's configuration, by dotted name: a point that violates one is never trained."""
    outcome_constraints: Annotated[tuple[AnyCondition, ...], Field(max_length=20)] = ()
    """On the validation metrics of the selected epoch: a trial that violates one cannot win."""
    early_terminate: AnyStopping | None = None
    collapse: Collapse | None = None
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    """Each configuration is trained under so many, from trial.seed on, and judged by the mean of its trials' scores."""
    run_cap: Count
    """Trials at most. A grid may leave it out and then has as many as it has points."""
    budget: Budget = Budget()
    confirm: Confirm = Confirm()
    resources: Resources = Resources()
    tracking: Tracking = Tracking()
    notify: Notify | None = None
    confirms: Annotated[str, AfterValidator(_safe_name)] | None = None
    """The search whose best configurations this sweep trains anew. Written by ``vae-sweeps confirm``, not by hand."""

    @model_validator(mode="after")
    def _confirmation(self) -> Self:
        if self.confirms is not None and (self.method != "grid" or confirmed(self.parameters) is None):
            raise ValueError("confirms goes with the sweeps that `vae-sweeps confirm` makes: a grid of seed and configuration")
        return self

    @property
    def objectives(self) -> tuple[MetricSpec, ...]:
        """What is searched on: one metric, or several."""
        return self.metrics or (self.metric,)
