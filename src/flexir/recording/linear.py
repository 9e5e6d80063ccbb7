"""A line through whole numbers: ``n = constant + factor * feature + ...``, exactly, or none.

Pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

Found = tuple[int, list[int]]


def line(
    numbers: Mapping[Any, int], features: Sequence[Mapping[Any, int]], *, confirmed: bool = False
) -> Found | None:
    """The first of :func:`lines`; None if there is none."""
    return next(iter(lines(numbers, features, confirmed=confirmed)), None)


def lines(
    numbers: Mapping[Any, int], features: Sequence[Mapping[Any, int]], *, confirmed: bool = False
) -> list[Found]:
    """All lines through the fewest features that give all of the numbers.

    There is none where what was shown leaves it open.

    Args:
        numbers: case -> number.
        features: each case -> number.
        confirmed: only where one more case than it takes to find the line lies on it, which goes
            through zero with one case less.

    Returns:
        of each, the constant and the factor of each feature.
    """
    all_found: list[Found] = []
    for many in range(1, len(features) + 1):
        for chosen in combinations(range(len(features)), many):
            used = [features[i] for i in chosen]
            found = _solved(numbers, used)
            if found is not None and all(found[1]):
                cases = {(*(f[case] for f in used), n) for case, n in numbers.items()}
                if confirmed and len(cases) < many + 1 + (found[0] != 0):
                    continue
                factors = [0] * len(features)
                for i, factor in zip(chosen, found[1]):
                    factors[i] = factor
                all_found.append((found[0], factors))
        if all_found:
            break
    return all_found


def _solved(numbers: Mapping[Any, int], features: Sequence[Mapping[Any, int]]) -> Found | None:
    rows = {(1, *(f[case] for f in features), n) for case, n in numbers.items()}
    matrix = [list(map(Fraction, row)) for row in sorted(rows)]
    unknowns, done = len(features) + 1, 0
    for column in range(unknowns):
        pivot = next((r for r in range(done, len(matrix)) if matrix[r][column]), None)
        if pivot is None:
            return None  # what was shown leaves it open
        matrix[done], matrix[pivot] = matrix[pivot], matrix[done]
        head = [part / matrix[done][column] for part in matrix[done]]
        matrix[done] = head
        for r, row in enumerate(matrix):
            if r != done and row[column]:
                matrix[r] = [a - row[column] * b for a, b in zip(row, head)]
        done += 1
    if any(row[-1] for row in matrix[done:]):
        return None
    solved = [matrix[i][-1] for i in range(unknowns)]
    if any(part.denominator != 1 for part in solved):
        return None
    return int(solved[0]), [int(part) for part in solved[1:]]
