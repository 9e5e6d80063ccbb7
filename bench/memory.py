"""Peak memory of a capture over peak memory of the eager run, each in a process of its own.

python3 dev.py bench memory
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

import torch

import flexir


def models(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """resnet50 at batch 8, or a transformer encoder of 12 layers on 8 x 512 tokens."""
    if name == "resnet50":
        from zoo.torchvision_models import entry

        return entry("resnet50").make()[0], torch.rand(8, 3, 224, 224)
    layer = torch.nn.TransformerEncoderLayer(512, 8, 2048, batch_first=True)
    return torch.nn.TransformerEncoder(layer, 12).train(), torch.rand(8, 512, 512)


def run(name: str, how: str) -> None:
    """Run once and print the peak resident size above that before the run, and the peak, in MB."""
    model, x = models(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with torch.set_grad_enabled(how.endswith("grad")):
        if how.startswith("capture"):
            flexir.capture(model, (x,))
        else:
            model(x)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(peak - before, peak)


def main() -> None:
    print("| model | eager peak MB | capture peak MB | ratio | ratio above the model |")
    print("|---|---|---|---|---|")
    for name in ("resnet50", "transformer"):
        for mode in ("", "grad"):
            above, peak = {}, {}
            for how in ("eager", "capture"):
                runs = []
                for _ in range(3):
                    command = [
                        sys.executable,
                        "-W",
                        "ignore",
                        "-m",
                        "bench.memory",
                        name,
                        how + mode,
                    ]
                    runs.append([float(v) for v in subprocess.check_output(command).split()])
                above[how] = statistics.median(r[0] for r in runs)
                peak[how] = statistics.median(r[1] for r in runs)
            print(
                f"| {name} {mode or 'no grad'} | {peak['eager']:.0f} | {peak['capture']:.0f} "
                f"| {peak['capture'] / peak['eager']:.3f} "
                f"| {above['capture'] / max(above['eager'], 1):.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    run(*sys.argv[1:]) if len(sys.argv) == 3 else main()
