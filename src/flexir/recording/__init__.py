"""A run becomes a Graph.

Owns the watchers of a run, the tables of tensors and storages, the search for constants, random
draws, and what a model keeps between calls. Never interprets what it wrote down.

One run is :mod:`.session` (watch it), :mod:`.recorder` (note each call), :mod:`.trace` (the nodes)
and :mod:`.ssa` (what each tensor means after writes through views). Several examples are runs laid
over each other: :mod:`.branches` pairs their calls, :mod:`.rolled` the rounds of their loops, and
:mod:`.proof` replays every example on what came out. Words that are used throughout:

============== =================================================================================
memory         a storage; its pieces are geometries in it, each with the Value it holds now
alias          a tensor object on a memory; stale once another one has written there
derived call   one that the model did not make: a view taken again, a piece cut out of a memory
escape         a value that left torch for Python; a guard, if it decided a branch
live number    an int or float that knows what it was computed from; laundered: made plain again
place          where something is kept: a path of attributes and keys, or function and variable
held, kept     what a function's variables hold; what the model keeps from call to call
comparable     what stands for a thing where two runs are compared
to lay over    to make one graph of several runs; Misfit where that would be a guess
scope          the runs that went one way, or the rounds of a loop; it has its own nodes
round, turn    one time around a loop; which round of which execution of it a call stands in
============== =================================================================================
"""
