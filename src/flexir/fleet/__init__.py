"""Many models at once: survey them apart from this process, and plan which handlers to write first.

A survey is a captured graph without weights, so planning for another target runs no model again.
"""

from .planning import Item, Plan, of_surveys, plan, stubs
from .survey import Survey, arriving, survey

__all__ = ["Item", "Plan", "Survey", "arriving", "of_surveys", "plan", "stubs", "survey"]
