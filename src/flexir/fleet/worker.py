"""A process of its own for models that may crash, hang or eat memory.

``python -m flexir.fleet.worker`` reads requests, one JSON line each, captures the model a request
names and saves its graph without weights. :class:`Worker` is its owner: it waits no longer than
told and says why no answer came.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

FILES = ("graph.pb", "graph.txt", "manifest.json")
_START = 120  # seconds for a process to start
_BATCH = 25  # models before a process is replaced, so that its memory is given back


class Worker:
    """The owner of one process.

    Args:
        memory: bytes the process may allocate; 0 for no limit.
        threads: of torch in the process.
        path: entries for the process's import path.
    """

    def __init__(self, memory: int = 0, threads: int = 1, path: tuple[str, ...] = ()) -> None:
        self.memory, self.threads, self.path = memory, threads, path
        self.process: subprocess.Popen[bytes] | None = None
        self.done = 0

    def ask(
        self, spec: str, inputs: list[str], timeout: float, device: str | None = None
    ) -> dict[str, Any]:
        """Capture one model.

        Args:
            spec: a MODEL as the command takes it.
            inputs: INPUT words; none to have them guessed.
            timeout: seconds.
            device: where the model is built; None for where it wants to be.

        Returns:
            ``{"files": {name: bytes}, "seconds": s}``, or ``{"problem": why, ...}``.
        """
        process = self._ready()
        if process is None:
            return {"problem": f"no process could be started within {_START} s"}
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/net.flexir"
            request = {"spec": spec, "inputs": inputs, "device": device, "out": out}
            start = time.monotonic()
            answer = self._tell(process, json.dumps(request)) and self._hear(process, timeout)
            if not answer:
                return {"problem": self._reason(process, timeout, time.monotonic() - start)}
            self.done += 1
            if "problem" not in answer:
                saved = Path(folder, "net.flexir")
                answer["files"] = {name: (saved / name).read_bytes() for name in FILES}
            return answer

    def close(self) -> None:
        """End the process, however it is."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                if stream is not None:
                    stream.close()
        self.process, self.done = None, 0

    __del__ = close

    def _ready(self) -> subprocess.Popen[bytes] | None:
        """The process, started if there is none; starting is not on the model's time."""
        if self.done >= _BATCH:
            self.close()
        if self.process is None:
            settings = {"memory": self.memory, "threads": self.threads, "path": self.path}
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", __name__, json.dumps(settings)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if self._hear(self.process, _START) is None:
                self.close()
        return self.process

    def _tell(self, process: subprocess.Popen[bytes], request: str) -> bool:
        assert process.stdin is not None
        try:
            process.stdin.write(request.encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def _hear(self, process: subprocess.Popen[bytes], timeout: float) -> dict[str, Any] | None:
        """One line of answer, or None."""
        assert process.stdout is not None
        end, line = time.monotonic() + timeout, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(0, end - time.monotonic()))
            part = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
            if not part:
                return None
            line += part
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _reason(self, process: subprocess.Popen[bytes], timeout: float, waited: float) -> str:
        """Why there was no answer; the process is gone afterwards."""
        if waited < timeout:  # its output has ended, so it is dying
            process.wait()
        code = process.poll()
        self.close()
        if code is None:
            return f"no answer after {timeout:.0f} s"
        if code < 0:
            name = signal.Signals(-code).name
            hint = ", the system ran out of memory?" if name == "SIGKILL" else ""
            return f"its process was killed by {name}{hint}"
        return f"its process ended with exit code {code}"


# --- inside the process --------------------------------------------------------------------------


def _limit(memory: int) -> None:
    """Let an allocation beyond the limit fail here, before the whole machine has none left."""
    if not memory or sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    import torch

    from ..capture import capture
    from .specs import open_model, read_inputs

    start = time.perf_counter()
    try:
        with torch.no_grad():
            args, kwargs = read_inputs(request["inputs"])
            model, args, kwargs = open_model(request["spec"], args, kwargs, request["device"])
            graph = capture(model, args, kwargs)
    except Exception as error:  # noqa: BLE001  the answer is the failure
        kind = type(error).__name__
        short = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
        head = "out of memory: " if short else ""
        return {"problem": f"{head}{kind}: {error}".splitlines()[0][:300]}
    graph.save(request["out"], weights=None)
    return {"seconds": round(time.perf_counter() - start, 3)}


def _watch_parent(parent: int) -> None:
    """End with the process that asked, however it ended, even if a model hangs here."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main() -> None:
    """Answer requests until there are no more."""
    threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()
    settings = json.loads(sys.argv[1])
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a model prints is not an answer
    sys.path[:0] = settings["path"]
    import torch

    torch.set_num_threads(settings["threads"])
    _limit(settings["memory"])
    print("{}", file=out)
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), file=out)


if __name__ == "__main__":
    main()
