"""Model families with example inputs, for tests, sweeps, benchmarks and examples.

Every entry builds offline, with random weights from a fixed seed. Nothing here belongs to the
package; it is what the package is tried on.
"""

from zoo.entry import Entry

__all__ = ["Entry"]
