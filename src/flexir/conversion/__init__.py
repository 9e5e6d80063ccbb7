"""A Graph becomes *your* IR: handlers, placeholders, and a report of what is missing.

Owns targets and the loop that asks them. Knows no representation, this package's file format
included.
"""
