"""Worked targets, each behind an extra."""
