"""A sweep's trials as a saved view of the MLflow UI: which runs, in which order, under which columns.

The UI shows no metric unless its columns are chosen, and no address can choose them; but it reads views from tags of the
experiment, and an address can name one. The view is also in the UI's own list of saved views, under the sweep's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

MODE = "workflowType=machine_learning"
"""In an address; without it the UI opens on traces of language models."""
TAG = "mlflow.sharedViewState."
"""Before the name of a view; a tag of the experiment."""
_LIMIT = 5000
"""Characters that a server takes in such a tag; newer ones take more."""
SCORES = ("test/neg_elbo", "test/iw_nll", "best/val/rate", "best/val/active_units")
"""Metrics that are shown behind those that were searched on."""


def view_tag(sweep: str, tags: Mapping[str, str], at: int) -> tuple[str, str]:
    """Name and value of the experiment's tag that holds the view of a sweep.

    Args:
        tags: of the sweep's run, ``SweepHeader.tags``.
        at: its start, in ms.
    """
    metric, goal = f"best/{tags['metric.name']}", tags["metric.goal"]
    several = [f"best/{one['name']}" for one in json.loads(tags.get("metrics", "[]"))]
    metrics = list(dict.fromkeys([metric, *several, *SCORES]))
    columns = ["tags.`trial.state`", *(f"metrics.`{name}`" for name in metrics)]
    columns += [f"tags.`variant.{name}`" for name in json.loads(tags.get("variants", "{}"))]
    columns += [f"params.`{name}`" for name in json.loads(tags["parameters"])]
    while len(value := _envelope(sweep, metric, goal, columns, at)) > _LIMIT:
        columns.pop()
    return f"{TAG}{sweep}", value


def view_link(experiment: str, sweep: str, base: str = "") -> str:
    """The UI's page of a sweep's trials, under their columns; relative where ``base``, the UI's address, is empty."""
    return f"{base}#/experiments/{experiment}/runs?{MODE}&viewStateShareKey={quote(sweep, safe='')}"


def trials_link(experiment: str, sweep: str, metric: str, goal: str, base: str = "") -> str:
    """The UI's page of a sweep's trials, best first; relative where ``base``, the UI's address, is empty.

    Without the filter the UI hides nested runs.
    """
    query = {
        "searchFilter": trials_filter(sweep),
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": "true" if goal == "minimize" else "false",
    }
    return f"{base}#/experiments/{experiment}/runs?{MODE}" + "".join(
        f"&{key}={quote(value, safe='')}" for key, value in query.items()
    )


def artifact_link(experiment: str, run_id: str, path: str) -> str:
    """The UI's page of one artifact of a run, relative."""
    return f"#/experiments/{experiment}/runs/{run_id}/artifacts/{path}?{MODE}"


def trials_filter(sweep: str) -> str:
    """MLflow's filter for the trials of a sweep."""
    return f"tags.kind = 'trial' and tags.sweep = {quoted(sweep)}"


def quoted(value: str) -> str:
    """A string in MLflow's filters.

    Raises:
        ValueError: it has both kinds of quotes, which no filter can express.
    """
    if "'" not in value:
        return f"'{value}'"
    if '"' not in value:
        return f'"{value}"'
    raise ValueError(f"{value!r} has both ' and \", so no filter of MLflow can find it")


def _envelope(sweep: str, metric: str, goal: str, columns: Sequence[str], at: int) -> str:
    view: dict[str, Any] = {
        "searchFilter": trials_filter(sweep),
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": goal == "minimize",
        "selectedColumns": list(columns),
    }
    # What stands outside of the state is read by versions of the UI that know shared views, but no saved ones.
    return json.dumps({"name": sweep, "createdAt": at, "updatedAt": at, "state": json.dumps(view), **view})
