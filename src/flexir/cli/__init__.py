"""The command: ``flexir VERB MODEL [inputs]``, each verb a few lines over the rooms.

MODEL is ``module.path:attr`` or ``file.py:attr`` (a module, or a function that makes one, or makes
``(model, args[, kwargs])``), a saved graph (``net.flexir:decode`` of a Program), ``timm:NAME``,
``torchvision:NAME`` or ``hf-config:FILE``. Inputs are ``[name=]1x3x224x224[:int64]`` or
``[name=]@file.safetensors`` (all tensors of a file by name); without any, ``example_inputs`` beside
the factory is asked, or the model's own metadata. The result goes to stdout, progress and the
verdict to stderr; exit codes: 0 done, 1 the user's error, 2 usage, 3 ``--strict`` not met, or
``plan --diff`` found something new.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from itertools import tee
from pathlib import Path
from typing import Any

import torch

from .. import __version__, targets
from ..calls.schemas import callables
from ..checks.verify import Verification, verify
from ..conversion.convert import Result, convert
from ..conversion.stubs import stub
from ..errors import Error, HandlerError, UnsupportedError
from ..fleet import Plan, arriving, of_surveys, stubs
from ..fleet.pages import verdict
from ..fleet.progress import steps
from ..fleet.specs import Usage, open_model, read_inputs, saved, saved_graph, target_of
from ..graph.graph import Graph
from ..graph.inputs import Inputs
from ..graph.program import Program
from ..recording.capture import capture
from .options import EXAMPLES, FILES, OPTIONS, TAKES


def graph_of(options: argparse.Namespace) -> tuple[Graph, Any, tuple[Any, ...], dict[str, Any]]:
    """The graph, the model (None for a saved graph) and its inputs."""
    args, kwargs = read_inputs(options.inputs)
    graph = saved_graph(options.model)
    if graph is not None:
        if not args and not kwargs:
            types = [value.type for value in graph.input_values]
            words = [f"{t.sizes}:{str(t.dtype).removeprefix('torch.')}" for t in types]
            args, _ = read_inputs(words)
        return graph, None, args, kwargs
    model, args, kwargs = open_model(options.model, args, kwargs, options.device)
    also = [Inputs(*read[0], **read[1]) for read in
            (read_inputs(words.split()) for words in getattr(options, "also", ()))]  # fmt: skip
    with torch.no_grad(), steps("flexir.examples"):
        return capture(model, args, kwargs, also=also), model, args, kwargs


def converted(graph: Graph, options: argparse.Namespace) -> Result:
    """What the ``--target`` makes of a graph, with its own builder, else with a list.

    Raises:
        HandlerError: a handler raised; the message has what, where, and what may be missing.
    """
    target = target_of(options.target)
    try:
        return convert(graph, target=target, out=None if target.builder else [])
    except Error:
        raise
    except Exception as error:
        lines = [f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]
        if target.builder is None:
            lines.append(
                "the command gave the handlers a list as ctx.out; if they want a builder, let the "
                f"target carry it: flexir.Target({target.name!r}, out=YourBuilder)"
            )
        raise HandlerError("\n  ".join(lines)) from error


def show(options: argparse.Namespace) -> int:
    """Print the graph."""
    program = saved(options.model)
    if isinstance(program, Program):
        print(program.text(bodies=not options.top))
        return done(f"{len(program)} entry points")
    graph, *_ = graph_of(options)
    print(graph.text(bodies=not options.top))
    return done(f"{sum(1 for _ in graph)} calls, {graph.audit}")


def convert_(options: argparse.Namespace) -> int:
    """Run a target's handlers and report what is missing; --to NAME -o FILE writes a file."""
    if options.to and options.target:
        raise Usage(
            "give --target for a target of your own, or --to for one that comes with flexir"
        )
    graph, *_ = graph_of(options)
    engine: Any = getattr(targets, options.to) if options.to else None
    result = converted(graph, options) if engine is None else engine.convert(graph)
    print(result.report.json() if options.json else result.report.text())
    if options.output and engine is None:
        result.save(options.output)
    elif options.output:
        engine.save(result.output, options.output)
    done(result.report.verdict())
    return 3 if options.strict and not result.report.complete else 0


def verify_(options: argparse.Namespace) -> int:
    """Compare the graph with the model."""
    graph, model, args, kwargs = graph_of(options)
    if model is None:
        raise Usage("verify needs the model, not only a saved graph")
    with torch.no_grad():
        answer = verify(graph, model, args, kwargs)
    print(json.dumps(_facts(answer), indent=1) if options.json else answer)
    done(f"verdict: {answer.verdict}")
    return 0 if answer.verdict in ("exact", "close") else 3


def _facts(answer: Verification) -> dict[str, Any]:
    names = ("verdict", "perturbed", "max_abs", "frozen", "notes")
    return {name: getattr(answer, name) for name in names}


def draw(options: argparse.Namespace) -> int:
    """Draw the graph: .html to look around in, .png, .svg or .dot; placeholders red."""
    graph, *_ = graph_of(options)
    path = options.output or f"{graph.name}.png"
    result = converted(graph, options)
    more: dict[str, Any] = {}
    if options.beside:
        other, *_ = graph_of(argparse.Namespace(**{**vars(options), "model": options.beside}))
        more["beside"] = converted(other, options)
    if options.overlay:
        more["overlays"] = {Path(f).stem: json.loads(Path(f).read_text()) for f in options.overlay}
    if options.golden:
        more["golden"] = options.golden
    return done(f"wrote {result.draw(path, **more)}")


