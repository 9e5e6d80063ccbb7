"""What each verb of the command takes, as tables that argparse is built from.

A word of :data:`TAKES` names an entry of :data:`OPTIONS`; ``"show --top"`` there is what ``--top``
means for ``show`` alone.
"""

from __future__ import annotations

from typing import Any

from .. import targets

EXAMPLES = """examples, with the files of docs/tutorial.md:
  flexir ops nets.py:small                                    # what does it call?
  flexir show nets.py:small 2x3x32x32                         # the graph, on such inputs
  flexir convert nets.py:small --target dsp.py:ir             # what is missing?
  flexir draw nets.py:small --target dsp.py:ir -o net.html    # a page to look around in
  flexir plan nets.py:small nets.py:wide --target dsp.py:ir   # what to write first
"""

TAKES = {
    "convert": "model inputs --also --device --target --to --output --json --strict",
    "show": "model inputs --also --device --top",
    "verify": "model inputs --also --device --json",
    "draw": "model inputs --also --device --target --output --beside --overlay --golden",
    "save": "model inputs --also --device --output",
    "diff": "model other --json --strict",
    "ops": "model inputs --also --device --json",
    "stub": "model inputs --device --target --output",
    "plan": "models --device --target --output --json --strict --cache --jobs --timeout --memory "
    "--retry --top --diff --stubs",
    "completion": "shell",
}
# Arguments that are completed as names of files.
FILES = ("model", "models", "other", "inputs", "output", "cache", "diff", "stubs", "beside",
         "overlay", "golden")  # fmt: skip

OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "model": (("model",), {
        "metavar": "MODEL", "help": "module:attr, file.py:attr, a saved graph, torchvision:NAME, "
        "timm:NAME, hf-config:FILE",
    }),
    "models": (("models",), {"nargs": "+", "metavar": "MODEL|FILE.txt"}),
    "other": (("other",), {"metavar": "OTHER", "help": "another saved graph"}),
    "inputs": (("inputs",), {
        "nargs": "*", "metavar": "INPUT", "help": "[name=]1x3x224x224[:int64]",
    }),
    "shell": (("shell",), {"metavar": "SHELL", "help": "bash, zsh, fish, tcsh or powershell"}),
    "--also": (("--also",), {
        "action": "append", "metavar": "INPUTS", "default": [],
        "help": "another example, as INPUT words in quotes: sizes that differ are live",
    }),
    "--device": (("--device",), {"help": "where to build the model; meta takes no memory"}),
    "--target": (("--target",), {"metavar": "SPEC", "help": "module:attr of a flexir.Target"}),
    "--to": (("--to",), {
        "choices": targets.__all__, "help": "a target that comes with flexir; -o writes its file",
    }),
    "--output": (("-o", "--output"), {"metavar": "PATH", "help": "where to write"}),
    "--json": (("--json",), {"action": "store_true", "help": "print JSON"}),
    "--strict": (("--strict",), {"action": "store_true", "help": "exit with 3 if not clean"}),
    "show --top": (("--top",), {"action": "store_true", "help": "without the bodies of modules"}),
    # pages
    "--beside": (("--beside",), {"metavar": "MODEL", "help": "a second graph (.html)"}),
    "--overlay": (("--overlay",), {
        "action": "append", "metavar": "FILE.json",
        "help": "numbers by value name or module path (.html)",
    }),
    "--golden": (("--golden",), {"metavar": "DIR", "help": "values of graph.golden (.html)"}),
    # fleets
    "--cache": (("--cache",), {
        "default": ".flexir-cache", "metavar": "DIR", "help": "graphs of models already run",
    }),
    "--jobs": (("--jobs",), {"type": int, "metavar": "N", "help": "models at a time"}),
    "--timeout": (("--timeout",), {
        "type": float, "default": 300, "metavar": "SECONDS", "help": "for one model",
    }),
    "--memory": (("--memory",), {"type": float, "metavar": "GB", "help": "of one model"}),
    "--retry": (("--retry",), {"action": "store_true", "help": "try again what failed before"}),
    "--top": (("--top",), {"type": int, "default": 20, "metavar": "N", "help": "items to show"}),
    "--diff": (("--diff",), {"metavar": "OLD.json", "help": "only what is new since then"}),
    "--stubs": (("--stubs",), {"metavar": "DIR", "help": "write handlers to start from"}),
}  # fmt: skip
