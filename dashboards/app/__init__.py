"""The dashboard: sweeps, a sweep, a trial, a sample, live and lasting; pages of Streamlit, which only this package imports."""
