"""The record in MLflow: a tracker that keeps nobody waiting, over a durable spool, over the only writer of runs."""

from orchestration.tracking.tracker import SweepHeader, Tracker, replay_spool

__all__ = ["SweepHeader", "Tracker", "replay_spool"]
