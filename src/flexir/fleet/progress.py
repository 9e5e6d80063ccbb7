"""Progress of many models on stderr: tqdm's bar where tqdm is installed, else a line of ours.

Never on stdout, which has the result.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_WIDTH = 40  # characters of a model's name


def bar(things: Iterable[T], total: int, name: Callable[[T], str]) -> Iterator[T]:
    """The things as they come, and after each how many are left.

    Args:
        things: what is worked through.
        total: how many there are.
        name: what to show of one.
    """
    try:
        from tqdm import tqdm
    except ImportError:
        yield from _line(things, total, name)
        return
    with tqdm(total=total, leave=False, unit="model", file=sys.stderr) as shown:
        for thing in things:
            shown.set_postfix_str(name(thing)[:_WIDTH], refresh=False)
            yield thing
            shown.update()


def _line(things: Iterable[T], total: int, name: Callable[[T], str]) -> Iterator[T]:
    start, text = time.monotonic(), ""
    for number, thing in enumerate(things, 1):
        yield thing
        left = (time.monotonic() - start) / number * (total - number) / 60
        text = f"{number}/{total}  {left:.0f} min left  {name(thing)[:_WIDTH]:{_WIDTH}}"
        print(text, end="\r", file=sys.stderr, flush=True)
    print(" " * len(text), end="\r" if text else "", file=sys.stderr)
