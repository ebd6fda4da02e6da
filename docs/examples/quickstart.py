"""Which beta, annealing schedule, word dropout and softmax suit a small text VAE?

Answers from the record of sweeps/quickstart.yaml:

python docs/examples/quickstart.py [--home DIR] [--name quickstart]
"""

import argparse

from dashboards import load_samples, load_sweeps, load_trials
from dashboards.analyses.importance import importance
from dashboards.page.answer import answer
from dashboards.replicates import board

parser = argparse.ArgumentParser(description="What suits a small text VAE")
parser.add_argument("--home")
parser.add_argument("--name", default="quickstart")
given = parser.parse_args()

trials = load_trials(given.name, home=given.home)
sweep = load_sweeps(home=given.home).set_index("name", drop=False).loc[given.name]
print("\n".join(answer(trials, sweep)))
table = board(trials, sweep)
print(table.head(5).round(3).to_string(index=False))
mattered = importance(trials, sweep).round(2)
print("\nWhat mattered:")
print(mattered.to_string(index=False) if len(mattered) else "fewer than 8 complete trials do not tell")
print("\nWhat the best model draws:")
samples = load_samples(given.name, trials=[int(table["trial"].iloc[0])], kinds=["samples"], home=given.home)
print("\n".join(samples.loc[samples["part"] == "drawn", "text"].head(5)))
