"""Analyses of a sweep: pure functions, from the frames of ``dashboards`` to a small table; one file a question."""
