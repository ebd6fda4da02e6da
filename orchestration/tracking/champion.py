"""The winner of a confirmation in MLflow's model registry: under the name of its search, as ``champion``."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from dashboards.home import hide_passwords
from orchestration.errors import LaunchError
from orchestration.tracking.mlflow_limits import cut, cut_all
from orchestration.tracking.model_files import FOLDER
from orchestration.tracking.outage import quiet_mlflow
from orchestration.tracking.publish import add_link

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from dashboards.home import Home

ALIAS = "champion"
_LIMIT = 5000
"""Characters of a description or a tag's value."""


@dataclass(frozen=True)
class Winner:
    """The model that stands for the best configuration: of its seeds' the one with the best score on validation."""

    search: str
    confirmation: str
    run_id: str
    tags: dict[str, str]
    description: str


def register_champion(confirmation: str, where: Home) -> str:
    """Registers the winner of a finished confirmation and makes it the champion; what came of it, in a line.

    A run that is registered gets no second version. The record is whole without it: no failure of it is the confirmation's.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    from dashboards.store import let_go

    try:
        winner = find_winner(confirmation, where)
        registry = os.environ.get("MLFLOW_REGISTRY_URI") or where.tracking_uri
        client = MlflowClient(where.tracking_uri, registry_uri=registry)
        version = _version(client, winner)
        client.set_registered_model_alias(winner.search, ALIAS, version)
        _tell(client, winner, version, where)
    except Exception as error:  # of whatever server, which may have no registry at all
        why = str(error) if isinstance(error, LaunchError) else f"{type(error).__name__}: {error}".splitlines()[0]
        return f"no champion of {confirmation} was registered: {hide_passwords(why)}"
    finally:
        let_go(where.tracking_uri)
    trial = f"{winner.confirmation}/{winner.tags['trial.number']}"
    return f"the champion is trial {trial}: models:/{winner.search}@{ALIAS} (version {version})"


def find_winner(confirmation: str, where: Home) -> Winner:
    """The model that a confirmation says is the best; the test split, by which configurations are compared, chooses no seed.

    Raises:
        LaunchError: it has no best configuration, or that kept no model.
    """
    from dashboards.analysis import ranked
    from dashboards.confirmation import plan_of
    from dashboards.confirmation_words import confirmed, sentences_of
    from dashboards.records import load_trials, sweep_row

    row = sweep_row(confirmation, tracking_uri=where.tracking_uri)
    plan = plan_of(row)
    if plan is None:
        raise LaunchError(f"{confirmation!r} confirms nothing")
    found = confirmed(load_trials(confirmation, tracking_uri=where.tracking_uri), row, plan)
    best = found.comparisons.iloc[0]
    if best["place"] == 0:
        raise LaunchError("none of its configurations can be called the best")
    seeds = found.cells[found.cells["configuration"] == best["configuration"]]
    models = ranked(seeds, row).query("rank == 1")
    if models.empty:
        raise LaunchError("its best configuration kept no model")
    model = models.iloc[0]
    tags = {
        "sweep": confirmation,
        "trial.number": str(int(model["trial"])),
        "configuration": str(int(best["configuration"])),
        "parameters": found.words[int(best["configuration"])],
        "seed": str(int(model["seed"])),
        f"mean {found.metric}": f"{best['mean']:.6g}",
    }
    return Winner(plan.sweep, confirmation, str(model["run_id"]), tags, " ".join(sentences_of(found, row)))


def _version(client: MlflowClient, winner: Winner) -> str:
    """The winner's version in the registry, made where there is none."""
    from mlflow.exceptions import MlflowException

    if f"{FOLDER}/MLmodel" not in {file.path for file in client.list_artifacts(winner.run_id, FOLDER)}:
        raise LaunchError(f"the run {winner.run_id} has no {FOLDER}/MLmodel")
    try:
        client.create_registered_model(winner.search, description=f"The best of the sweep {winner.search}, as it was confirmed.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    for known in client.search_model_versions(f"name = '{winner.search}'"):
        if known.run_id == winner.run_id:
            return str(known.version)
    source = f"runs:/{winner.run_id}/{FOLDER}"
    tags, description = cut_all(winner.tags, _LIMIT), cut(winner.description, _LIMIT)
    made = client.create_model_version(winner.search, source, winner.run_id, tags=tags, description=description)
    return str(made.version)


def _tell(client: MlflowClient, winner: Winner, version: str, where: Home) -> None:
    """A link in the notes of the search and of its confirmation."""
    from dashboards.records import sweep_row

    link = f"#/models/{quote(winner.search, safe='')}/versions/{version}"
    for sweep in (winner.search, winner.confirmation):
        with contextlib.suppress(Exception):  # a link that is missing harms nothing
            add_link(client, str(sweep_row(sweep, tracking_uri=where.tracking_uri)["run_id"]), "Champion", link)
