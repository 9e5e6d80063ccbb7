"""Lines through whole numbers: exact, the fewest features that do, or none."""

import pytest

from flexir.recording.linear import line


def test_a_line_through_one_feature():
    assert line({0: 5, 1: 7, 2: 9}, [{0: 1, 1: 2, 2: 3}]) == (3, [2])
    assert line({0: 4, 1: 6}, [{0: 2, 1: 3}]) == (0, [2])
    assert line({"a": 5, "b": 3}, [{"a": 1, "b": 2}]) == (7, [-2])


def test_cases_that_say_the_same_are_one():
    assert line({0: 5, 1: 7, 2: 7}, [{0: 1, 1: 2, 2: 2}]) == (3, [2])
    assert line({0: 5, 1: 5}, [{0: 1, 1: 1}]) is None, "one point leaves a line open"


@pytest.mark.parametrize("factors", [(2, 3), (1, -4), (-1, 5)])
def test_a_plane_through_two_features(factors):
    a, b = {0: 1, 1: 4, 2: 2, 3: 7}, {0: 3, 1: 1, 2: 8, 3: 5}
    numbers = {case: 10 + factors[0] * a[case] + factors[1] * b[case] for case in a}
    assert line(numbers, [a, b]) == (10, list(factors))
    assert line(numbers, [b, a]) == (10, list(factors)[::-1])


def test_three_features_and_rows_that_change_places():
    a, b, c = ({i: n for i, n in enumerate(ns)} for ns in
               ((0, 0, 1, 2, 5), (0, 2, 0, 1, 3), (1, 0, 0, 4, 1)))  # fmt: skip
    numbers = {i: 1 + 2 * a[i] + 3 * b[i] - 5 * c[i] for i in a}
    assert line(numbers, [a, b, c]) == (1, [2, 3, -5])


def test_the_fewest_features_that_do():
    a, b = {0: 1, 1: 2, 2: 5}, {0: 4, 1: 9, 2: 3}
    assert line({0: 3, 1: 5, 2: 11}, [b, a]) == (1, [0, 2])
    assert line({0: 4, 1: 9, 2: 3}, [a, b]) == (0, [0, 1])


def test_what_lies_on_no_line_is_none():
    x = {0: 1, 1: 2, 2: 3}
    assert line({0: 1, 1: 2, 2: 4}, [x]) is None
    assert line({0: 1, 1: 4}, [{0: 1, 1: 3}]) is None, "1.5 is not a whole factor"
    assert line({0: 1, 1: 2}, [{0: 1, 1: 3}]) is None, "half a constant"
    assert line({0: 1}, []) is None


def test_a_number_that_stays_is_no_line():
    assert line({0: 4, 1: 4}, [{0: 1, 1: 2}]) is None
