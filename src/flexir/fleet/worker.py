"""A process of its own for models that may crash, hang or eat memory.

``python -m flexir.fleet.worker`` captures the model a question names and saves its graph without
weights. :class:`Worker` asks it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .process import Gone, Process, serve

FILES = ("graph.pb", "graph.txt", "manifest.json")
_PART = 4  # of its memory a process may still hold when it is asked for the next model
_LEAST = 1 << 30  # bytes it may hold in any case: torch and a library of models take half of that
_SHORT = "out of memory: "


class Worker:
    """The owner of one process.

    Args:
        memory: bytes the process may allocate; 0 for no limit.
        threads: of torch in the process.
        path: entries for the process's import path.
    """

    def __init__(self, memory: int = 0, threads: int = 1, path: tuple[str, ...] = ()) -> None:
        self.memory, self.threads, self.path = memory, threads, path
        settings = {"memory": memory, "threads": threads, "path": path}
        most = max(memory // _PART, _LEAST) if memory else 0
        self.process = Process(__name__, json.dumps(settings), most=most)

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
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/net.flexir"
            question = {"spec": spec, "inputs": inputs, "device": device, "out": out}
            try:
                answer: dict[str, Any] = self.process.ask(question, timeout)
                if answer.get("problem", "").startswith(_SHORT) and self.process.done > 1:
                    self.process.close()  # models before it may have left too little
                    answer = self.process.ask(question, timeout)
            except Gone as error:
                return {"problem": str(error)}
            if "problem" not in answer:
                saved = Path(folder, "net.flexir")
                answer["files"] = {name: (saved / name).read_bytes() for name in FILES}
            return answer


# --- inside the process --------------------------------------------------------------------------


def _limit(memory: int) -> None:
    """Let an allocation beyond the limit fail here, before the whole machine has none left."""
    if not memory or sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    import torch

    from ..recording.capture import capture
    from .specs import open_model, read_inputs, saved_graph

    start = time.perf_counter()
    try:
        with torch.no_grad():
            args, kwargs = read_inputs(request["inputs"])
            graph = saved_graph(request["spec"])
            if graph is None:
                model, args, kwargs = open_model(request["spec"], args, kwargs, request["device"])
                graph = capture(model, args, kwargs)
    except Exception as error:  # noqa: BLE001  the answer is the failure
        kind = type(error).__name__
        short = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
        head = _SHORT if short else ""
        return {"problem": f"{head}{kind}: {error}".splitlines()[0][:300]}
    graph.save(request["out"], weights=None)
    return {"seconds": round(time.perf_counter() - start, 3)}


def main() -> None:
    """Answer questions until there are no more."""
    settings = json.loads(sys.argv[1])

    def prepare() -> None:
        sys.path[:0] = settings["path"]
        import torch

        torch.set_num_threads(settings["threads"])
        _limit(settings["memory"])

    serve(_answer, prepare)


if __name__ == "__main__":
    main()
