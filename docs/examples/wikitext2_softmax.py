"""Which softmax buys the most speed for the least exact perplexity?

Answers from the record of sweeps/wikitext2_softmax.yaml:

python docs/examples/wikitext2_softmax.py [--home DIR] [--name wikitext2-softmax]
"""

import argparse

from dashboards import load_trials
from dashboards.analyses.softmax import speed_against_exactness

parser = argparse.ArgumentParser(description="Speed against exactness")
parser.add_argument("--home")
parser.add_argument("--name", default="wikitext2-softmax")
given = parser.parse_args()

table = speed_against_exactness(load_trials(given.name, home=given.home))
print("Fastest first; perplexity is exact for each, the gap is what training looked at minus the truth, in nats:")
print(table.round(2).to_string(index=False))
full = table[table["softmax"] == "full"]
if len(full):
    table["times worse"] = table["perplexity"] / full["perplexity"].iloc[0]
    worth = table[table["softmax"] != "full"].sort_values("times worse").iloc[0]
    told = f"{worth['times_full']:.1f} times as fast, {worth['times worse']:.3f} times the perplexity"
    print(f"Least perplexity is lost by {worth['softmax']}: {told}.")
