"""What a program is: nodes over values, their text and grammar, and how they are run again.

Owns the data types and everything that needs nothing else to be true of them: trees of arguments,
geometry in memory, replay. Never records a run, and knows no target, no file and no picture.
"""
