"""How training proceeds: which weights a step moves, and what comes before; ``config`` lists the family."""
