"""A run becomes a Graph.

Owns the watchers of a run, the tables of tensors and storages, the search for constants, random
draws, and what a model keeps between calls. Never interprets what it wrote down.
"""
