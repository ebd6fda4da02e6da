"""The addresses of pages: the dashboard's own, and those of the MLflow UI."""

from __future__ import annotations

from urllib.parse import quote, urlencode

SWEEPS, SWEEP, TRIAL, SAMPLE, TRIALS, COMPARE = "", "sweep", "trial", "sample", "trials", "compare"
"""Paths of the pages; the first is where one comes in."""
_MODE = "workflowType=machine_learning"
"""Without it the UI opens on traces of language models."""


def page_url(path: str, base: str = "/", **query: object) -> str:
    """A page of the dashboard with its query; ``base`` is the dashboard's address."""
    asked = urlencode({name: str(value) for name, value in query.items()}, quote_via=quote)
    return f"{base}{path}{'?' if asked else ''}{asked}"


def run_url(mlflow: str, experiment: str, run_id: str) -> str:
    """A run's page in the MLflow UI; empty where no UI is known."""
    return f"{mlflow}#/experiments/{quote(experiment)}/runs/{quote(run_id)}?{_MODE}" if mlflow and run_id else ""
