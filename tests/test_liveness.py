"""Which variables a function may still read after an instruction."""

from __future__ import annotations

import sys

from flexir.recording.liveness import live_after

THIS = sys._getframe


def test_what_is_read_later_is_live_and_what_is_set_first_is_not():
    def straight(a, b, c):
        found = live_after(THIS().f_code, THIS().f_lasti)
        c = a + 1
        return found, c

    assert straight(1, 2, 3)[0] == ("a",)


def test_either_way_of_a_branch_may_be_taken():
    def turning(a, b, c):
        found = live_after(THIS().f_code, THIS().f_lasti)
        if a:
            c = b
        return found, c

    assert turning(1, 2, 3)[0] == ("a", "b", "c")


def test_the_next_round_of_a_loop_reads_too():
    def looping(a, b, unread):
        found = ()
        for i in range(2):
            found = (*found, *live_after(THIS().f_code, THIS().f_lasti)) if i else found
            b = b + a
            a = b
        return found

    assert set(looping(1, 2, 3)) >= {"a", "b"} and "unread" not in looping(1, 2, 3)


def test_what_a_handler_reads_is_live_wherever_it_may_be_reached_from():
    def trying(a, b, unread):
        try:
            return live_after(THIS().f_code, THIS().f_lasti)
        except ValueError:
            return b

    assert trying(1, 2, 3) == ("b",)


def test_what_an_inner_function_shares_is_live():
    def sharing(a, unread):
        found = live_after(THIS().f_code, THIS().f_lasti)
        return found, lambda: a

    assert sharing(1, 2)[0] == ("a",)


def test_where_no_instruction_is_all_may_be_read():
    code = (lambda a, b: a).__code__
    assert live_after(code, 9_999) == ("a", "b")
