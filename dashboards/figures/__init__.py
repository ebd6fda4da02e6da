"""Figures of a sweep, by Plotly: one thin function an analysis, table in, figure out."""
