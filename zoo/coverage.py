"""What sweeps found, as a page: a table of suites, one of families each, and every exception.

Names that did as promised are counted, not listed; ``dev.py sweep SUITE --list`` prints them. This
module runs nothing; it reads what :mod:`zoo.sweep` kept.
"""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

Result = dict[str, Any]
Results = Mapping[str, Result]

LARGEST = 12  # families shown beside those with an exception
ABSENT = ("does not build", "does not run")
_HEAD = """# Coverage

Written by `python3 dev.py sweep` on {machine}, torch {torch}. The denominator is what builds and \
runs in eager on this machine. *Exact*: replay is bit-equal to the model. *Close*: a fused fast \
path is off while watched, difference within 1e-5. *Refused*: replay says which line would go \
another way. *Perturbed*: the same on inputs of the same shapes and other elements. All names with \
their verdicts: `python3 dev.py sweep SUITE --list`.

| suite | tried | run in eager | exact | close | refused | other | unaccounted \
| perturbed exact or close / refused / wrong |
|---|---|---|---|---|---|---|---|---|"""


def page(everything: Mapping[str, Results]) -> str:
    """The page of all suites.

    Args:
        everything: suite -> case -> what its worker answered.
    """
    import torch

    lines = [_HEAD.format(machine=platform.machine(), torch=torch.__version__)]
    known = {suite: results for suite, results in everything.items() if results}
    lines += [total(suite, results) for suite, results in known.items()]
    for suite, results in known.items():
        lines += ["", f"## {suite}", "", *section(suite, results)]
    return "\n".join(lines) + "\n"


def total(suite: str, results: Results) -> str:
    """A suite's row of the first table."""
    verdicts = Counter(r["verdict"] for r in results.values())
    if suite == "opdb":
        samples: Counter[str] = Counter()
        for r in results.values():
            samples.update(r.get("samples") or {})
        runs = sum(samples.values())
        other = runs - samples["exact"] - samples["diverged"]
        return (
            f"| {suite} (samples of {len(results)} ops) | {runs} | {runs} | {samples['exact']} "
            f"({100 * samples['exact'] / max(runs, 1):.2f} %) | 0 | {samples['diverged']} "
            f"| {other} | {samples['flagged']} | - |"
        )
    run = len(results) - sum(verdicts[verdict] for verdict in ABSENT)
    other = run - verdicts["exact"] - verdicts["close"] - verdicts["diverged"]
    perturbed = Counter(r.get("perturbed", "") for r in results.values())
    unaccounted = sum(bool(r.get("unaccounted")) for r in results.values())
    good = perturbed["exact"] + perturbed["close"]
    return (
        f"| {suite} | {len(results)} | {run} | {verdicts['exact']} "
        f"({100 * verdicts['exact'] / max(run, 1):.1f} %) | {verdicts['close']} "
        f"| {verdicts['diverged']} | {other} | {unaccounted} "
        f"| {good} / {perturbed['diverged']} / {perturbed['wrong']} |"
    )


def section(suite: str, results: Results) -> list[str]:
    """A suite's families, exceptions, what did not run and what a target would lack."""
    lines = families(suite, results)
    if found := list(exceptions(results)):
        lines += ["", *found]
    if reasons := why_absent(results):
        lines += ["", f"Not run in eager here: {reasons}."]
    if missing := placeholders(results):
        lines += ["", missing]
    return lines


def family(suite: str, name: str) -> str:
    """What a case belongs to: its library, its namespace, or the first word of its name."""
    if suite in ("libraries", "saved"):
        return name.partition(":")[0].partition(".")[0]
    if suite == "opdb":
        space = re.match(r"nn\.functional|linalg|special|fft|masked|signal|sparse", name)
        return space.group() if space else "torch"
    word = re.match(r"[A-Za-z]+", name)
    return word.group().lower() if word else name


def families(suite: str, results: Results) -> list[str]:
    """A row for the largest families and for each with an exception; the others in one row.

    One line where there is nothing to tell families by: all exact.
    """
    if all(r["verdict"] == "exact" and not _is_exception(r) for r in results.values()):
        count = len({family(suite, name) for name in results})
        return [f"All {len(results)} exact, in {count} families."]
    members: dict[str, list[Result]] = {}
    for name, result in results.items():
        members.setdefault(family(suite, name), []).append(result)
    ranked = sorted(members, key=lambda f: (-len(members[f]), f))
    shown = [f for n, f in enumerate(ranked)
             if n < LARGEST or any(_is_exception(r) for r in members[f])]  # fmt: skip
    rest = [f for f in ranked if f not in shown]
    lines = ["| family | tried | exact | close | refused | other | not run |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    lines += [_counts(f"`{name}`", members[name]) for name in shown]
    if rest:
        lines.append(_counts(f"{len(rest)} more", [r for f in rest for r in members[f]]))
    return lines


def _counts(name: str, members: list[Result]) -> str:
    verdicts = Counter(r["verdict"] for r in members)
    kept = [verdicts["exact"], verdicts["close"], verdicts["diverged"]]
    absent = sum(verdicts[verdict] for verdict in ABSENT)
    other = len(members) - sum(kept) - absent
    return f"| {name} | " + " | ".join(str(n) for n in (len(members), *kept, other, absent)) + " |"


def _is_exception(r: Result) -> bool:
    if r["verdict"] in ABSENT:
        return False
    return r["verdict"] != "exact" or bool(r.get("unaccounted")) or r.get("perturbed") == "wrong"


def exceptions(results: Results) -> Iterable[str]:
    """What ran and is not exact, or has something unaccounted for, with what was found."""
    for name, r in results.items():
        if _is_exception(r):
            note = r.get("note") or ""
            note = "; ".join(note) if isinstance(note, list) else note
            if r.get("unaccounted"):
                note += f" unaccounted: {r['unaccounted']}"
            yield f"- `{name}`: {r['verdict']}. {' '.join(note.split())[:300]}".rstrip(" .")


def why_absent(results: Results) -> str:
    """How many did not run, by the kind of error they raised in eager."""
    absent = [r for r in results.values() if r["verdict"] in ABSENT]
    kinds: Counter[str] = Counter()
    for r in absent:
        note = r.get("note") or ""
        kind = re.match(r"\w+(?:Error|Exception|Required)\b", note if isinstance(note, str) else "")
        kinds[kind.group() if kind else r["verdict"]] += 1
    by_kind = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
    return f"{len(absent)} ({by_kind})" if absent else ""


def placeholders(results: Results) -> str:
    """What ``flexir.describe`` has no handler for."""
    converted = [r for r in results.values() if "calls" in r]
    missing: Counter[str] = Counter()
    for r in converted:
        missing.update((r.get("placeholders") or {}).keys())
    if not missing:
        return "Through `flexir.describe`: no placeholders." if converted else ""
    complete = sum(not r.get("placeholders") for r in converted)
    shown = ", ".join(f"{op} ({n})" for op, n in missing.most_common(15))
    return (f"Through `flexir.describe`: {complete} of {len(converted)} models without "
            f"placeholders; missing ops (models): {shown}.")  # fmt: skip


def listing(results: Results) -> str:
    """Every case with its verdict, a line each, exceptions last."""
    ranked = sorted(results.items(), key=lambda item: (_is_exception(item[1]), item[0]))
    return "\n".join(f"{r['verdict']:16} {name}" for name, r in ranked)
