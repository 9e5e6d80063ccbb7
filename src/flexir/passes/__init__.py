"""Rewrites, each from Graph to Graph: ``passes.fold_batch_norm(graph)``.

Every pass leaves its graph alone and returns a new one, checked, or the same one if there was
nothing to do; ``graph.history`` says what was changed. Running a pass twice changes nothing more.
"""

from .constants import fold_constants
from .decomposition import decompose
from .explicit_state import explicit_state
from .fixed_cache import fixed_cache
from .grown import Grown
from .layers import adaptive_to_pool, fold_batch_norm, merge_pad, warp_affine
from .pairs import real_pairs
from .pattern import Pattern, pattern
from .simplify import merge_common, remove_dead, remove_noops, simplify

__all__ = [
    "Grown", "Pattern", "adaptive_to_pool", "decompose", "explicit_state", "fixed_cache",
    "fold_batch_norm", "fold_constants", "merge_common", "merge_pad", "pattern", "real_pairs",
    "remove_dead", "remove_noops", "simplify", "warp_affine",
]  # fmt: skip
