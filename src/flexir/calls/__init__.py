"""A torch call by name: what it is called, which signatures it has, which arguments it was given.

Owns names, schemas, signatures and binding, all read from the installed torch. Never runs a model
and knows nothing of graphs.
"""
