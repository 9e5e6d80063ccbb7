"""The command: ``flexir VERB MODEL [inputs]``, each verb a few lines over the public API.

MODEL is ``module.path:attr`` or ``file.py:attr`` (a module, or a function that makes one), a saved
graph, or ``torchvision:NAME`` / ``timm:NAME``. Inputs are ``[name=]1x3x224x224[:int64]`` or
``[name=]@file.safetensors`` (all tensors of a file by name); without any, ``example_inputs`` beside
the factory is asked, or the model's own metadata. The result goes to stdout, progress and the
verdict to stderr; exit codes: 0 done, 1 the user's error, 2 usage, 3 ``--strict`` not met.
"""

from __future__ import annotations

import argparse
import json
import sys

import torch

from .. import __version__
from ..convert import convert
from ..errors import Error, UnsupportedError
from ..forms import callables, parameter_names
from ..report import stub
from ..verify import verify
from .models import Usage, graph_of, target_of


def show(options: argparse.Namespace) -> int:
    """Print the graph."""
    graph, *_ = graph_of(options)
    print(graph.text(bodies=not options.top))
    return done(f"{sum(1 for _ in graph)} calls, {graph.audit}")


def convert_(options: argparse.Namespace) -> int:
    """Run a target's handlers and report what is missing."""
    graph, *_ = graph_of(options)
    result = convert(graph, target=target_of(options.target), out=[])
    print(result.report.json() if options.json else result.report.text())
    if options.output:
        result.save(options.output)
    done(result.report.verdict())
    return 3 if options.strict and result.report.placeholders else 0


def verify_(options: argparse.Namespace) -> int:
    """Compare the graph with the model."""
    graph, model, args, kwargs = graph_of(options)
    if model is None:
        raise Usage("verify needs the model, not only a saved graph")
    with torch.no_grad():
        check = verify(graph, model, args, kwargs)
    print(check)
    done(f"verdict: {check.verdict}")
    return 0 if check.verdict in ("exact", "close") else 3


def draw(options: argparse.Namespace) -> int:
    """Draw the graph: .dot, .svg or .png; with a target, placeholders red."""
    graph, *_ = graph_of(options)
    path = options.output or f"{graph.name}.png"
    result = convert(graph, target=target_of(options.target), out=[])
    return done(f"wrote {result.draw(path)}")


def save(options: argparse.Namespace) -> int:
    """Save the graph as a directory."""
    graph, *_ = graph_of(options)
    path = options.output or f"{graph.name}.flexir"
    graph.save(path)
    return done(f"wrote {path}")


def diff_(options: argparse.Namespace) -> int:
    """Compare two saved graphs."""
    from ..ir import diff

    found = diff(options.model, options.other)
    print(found)
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
    """Print a handler to start from, for an op or for all a model's missing ones."""
    if options.model in callables():
        names = ", ".join(parameter_names(options.model))
        print(f'@ir.op("{options.model}")\ndef {options.model}(ctx, {names}): ...')
        return 0
    graph, *_ = graph_of(options)
    entries = convert(graph, target=target_of(options.target), out=[]).report.ranked
    print("\n\n\n".join(stub(entry.nodes[0]) for entry in entries))
    return done(f"{len(entries)} stubs")


def done(verdict: str) -> int:
    """The last line."""
    print(verdict, file=sys.stderr)
    return 0


VERBS = {
    "convert": convert_, "show": show, "verify": verify_, "draw": draw, "save": save,
    "diff": diff_, "ops": ops, "stub": stub_,
}  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser("flexir", description="Convert PyTorch models into your own IR.")
    top.add_argument("--version", action="version", version=f"flexir {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, function in VERBS.items():
        text = (function.__doc__ or "").splitlines()[0]
        verb = verbs.add_parser(name, help=text, description=text)
        verb.add_argument("model", metavar="MODEL", help="module:attr, file.py:attr, saved graph")
        if name == "diff":
            verb.add_argument("other", metavar="OTHER", help="another saved graph")
        else:
            verb.add_argument(
                "inputs", nargs="*", metavar="INPUT", help="[name=]1x3x224x224[:int64]"
            )
        if name in ("convert", "draw", "stub"):
            verb.add_argument("--target", metavar="SPEC", help="module:attr of a flexir.Target")
        if name in ("convert", "draw", "save"):
            verb.add_argument("-o", "--output", metavar="PATH")
        if name in ("convert", "ops"):
            verb.add_argument("--json", action="store_true", help="print JSON")
        if name in ("convert", "diff"):
            verb.add_argument("--strict", action="store_true", help="exit with 3 if not clean")
        if name == "show":
            verb.add_argument("--top", action="store_true", help="without the bodies of modules")
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