def save(options: argparse.Namespace) -> int:
    """Save the graph as a directory."""
    graph, *_ = graph_of(options)
    path = options.output or f"{graph.name}.flexir"
    graph.save(path)
    return done(f"wrote {path}")


def diff_(options: argparse.Namespace) -> int:
    """Compare two saved graphs."""
    from ..files.ir import diff

    found = diff(*(saved(word) or word for word in (options.model, options.other)))
    print(json.dumps(dataclasses.asdict(found), indent=1) if options.json else found)
    return 3 if options.strict and found else 0


def ops(options: argparse.Namespace) -> int:
    """List the ops a model calls, most frequent first."""
    graph, *_ = graph_of(options)
    counts: dict[str, int] = {}
    for node in graph:
        counts[node.op] = counts.get(node.op, 0) + 1
    ranked = dict(sorted(counts.items(), key=lambda item: -item[1]))
    print(json.dumps(ranked, indent=1) if options.json else
          "\n".join(f"{count:6} {op}" for op, count in ranked.items()))  # fmt: skip
    return done(f"{len(ranked)} ops")


def stub_(options: argparse.Namespace) -> int:
    """Print handlers to start from: of an op, or of all a model lacks; -o adds tests."""
    if options.model in callables():
        print(stub(options.model))
        return 0
    graph, _, args, kwargs = graph_of(options)
    entries = converted(graph, options).report.ranked
    if not options.output:
        print("\n\n\n".join(stub(entry.nodes) for entry in entries))
        return done(f"{len(entries)} stubs")
    calls = [(graph, node) for entry in entries for node in entry.nodes]
    if calls:
        from ..files.ir.samples import write_samples

        write_samples(options.output, calls, args=args, kwargs=kwargs)
    return done(f"{len(entries)} stubs and their tests in {options.output}")


def plan_(options: argparse.Namespace) -> int:
    """Rank what to write first for many models; FILE lists one MODEL a line."""
    target = target_of(options.target)
    arrived, surveys = tee(arriving(
        _listed(options.models), cache=options.cache, jobs=options.jobs, timeout=options.timeout,
        memory=None if options.memory is None else int(options.memory * 1e9),
        device=options.device, retry=options.retry,
    ))  # fmt: skip
    made = of_surveys(arrived, target)
    if options.output:
        made.save(options.output)
    if options.stubs:
        known = sorted(surveys, key=lambda one: one.number)
        stubs(made, known, target, options.stubs, options.top)
    if options.diff:
        return _news(made, options.diff)
    print(made.json() if options.json else "\n".join(made.text(options.top).splitlines()[:-1]))
    done(verdict(made))
    return 3 if options.strict and (made.items or made.problems) else 0


def _listed(words: list[str]) -> list[str]:
    """MODELs, those of ``.txt`` files a line each; lines with ``#`` are comments."""
    models: list[str] = []
    for word in words:
        listed = Path(word).suffix == ".txt" and Path(word).exists()
        lines = Path(word).read_text().splitlines() if listed else [word]
        models += [line for line in lines if line.strip() and not line.startswith("#")]
    return models


def _news(made: Plan, before: str) -> int:
    """Print what is new since an older plan."""
    lines = made.diff(Plan.read(Path(before).read_text()))
    print("\n".join(lines) or "nothing changed")
    news = sum(line.startswith("+") for line in lines)
    done(f"{news} things are new since {before}")
    return 3 if news else 0


def completion(options: argparse.Namespace) -> int:
    """Print what makes a shell complete this command: eval "$(flexir completion bash)"."""
    try:
        import shtab
    except ImportError as error:
        raise Error("completion is made by shtab: pip install flextorchir[cli]") from error
    shells = shtab.SUPPORTED_SHELLS
    if options.shell not in shells:
        raise Usage(f"no completion for {options.shell!r}; there is one for {', '.join(shells)}")
    print(shtab.complete(parser(shtab.FILE), options.shell))
    return 0


def done(verdict: str) -> int:
    """The last line."""
    print(verdict, file=sys.stderr)
    return 0


VERBS = {
    "convert": convert_, "show": show, "verify": verify_, "draw": draw, "save": save,
    "diff": diff_, "ops": ops, "stub": stub_, "plan": plan_, "completion": completion,
}  # fmt: skip


def parser(files: Mapping[str, object] | None = None) -> argparse.ArgumentParser:
    """The command line.

    Args:
        files: what :mod:`shtab` reads off arguments that are names of files.
    """
    top = argparse.ArgumentParser(
        "flexir", description="Convert PyTorch models into your own IR.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"flexir {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, function in VERBS.items():
        text = (function.__doc__ or "").splitlines()[0]
        verb = verbs.add_parser(name, help=text, description=text)
        for word in TAKES[name].split():
            flags, settings = OPTIONS.get(f"{name} {word}") or OPTIONS[word]
            action: Any = verb.add_argument(*flags, **settings)
            if action.dest in FILES and files is not None:
                action.complete = files
    return top


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = parser().parse_args(argv)
    try:
        return VERBS[options.verb](options)
    except Usage as error:
        print(f"flexir: {error}", file=sys.stderr)
        return 2
    except (Error, ImportError, OSError) as error:
        if options.debug:
            raise
        print(f"flexir: {type(error).__name__}: {error}", file=sys.stderr)
        return 3 if isinstance(error, UnsupportedError) else 1
    except Exception as error:
        if options.debug:
            raise
        notes = "\n  ".join(getattr(error, "__notes__", ()))
        print(f"flexir: the model raised {type(error).__name__}: {error}\n  {notes}",
              file=sys.stderr)  # fmt: skip
        return 1
