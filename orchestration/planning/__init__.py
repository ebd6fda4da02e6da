"""What a sweep will be and cost, before it is run: the static part from its file alone, the rest from a short profile."""
