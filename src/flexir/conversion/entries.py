"""What a conversion made of a Program: a Result for each entry point, over one set of weights.

Each entry point is converted by itself, into a builder of its own. Weights are not copied: handlers
are given the very same tensor in every entry point that reads it, under the same name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import add_note
from ..graph.program import Program

if TYPE_CHECKING:
    from .convert import Result


@dataclass(slots=True)
class Results(Mapping[str, "Result"]):
    """Entry point -> its Result.

    Attributes:
        program: what was converted.
        results: entry point -> Result, in the order of the Program.

    Example:
        >>> import torch, flexir
        >>> net = torch.nn.Linear(3, 2)
        >>> program = flexir.program(net, {"one": (torch.ones(1, 3),), "two": (torch.ones(2, 3),)})
        >>> results = flexir.convert(program, flexir.describe)
        >>> [results[entry].report.complete for entry in results]
        [True, True]
    """

    program: Program
    results: dict[str, Result]

    def __getitem__(self, entry: str) -> Result:
        self.program[entry]  # says which there are
        return self.results[entry]

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def complete(self) -> bool:
        """Whether everything was handled, in all entry points."""
        return all(result.report.complete for result in self.results.values())

    def run(self, entry: str, *args: Any, **kwargs: Any) -> Any:
        """Run what was made of one entry point: ``program.answering(model, run=results.run)``."""
        return self[entry].run(*args, **kwargs)

    def raise_if_unsupported(self) -> None:
        """Raise UnsupportedError for the first entry point in which something was not handled."""
        for entry, result in self.results.items():
            try:
                result.report.raise_if_unsupported()
            except Exception as error:
                add_note(error, f"in the entry point {entry!r}")
                raise

    def __str__(self) -> str:
        return "\n\n".join(f"{entry}: {one.report}" for entry, one in self.results.items())
