"""Is it right? A graph beside its model, values of an engine beside torch's, and why they differ.

Owns the comparison of results and the search for causes. Never changes a graph.
"""
