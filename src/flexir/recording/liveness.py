"""Which variables a function may still read after an instruction, before it sets them again.

The usual analysis, backwards over the bytecode: what an instruction reads is live before it, what
it sets is not. Where an exception may lead is taken to be reachable from everywhere.
"""

from __future__ import annotations

import dis
from types import CodeType
from typing import NamedTuple

from .parsed import Span, contains, of_code, offsets_of, span_at

_READS = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLOSURE", "LOAD_NAME", "LOAD_CLASSDEREF")
_ENDS = frozenset({
    "RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD",
    "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_ABSOLUTE",
})  # fmt: skip


@of_code(maxsize=8192)
def live_after(code: CodeType, at: int) -> tuple[str, ...]:
    """Names of variables that may be read after the instruction at an offset, in order of name."""
    after = _live(code).after.get(at, _every(code))
    return tuple(sorted(after.union(code.co_cellvars)))  # functions inside may read those


@of_code(maxsize=2048)
def live_after_span(code: CodeType, span: Span) -> frozenset[str]:
    """Names of variables that may be read where a function goes on after a stretch of source."""
    flow = _live(code)
    inside = [contains(span, span_at(code, at)) for at in flow.offsets]
    return frozenset().union(*(
        flow.before[j] for i, following in enumerate(flow.following) if inside[i]
        for j in following if not inside[j]
    ))  # fmt: skip


@of_code(maxsize=2048)
def carried_by(code: CodeType, span: Span) -> frozenset[str]:
    """Names of variables that a round of a loop may read and the one before may have set."""
    flow = _live(code)
    inside = [contains(span, span_at(code, at)) for at in flow.offsets]
    begins = [j for i, following in enumerate(flow.following)  # what goes back stands nowhere
              for j in following if j <= i and inside[j]]  # fmt: skip
    if not begins:
        return frozenset()
    first = min(begins)
    if len(flow.following[first]) > 1:  # what a ``for`` goes over gives one more, or is at its end
        return frozenset().union(*(flow.before[j] for j in flow.following[first] if inside[j]))
    return flow.before[first]


def _every(code: CodeType) -> frozenset[str]:
    return frozenset((*code.co_varnames, *code.co_cellvars, *code.co_freevars))


class _Flow(NamedTuple):
    """Attributes: instruction -> those that may be next; what is live before it; after; where."""

    following: list[list[int]]
    before: list[frozenset[str]]
    after: dict[int, frozenset[str]]  # by offset
    offsets: list[int]


@of_code(maxsize=2048)
def _live(code: CodeType) -> _Flow:
    steps = list(dis.get_instructions(code))
    place = {one.offset: i for i, one in enumerate(steps)}
    reads: list[frozenset[str]] = []
    sets: list[frozenset[str]] = []
    following: list[list[int]] = []
    for i, one in enumerate(steps):
        names = one.argval if isinstance(one.argval, tuple) else (one.argval,)
        stores = one.opname.startswith(("STORE_FAST", "DELETE_FAST"))
        both = one.opname == "STORE_FAST_LOAD_FAST"  # sets the first, reads the second
        twice = one.opname == "STORE_FAST_STORE_FAST"
        sets.append(frozenset(names[:1] if both else names) if stores or twice else frozenset())
        read = names[1:] if both else names if one.opname.startswith(_READS) else ()
        reads.append(frozenset(map(str, read)))
        after = [i + 1] if one.opname not in _ENDS and i + 1 < len(steps) else []
        if "JUMP" in one.opname or one.opname in ("FOR_ITER", "SEND", "SETUP_FINALLY"):
            after += [place[one.argval]] if one.argval in place else []
        following.append(after)
    handlers = [place[start] for start in _handlers(code, steps) if start in place]
    live: list[frozenset[str]] = [frozenset()] * len(steps)  # before each instruction
    changed = True
    while changed:
        changed = False
        caught: frozenset[str] = frozenset().union(*(live[i] for i in handlers))
        for i in reversed(range(len(steps))):
            out = caught.union(*(live[j] for j in following[i]))
            new = reads[i] | (out - sets[i])
            if new != live[i]:
                live[i], changed = new, True
    caught = frozenset().union(*(live[i] for i in handlers))
    then = {at: caught.union(*(live[j] for j in following[i]))
            for i, one in enumerate(steps) for at in offsets_of(code, one)}  # fmt: skip
    return _Flow(following, live, then, [one.offset for one in steps])


def _handlers(code: CodeType, steps: list[dis.Instruction]) -> set[int]:
    """Where exceptions are caught."""
    found = {one.offset for one in steps if one.opname in ("PUSH_EXC_INFO", "WITH_EXCEPT_START")}
    found |= {one.argval for one in steps if one.opname in ("SETUP_FINALLY", "SETUP_WITH")}
    return found
