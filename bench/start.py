"""What a user waits for before anything happens: ``python3 dev.py bench start``.

Importing flexir where torch has been imported; its first capture, with everything that this
imports; the command on a model of two layers, over Python importing torch. Every process is a new
one and the runs take turns, so that a busy machine slows all alike; medians of 9, the processor's
time beside the clock's, which other work on the machine does not stretch.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 9
MODEL = "import torch\nnet = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())\n"
CLOCKED = """
import time, torch
{before}
start = time.perf_counter(), time.process_time()
{code}
print(time.perf_counter() - start[0], time.process_time() - start[1])
"""
FIRST = "import flexir; model, x = torch.nn.Linear(2, 2), torch.ones(1, 2)"

Times = tuple[float, float]  # seconds by the clock, seconds of the processor


def inside(code: str, before: str = "") -> Times:
    """What a new process that has imported torch takes for a line of code."""
    text = CLOCKED.format(before=before, code=code)
    clock, processor = subprocess.check_output([sys.executable, "-c", text]).split()
    return float(clock), float(processor)


def whole(*arguments: str) -> Times:
    """What a process of Python takes, from its start to its end."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after, clock = os.times(), time.perf_counter() - start
    return clock, sum(after[2:4]) - sum(before[2:4])


def main() -> None:
    rows: dict[str, list[Times]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.py"
        file.write_text(MODEL)
        for turn in range(ROUNDS + 1):  # the first fills the caches of disk and bytecode
            found = {
                "`import flexir`": inside("import flexir"),
                "the first `flexir.capture`": inside("flexir.capture(model, x)", FIRST),
                "`python -c 'import torch'`": whole("-c", "import torch"),
                "`flexir ops`": whole("-m", "flexir", "ops", f"{file}:net", "1x4"),
            }
            for name, times in found.items():
                rows.setdefault(name, []).extend([times] if turn else ())
    print("| | ms | ms of the processor |\n|---|---|---|")
    medians = {name: [statistics.median(t) for t in zip(*times)] for name, times in rows.items()}
    for name, (clock, processor) in medians.items():
        print(f"| {name} | {clock * 1e3:.1f} | {processor * 1e3:.1f} |")
    (torch_clock, torch_cpu), (clock, cpu) = list(medians.values())[2:]
    ratios = f"{clock / torch_clock:.2f}x | {cpu / torch_cpu:.2f}x"
    print(f"| `flexir ops` over `import torch` | {ratios} |")


if __name__ == "__main__":
    main()
