"""Damage saved graphs at random, and kill processes that save: the reader must stand both.

python3 dev.py bench fuzz_ir [mutations] [kills]

A mutation is random (bits, cuts, insertions in any file, with and without fitting checksums) or
of the structure (a field of the protobuf message set to another number, a table entry doubled,
dropped or exchanged, checksums always fitted). Every outcome but a sound graph or a FormatError
is a failure, and so is anything over a second or any unfitted change that loads.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import nn

import flexir
from flexir.files.ir import load, schema
from flexir.files.ir.manifest import canonical_bytes


class Small(nn.Module):
    """A little of everything the format holds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.drop = nn.Dropout(0.5)
        self.rows = nn.Parameter(torch.eye(4).to_sparse(), requires_grad=False)
        self.table = torch.randn(4, 4).t()

    def forward(self, x: torch.Tensor, scale: float = 2.0) -> dict[str, Any]:
        y = self.drop(torch.relu_(self.conv(x))).mean((2, 3))
        y[:, 0] = scale
        if y.sum() > -1e9:
            y = y @ self.table
        with torch.autocast("cpu"):
            z = y @ self.table
        return {"y": (y, [z]), "n": torch.sparse.mm(self.rows, y.t()), "s": 1 << 70}


class Ways(nn.Module):
    """Branches within branches, a variant, state: what takes several graphs to hold."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 3)
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 1:
            return self.body(x).tanh()
        y = self.body(x) if x.sum() > 0 else x.exp() - 1
        if y[0, 0] > 3:
            y = y + 1 if y.sum() > 5 else y.sin()
        return y * x.shape[0]

    def step(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += x.mean(0)
        return self.body(self.seen)


def _examples() -> list[tuple[torch.Tensor]]:
    torch.manual_seed(0)
    return [(s * torch.rand(n, 3),) for n in (2, 3) for s in (9, 1, -1, -9)] + [(torch.rand(3),)]


def _straight() -> flexir.Graph:
    return flexir.capture(Small(), (torch.randn(2, 3, 6, 6),))


def _branched(net: nn.Module | None = None) -> flexir.Graph:
    first, *also = _examples()
    return flexir.capture(net or Ways(), first, also=also)


def _program() -> flexir.Program:
    net = Ways()
    called = flexir.program(net, {"step": (net.step, _examples()[0]), "one": (torch.rand(3),)})
    return flexir.Program("Ways", {**called, "ways": _branched(net)})


# What is damaged, and what it is used with afterwards.
KINDS = {
    "graph": (_straight, torch.randn(2, 3, 6, 6)),
    "branches": (_branched, torch.ones(2, 3)),
    "program": (_program, torch.ones(2, 3)),
}


def seal(folder: Path, message: Any = None) -> None:
    """Make the checksums fit what is in a folder now, after its graph became ``message``."""
    if message is not None:
        (folder / "graph.pb").write_bytes(message.SerializeToString())
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        data = (folder / name).read_bytes()
        entry["size"] = len(data)
        if "sha256" in entry:
            entry["sha256"] = hashlib.sha256(data).hexdigest()
        else:
            size = int.from_bytes(data[:8], "little")
            entry["header_sha256"] = hashlib.sha256(data[: 8 + size]).hexdigest()
    manifest["sha256"] = hashlib.sha256(canonical_bytes(manifest)).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def scramble(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        place = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(5)
        if kind == 0 and data:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[place : place + rng.randrange(1, 40)]
        elif kind == 2:
            data[place:place] = rng.randbytes(rng.randrange(1, 20))
        elif kind == 3 and data:
            data[place] = rng.choice((0, 0x7F, 0x80, 0xFF))
        elif data:
            other = rng.randrange(len(data))
            data[place : place + 8] = data[other : other + 8]
    return data


def restructure(message: Any, rng: random.Random) -> None:
    """Change one field somewhere in a message."""
    for _ in range(rng.choice((1, 1, 2))):
        here = message
        while True:
            fields = here.ListFields()
            if not fields:
                break
            descriptor, value = rng.choice(fields)
            repeated = hasattr(value, "append") and not isinstance(value, (str, bytes))
            if descriptor.message_type and repeated and len(value):
                if rng.random() < 0.15:
                    index = rng.randrange(len(value))
                    if rng.random() < 0.5:
                        value.add().CopyFrom(value[index])
                    else:
                        del value[index]
                    break
                here = value[rng.randrange(len(value))]
            elif descriptor.message_type:
                here = value
            else:
                _alter(here, descriptor.name, value, repeated, rng)
                break


def _alter(message: Any, name: str, value: Any, repeated: bool, rng: random.Random) -> None:
    if repeated:
        if not len(value) or rng.random() < 0.2:
            value.append(type(value[0])() if len(value) else 0)
            return
        index = rng.randrange(len(value))
        if rng.random() < 0.2:
            del value[index]
        else:
            value[index] = _other(value[index], rng)
    else:
        setattr(message, name, _other(value, rng))


def _other(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((0, 1, value + 1, max(0, value - 1), 1 << 31, (1 << 32) - 1,
                           rng.randrange(64)))  # fmt: skip
    if isinstance(value, float):
        return rng.choice((0.0, float("nan"), float("inf"), -value))
    if isinstance(value, bytes):
        return bytes(scramble(bytearray(value), rng))
    return rng.choice(("", value + "x", value[1:], "../" + value, "os.system", "é\0"))


def fuzz(count: int, seed: int) -> Counter[str]:
    """Mutate, load, and use what loads; each kind of directory in turn."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        sound, folder = Path(name, "sound"), Path(name, "net")
        sound.mkdir()
        texts: dict[str, str] = {}
        for kind, (make, _) in KINDS.items():
            flexir.save(make(), sound / kind)
            texts[kind] = load(sound / kind).text()
        for number in range(count):
            kind = rng.choice(list(KINDS))
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(sound / kind, folder)
            fitted = _mutated(folder, rng, of_the_structure=bool(number % 2))
            if fitted is not None:
                outcomes[_attempt(folder, fitted, texts[kind], KINDS[kind][1])] += 1
            if number % 500 == 499:
                print(f"{number + 1}/{count} {dict(outcomes)}", end="\r", file=sys.stderr)
    return outcomes


