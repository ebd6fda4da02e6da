"""The way back from a sweep's note in MLflow to its page in the dashboard, where the dashboard has a lasting address."""

from __future__ import annotations

import os

from dashboards.app.links import SWEEP, page_url

DASHBOARD = "VAE_SWEEPS_DASHBOARD"
"""The variable of the environment with that address: ``vae-sweeps ui`` on a laptop has none that will hold."""


def dashboard_link(sweep: str) -> str:
    """A paragraph of Markdown; empty where there is no such address."""
    address = os.environ.get(DASHBOARD, "")
    if not address.startswith(("http://", "https://")):
        return ""
    return f"\n\n[Dashboard]({page_url(SWEEP, address.rstrip('/') + '/', sweep=sweep)})"
