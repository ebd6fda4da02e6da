"""Which remedy against posterior collapse puts most into the code, and at what cost?

Answers from the record of sweeps/wikitext2_collapse.yaml:

python docs/examples/wikitext2_collapse.py [--home DIR] [--name wikitext2-collapse]
"""

import argparse

from dashboards import load_trials
from dashboards.analyses.collapse import kl_by_dimension
from dashboards.diagnosis import load_kl

parser = argparse.ArgumentParser(description="Remedies against posterior collapse")
parser.add_argument("--home")
parser.add_argument("--name", default="wikitext2-collapse")
given = parser.parse_args()

trials = load_trials(given.name, home=given.home)
columns = ["trial", "remedy", "state", "best/val/rate", "best/val/mutual_information", "best/val/active_units", "test/iw_nll"]
table = trials[[*columns, "duration_s"]].sort_values("best/val/mutual_information", ascending=False)
kl = kl_by_dimension(load_kl(dict(zip(trials["trial"], trials["run_id"], strict=True)), home=given.home), trials)
table["dimensions in use"] = table["trial"].map(kl.groupby("trial")["used"].sum())
plain = trials.loc[trials["remedy"] == "plain", "test/iw_nll"].iloc[0]
table["nats lost"] = table["test/iw_nll"] - plain
print("What the code carries, most first, and what it costs against the plain VAE (one seed each: confirm small differences):")
print(table.round(2).to_string(index=False))
