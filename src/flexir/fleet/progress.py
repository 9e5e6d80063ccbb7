"""Progress on stderr: of many models a bar, tqdm's where it is installed, of one what is done now.

Never on stdout, which has the result.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_WIDTH = 40  # characters of a model's name
_SOON = 5.0  # seconds that nobody minds to wait


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
    start, shown = time.monotonic(), _OneLine()
    for number, thing in enumerate(things, 1):
        yield thing
        left = (time.monotonic() - start) / number * (total - number) / 60
        shown.put(f"{number}/{total}  {left:.0f} min left  {name(thing)[:_WIDTH]}")
    shown.put("")


class _OneLine:
    """One line of stderr."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, text: str) -> None:
        """Show a text in the place of the one before; an empty one leaves nothing."""
        if text or self.text:
            print(f"{text:{len(self.text)}}", end="\r", file=sys.stderr, flush=True)
        self.text = text


class _Step(logging.Handler):
    """Shows the last message on one line, from five seconds on."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.start, self.shown = time.monotonic(), _OneLine()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a message in the place of the one before."""
        if (seconds := time.monotonic() - self.start) > _SOON:
            self.shown.put(f"{seconds:.0f} s  {record.getMessage()}")


@contextlib.contextmanager
def steps(name: str) -> Iterator[None]:
    """Context manager: what a logger says is shown while it takes long.

    Args:
        name: of the logger.
    """
    log, step = logging.getLogger(name), _Step()
    level = log.level
    log.addHandler(step)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(step)
        log.setLevel(level)
        step.shown.put("")
