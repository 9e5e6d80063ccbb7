"""A Python module in a process of its own, asked in JSON, a line each way.

:class:`Process` is its owner: it waits no longer than told and says why no answer came.
:func:`serve` is what the module runs. A process may crash, hang or eat memory; it also ends with
its owner, even if that was killed.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

START = 120  # seconds for a process to start


class Gone(Exception):
    """No answer came; the message says why. The next question goes to a new process."""


class Process:
    """The owner of one process.

    Args:
        module: what is run, as ``python -m`` takes it.
        arguments: the module's own.
        batch: questions before the process is replaced, so that its memory is given back.
        most: bytes it may hold between two questions before it is replaced; with them the number
            of questions counts only where the system does not say what a process holds. Starting
            anew costs seconds: torch and the models' libraries are imported again.
        cwd: the folder it starts in.
    """

    def __init__(
        self, module: str, *arguments: str, batch: int = 25, most: int = 0, cwd: str | None = None
    ) -> None:
        self.command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
        self.batch, self.most, self.cwd = batch, most, cwd
        self.process: subprocess.Popen[bytes] | None = None
        self.done = self.held = 0

    def ask(self, question: Any, timeout: float) -> Any:
        """The answer to a question; both are what JSON can say.

        Args:
            question: handed to the function that :func:`serve` was given.
            timeout: seconds; starting a process is not on this time.

        Raises:
            Gone: it died or took too long.
        """
        process = self._ready()
        start = time.monotonic()
        answer = self._tell(process, question) and self._hear(process, timeout)
        if not answer:
            raise Gone(self._reason(process, timeout, time.monotonic() - start))
        self.done += 1
        self.held = answer["held"]
        return answer["answer"]

    def close(self) -> None:
        """End the process, however it is."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                if stream is not None:
                    stream.close()
        self.process, self.done, self.held = None, 0, 0

    __del__ = close

    def _ready(self) -> subprocess.Popen[bytes]:
        full = self.held > self.most if self.most and self.held else self.done >= self.batch
        if full:
            self.close()
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, cwd=self.cwd,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if self._hear(self.process, START) is None:
                self.close()
                raise Gone(f"no process could be started within {START} s")
        return self.process

    def _tell(self, process: subprocess.Popen[bytes], question: Any) -> bool:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
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


def serve(answer: Callable[[Any], Any], prepare: Callable[[], object] = lambda: None) -> None:
    """Answer questions until there are no more; what ``answer`` prints is not an answer.

    Args:
        answer: from a question to its answer.
        prepare: run first, on the time of starting.
    """
    threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    prepare()
    gc.freeze()  # the collector need not walk torch's modules again and again
    print("{}", file=out)
    for line in sys.stdin:
        made = answer(json.loads(line))
        gc.collect()
        gc.freeze()  # what is left: libraries that were imported
        print(json.dumps({"answer": made, "held": _held()}), file=out)


def _held() -> int:
    """Bytes of memory this process holds; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _watch_parent(parent: int) -> None:
    """End with the process that asked, even if a model hangs here."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
