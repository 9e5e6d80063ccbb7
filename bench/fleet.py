"""A plan for 200 timm and 100 shrunken transformers models, and what becomes of it.

python3 dev.py bench fleet [timm] [transformers]

The target has 25 ops. Timed: the whole plan, beside one process that only builds the same models
and runs each once; the plan killed halfway and resumed; the same again from the cache. Then the
first 20 ops' stubs are written and their tests run.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import flexir
from flexir.fleet import Plan
from zoo import fleet

ROOT = Path(__file__).resolve().parents[1]
npu = flexir.Target("npu")
OPS = (
    "conv2d", "linear", "batch_norm", "relu", "max_pool2d", "adaptive_avg_pool2d", "flatten",
    "add", "mul", "sub", "div", "matmul", "softmax", "reshape", "permute", "transpose", "cat",
    "sigmoid", "tanh", "hardswish", "getitem", "mean", "gelu", "layer_norm", "embedding",
)  # fmt: skip
for op in OPS:

    @npu.op(op)
    def handler(ctx: Any, **named: Any) -> str:
        return ctx.node.op


def command(models: Path, *more: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "flexir", "plan", str(models),
            "--target", "bench.fleet:npu", *more]  # fmt: skip


def own(models: Path) -> None:
    """Build each model and run it once: what a plan cannot do without."""
    import torch

    from flexir.fleet.specs import open_model

    torch.set_num_threads(1)
    for spec in models.read_text().split():
        try:
            model, args, kwargs = open_model(spec)
            with torch.no_grad():
                model(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  the plan has it among its problems
            print(f"{spec}: {type(error).__name__}", file=sys.stderr)


def processor() -> float:
    """Seconds of the processor that all processes begun here have taken and ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["own"]:
        return own(Path(arguments[1]))
    timm, transformers = map(int, arguments or (200, 100))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = folder / "models.txt"
        specs = fleet.specs(timm, transformers)
        models.write_text("\n".join(specs))
        whole, cut = str(folder / "whole"), folder / "cut"

        def run(cache: str, out: str, *more: str) -> float:
            start = time.perf_counter()
            subprocess.run(command(models, "--cache", cache, "-o", str(folder / out), *more),
                           cwd=ROOT, stdout=subprocess.DEVNULL, check=True)  # fmt: skip
            return time.perf_counter() - start

        before = processor()
        subprocess.run([sys.executable, "-W", "ignore", "-m", "bench.fleet", "own", str(models)],
                       cwd=ROOT, stderr=subprocess.DEVNULL, check=True)  # fmt: skip
        least = processor() - before
        first = run(whole, "whole.json", "--stubs", str(folder / "stubs"))
        used = processor() - before - least
        again = run(whole, "again.json")
        started = time.perf_counter()
        process = subprocess.Popen(command(models, "--cache", str(cut), "-o", str(folder / "x")),
                                   cwd=ROOT, stdout=subprocess.DEVNULL)  # fmt: skip
        while len(list(cut.glob("*/survey.json"))) < len(specs) // 2:
            time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        halfway = time.perf_counter() - started
        rest = run(str(cut), "cut.json")
        texts = [(folder / f"{n}.json").read_text() for n in ("whole", "again", "cut")]
        made = Plan.read(texts[0])
        print(made.text(25))
        print(f"\n| plan over {len(specs)} models, {os.cpu_count()} processors | |\n|---|---|")
        print(f"| the whole | {first / 60:.1f} min |")
        print(f"| processor time of that, and of building and running each once in one process "
              f"| {used:.0f} s, {least:.0f} s: {used / least:.2f}x |")  # fmt: skip
        print(f"| again, from the cache | {again:.0f} s, the same: {texts[1] == texts[0]} |")
        print(f"| killed after {halfway / 60:.1f} min, then the rest | {rest / 60:.1f} min, "
              f"the same: {texts[2] == texts[0]} |")  # fmt: skip
        tests = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider", "."],
            cwd=folder / "stubs", capture_output=True, text=True,
        ).stdout  # fmt: skip
        failed = re.findall(r"^FAILED \S+ - (\w+)", tests, re.M)
        lint = subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", "-q", "."],
                              cwd=folder / "stubs")  # fmt: skip
        ops = (folder / "stubs" / "handlers.py").read_text().count("@ir.op")
        print(f"| stubs of the first 20 items | {ops} ops, {len(failed)} tests, all fail with "
              f"{', '.join(sorted(set(failed)))}; ruff {'clean' if not lint.returncode else 'not'}"
              " |")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