def _mutated(folder: Path, rng: random.Random, of_the_structure: bool) -> bool | None:
    """Damage a directory; whether the checksums fit it, None if nothing came of it."""
    if of_the_structure:
        kind = "program" if (folder / "program.pb").exists() else "graph"
        message = schema.MESSAGES[kind]()
        message.ParseFromString((folder / f"{kind}.pb").read_bytes())
        try:
            restructure(message, rng)
            (folder / f"{kind}.pb").write_bytes(message.SerializeToString())
        except ValueError:  # a number out of the field's range, text that is no Unicode
            return None
        seal(folder)
        return True
    file = rng.choice(sorted(folder.iterdir()))
    before = file.read_bytes()
    file.write_bytes(scramble(bytearray(before), rng))
    if file.read_bytes() == before:
        return None
    if file.name != "manifest.json" and rng.random() < 0.5:
        try:
            seal(folder)
        except (ValueError, KeyError, OSError):
            return None
        return True
    return False


def _attempt(folder: Path, fitted: bool, text: str, x: torch.Tensor) -> str:
    start = time.process_time()
    try:
        loaded = load(folder)
        outcome = "sound" if fitted or loaded.text() == text else "WRONG LOAD"
        graphs = [loaded] if isinstance(loaded, flexir.Graph) else list(loaded.values())
        for graph in graphs:
            try:  # whatever it says now, using it must end in a result or an exception
                graph(x)
            except Exception:  # noqa: BLE001
                if graph is graphs[0]:
                    outcome += ", does not replay"
    except flexir.FormatError:
        outcome = "refused"
    except Exception as error:  # noqa: BLE001  what is looked for
        outcome = f"CRASH {type(error).__name__}: {error}"[:150]
    return "HANG" if time.process_time() - start > 1 else outcome


SAVER = """
import sys, torch, flexir
from bench.fuzz_ir import Small
graph = flexir.capture(Small(), (torch.randn(2, 3, 6, 6),))
big = [torch.nn.Parameter(torch.randn(1 << 18)) for _ in range(16)]
graph = flexir.capture(lambda x: [x + b for b in big], (torch.zeros(1),))
print("ready", flush=True)
while True:
    graph.save(sys.argv[1])
"""


def kill(count: int) -> int:
    """Kill a process that saves over and over, at random moments; returns how often the file was
    not there afterwards."""
    lost = 0
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "net.flexir")
        flexir.capture(Small(), (torch.randn(2, 3, 6, 6),)).save(str(path))
        for number in range(count):
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", SAVER, str(path)], stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.random() * 0.3)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
            try:
                load(path, check=True)
            except flexir.FormatError as error:
                lost += 1
                print(f"lost: {error}", file=sys.stderr)
            print(f"killed {number + 1}/{count}", end="\r", file=sys.stderr)
    return lost


def main(arguments: list[str]) -> None:
    mutations = int(arguments[0]) if arguments else 20_000
    kills = int(arguments[1]) if len(arguments) > 1 else 200
    outcomes = fuzz(mutations, seed=0)
    print(f"{sum(outcomes.values())} mutated graphs: {dict(outcomes)}")
    print(f"killed while saving {kills} times: {kill(kills)} times the file was lost")


if __name__ == "__main__":
    main(sys.argv[1:])
