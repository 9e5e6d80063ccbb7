"""A plan over many models: what cannot be run, what to write first, and stubs to start from."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import flexir
from flexir.cli import main
from flexir.fleet import Item, Plan, of_surveys, survey
from flexir.fleet.planning import rank
from flexir.fleet.process import Process

pytest.importorskip("google.protobuf")
pytest.importorskip("safetensors")

NETS = """
import os, time, torch, flexir
class Net(torch.nn.Module):
    def __init__(self, *functions):
        super().__init__()
        self.lin, self.functions = torch.nn.Linear(4, 4), functions
    def forward(self, x):
        x = self.lin(x)
        for function in self.functions:
            x = function(x)
        return x
x = torch.ones(2, 4)
def plain(): return Net(), (x,)
def one(): return Net(torch.erfinv, torch.erfinv), (x,)
def two(): return Net(torch.erfinv, torch.special.airy_ai), (x,)
def scaled(): return Net(lambda x: torch.add(x, x, alpha=3)), (x,)
def segfault(): os.kill(os.getpid(), 11)
def hang(): time.sleep(1000)
def eat():
    kept = []
    while True:
        kept.append(torch.ones(1 << 26))
def broken(): raise ValueError("no such weights")
kept = []
def keeps():
    kept.append(torch.empty(1 << 28))  # a gigabyte that nobody touches
    return Net(), (x,)
def needs():
    torch.empty(3 << 27)
    return Net(), (x,)
ir = flexir.Target("mine")
@ir.op("linear")
def linear(ctx, input, weight, bias): return "linear"
@ir.op("add")
def add(ctx, input, other): return "add"
"""
GOOD = ["plain", "one", "two", "scaled"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def target():
    from flexir.fleet.specs import target_of

    return target_of("nets.py:ir")


def test_a_crash_a_hang_and_a_glutton_are_listed_and_the_others_finish(here):
    names = [*GOOD, "segfault", "hang", "eat", "broken"]
    made = flexir.plan(
        [f"nets.py:{name}" for name in names], target(), timeout=30, memory=2 << 30, progress=False
    )
    assert list(made.models) == [f"nets.py:{name}" for name in GOOD]
    assert made.complete == ["nets.py:plain"]
    problems = {name.partition(":")[2]: why for name, why in made.problems.items()}
    assert problems.keys() == {"segfault", "hang", "eat", "broken"}
    assert "SIGSEGV" in problems["segfault"] and "no answer after 30 s" in problems["hang"]
    assert "out of memory" in problems["eat"] and "no such weights" in problems["broken"]


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is limited on Linux")
def test_what_a_model_leaves_behind_does_not_make_the_next_one_fail(here):
    (here / "others.py").write_text("from nets import keeps, needs")
    names = ["others:keeps", "others:needs"]
    one, other = survey(names, cache="kept", jobs=1, memory=5 << 29, progress=False)
    assert not one.problem and not other.problem


SERVED = """
import os, sys
from flexir.fleet.process import serve
kept = []
def answer(megabytes):
    kept.append(bytearray(os.urandom(1 << 20) * megabytes))
    return [os.getpid(), len(kept)]
serve(answer)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks /proc what a process holds")
def test_a_process_is_replaced_when_it_holds_too_much_and_not_before(tmp_path):
    (tmp_path / "served.py").write_text(SERVED)
    process = Process("served", batch=2, most=1 << 30, cwd=str(tmp_path))
    answers = [process.ask(megabytes, 60) for megabytes in (1, 1, 1, 1024, 1)]
    process.close()
    assert len({pid for pid, _ in answers[:4]}) == 1 and answers[4][0] != answers[0][0]
    assert [count for _, count in answers] == [1, 2, 3, 4, 1]
    process = Process("served", batch=2, cwd=str(tmp_path))
    assert [process.ask(1, 60)[1] for _ in range(3)] == [1, 2, 1]
    process.close()


def test_items_say_what_is_needed_and_what_it_unlocks(here):
    made = flexir.plan([f"nets.py:{n}" for n in GOOD], target(), cache="kept", progress=False)
    assert [(i.op, i.count, i.unlocks) for i in made.items] == [
        ("erfinv", 3, ["nets.py:one"]),
        ("add", 1, ["nets.py:scaled"]),
        ("special_airy_ai", 1, ["nets.py:two"]),
    ]
    first, second, _ = made.items
    assert first.forms == {"erfinv(f32[2,4]) -> f32[2,4]": 3} and first.dtypes == ["float32"]
    assert first.sources == ["nets.py:10"]
    assert second.reason == "handler ignores alpha=3" and second.configurations == {"alpha=3": 1}
    for text in (made.text(), made.markdown(), made.html()):
        assert "erfinv" in text and "1 of 4 models convert whole" in text
    assert Plan.read(made.json()) == made


def children(pid):
    """Process ids of the children of a process (Linux)."""
    return [int(n) for task in Path(f"/proc/{pid}/task").iterdir()
            for n in (task / "children").read_text().split()]  # fmt: skip


def runs(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")
def test_a_plan_that_was_killed_goes_on_where_it_was(here):
    words = [f"nets.py:{name}" for name in (*GOOD, "hang")]
    command = [sys.executable, "-W", "ignore", "-m", "flexir", "plan", *words, "--target",
               "nets.py:ir", "--cache", "kept", "--jobs", "1"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(list(Path("kept").glob("*/survey.json"))) < 2:
            time.sleep(0.1)
        workers = children(process.pid)
        process.send_signal(signal.SIGKILL)
    assert workers
    deadline = time.monotonic() + 10
    while any(map(runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(runs, workers)), "a worker outlives the plan that asked"
    kept = {path: path.stat().st_mtime_ns for path in Path("kept").glob("*/survey.json")}
    assert main([*command[5:], "--timeout", "5", "-o", "resumed.json"]) == 0
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    whole = flexir.plan(words, target(), cache="fresh", timeout=5, progress=False)
    assert Plan.read(Path("resumed.json").read_text()) == whole


def test_a_changed_file_is_captured_again(here):
    first = survey(["nets.py:plain"], cache="kept", progress=False)[0].graph()
    (here / "nets.py").write_text(NETS.replace("x = self.lin(x)", "x = self.lin(x) * 2"))
    second = survey(["nets.py:plain"], cache="kept", progress=False)[0].graph()
    assert [n.op for n in first] == ["linear"] and [n.op for n in second] == ["linear", "mul"]


def test_any_executor_gives_the_same_plan(here):
    words = [f"nets.py:{name}" for name in GOOD]
    expected = flexir.plan(words, target(), progress=False)
    with ThreadPoolExecutor(1) as pool:
        assert flexir.plan(words, target(), executor=pool, progress=False) == expected


def test_dask_gives_the_same_plan(here):
    distributed = pytest.importorskip("distributed")
    words = [f"nets.py:{name}" for name in GOOD]
    settings = dict(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        made = flexir.plan(words, target(), executor=client.get_executor(), progress=False)
    assert made == flexir.plan(words, target(), progress=False)


def test_ray_gives_the_same_plan(here):
    ray = pytest.importorskip("ray")  # large, so not among the pinned packages

    class RayExecutor(Executor):
        def submit(self, function, /, *args):
            return ray.remote(function).remote(*args).future()

    words = [f"nets.py:{name}" for name in GOOD]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        made = flexir.plan(words, target(), executor=RayExecutor(), progress=False)
    finally:
        ray.shutdown()
    assert made == flexir.plan(words, target(), progress=False)


def test_objects_and_graphs_are_planned_in_place():
    model, x = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softplus()), torch.ones(1, 4)
    graph = flexir.capture(model, (x,))
    bare = flexir.Target("bare")
    made = flexir.plan({"object": (model, (x,)), "graph": graph}, bare, progress=False)
    assert {i.op: i.models for i in made.items} == {
        op: {"object": 1, "graph": 1} for op in ("linear", "softplus")
    }


def test_handlers_that_refuse_when_run_count_if_they_are_run(here):
    strict = flexir.Target("strict")

    @strict.op("linear")
    def linear(ctx, input, weight, bias):
        assert ctx.weight(weight).tensor.shape == (4, 4)
        ctx.out.append("linear")
        raise flexir.Unsupported("only 16 columns")

    static = flexir.plan(["nets.py:plain"], strict, cache="kept", progress=False)
    assert not static.items
    run = flexir.plan(["nets.py:plain"], strict, out=list, cache="kept", progress=False)
    assert [(i.op, i.reason) for i in run.items] == [("linear", "handler refused: only 16 columns")]


def test_a_target_that_carries_its_builder_is_planned_by_running_its_handlers(here):
    """A grouped convolution is refused only when the handler runs."""

    def model(x):
        return torch.conv2d(x, torch.ones(4, 1, 1, 1), groups=4)

    def handlers(**options):
        ir = flexir.Target("dsp", **options)

        @ir.op("conv2d")
        def conv2d(ctx, input, weight, bias, stride, padding, dilation, groups):
            if groups > 1:
                raise flexir.Unsupported("groups")
            ctx.out.append("conv")

        ir.op("ones")(lambda ctx, **named: "ones")
        return ir

    models = {"net": (model, (torch.ones(1, 4, 2, 2),))}
    blind = flexir.plan(models, handlers(), progress=False)
    assert not blind.items and "handlers were not run" in blind.text() and not blind.ran
    seen = flexir.plan(models, handlers(out=list), progress=False)
    assert [(i.op, i.reason) for i in seen.items] == [("conv2d", "handler refused: groups")]
    assert "0 of 1 models convert whole" in seen.text() and "not run" not in seen.text()
    assert flexir.plan(models, handlers(), out=list, progress=False) == seen
    assert Plan.read(seen.json()) == seen


def test_a_handler_that_raises_in_a_plan_is_an_item_and_the_rest_is_planned(here):
    ir = flexir.Target("mine", out=list)

    @ir.op("linear")
    def linear(ctx, input, weight, bias):
        raise KeyError("nothing")

    made = flexir.plan([f"nets.py:{n}" for n in ("plain", "one")], ir, cache="kept", progress=False)
    assert [(i.op, i.reason) for i in made.items] == [
        ("linear", "handler raised KeyError: 'nothing'"), ("erfinv", "no handler")
    ]  # fmt: skip
    ir.input(lambda ctx, name, type: 1 / 0)
    made = flexir.plan(["nets.py:plain"], ir, cache="kept", progress=False)
    assert made.problems == {
        "nets.py:plain": "the handlers raised ZeroDivisionError: division by zero"
    }
    assert not made.complete and "1 could not be planned" in made.text()


def test_conditions_and_state_are_items_that_a_hook_unlocks(here):
    def model(x):
        return x * 2 if x.any() else x

    ir = flexir.Target("mine")
    ir.op("mul")(lambda ctx, input, other: "mul")
    made = flexir.plan({"net": (model, (torch.ones(2),))}, ir, progress=False)
    (item,) = made.items
    assert (item.op, item.reason, item.unlocks) == ("@ir.guard", "no handler", ["net"])
    assert item.forms == {"bool(any(x)) is True": 1} and item.sources[0].startswith(
        "test_fleet.py:"
    )
    assert made.complete == [] and "bool(any(x)) is True" in made.markdown()
    ir.guard(lambda ctx, condition, expected, node: None)
    ir.op("any")(lambda ctx, input: "any")
    assert flexir.plan({"net": (model, (torch.ones(2),))}, ir, progress=False).complete == ["net"]


def needs(**models):
    """Items of a made-up fleet: model -> the ops it needs."""
    items = {}
    for name, ops in models.items():
        for op in ops.split():
            items.setdefault(op, Item(op)).models[name] = 1
    return rank(list(items.values()))


def test_what_unlocks_most_comes_first_and_pairs_are_seen():
    order = needs(a="gelu", b="gelu", c="silu", d="roll pad", e="roll pad", f="roll pad")
    assert [item.op for item in order] == ["gelu", "pad", "roll", "silu"]
    assert [item.unlocks for item in order] == [["a", "b"], [], ["d", "e", "f"], ["c"]]


def test_the_order_does_not_depend_on_the_order_of_the_models():
    models = dict(a="x y", b="y z", c="z x", d="w", e="y")
    expected = [(i.op, i.unlocks) for i in needs(**models)]
    assert [(i.op, i.unlocks) for i in needs(**dict(reversed(models.items())))] == expected


def test_a_diff_for_ci(here, capsys):
    (here / "fleet.txt").write_text("# all of ours\nnets.py:plain\nnets.py:one\n")
    command = ["plan", "fleet.txt", "--target", "nets.py:ir", "--cache", "kept"]
    assert main([*command, "-o", "monday.json"]) == 0
    capsys.readouterr()
    assert main([*command, "--diff", "monday.json"]) == 0
    assert "nothing changed" in capsys.readouterr().out
    with (here / "fleet.txt").open("a") as file:
        file.write("nets.py:two\nnets.py:broken\n")
    assert main([*command, "--diff", "monday.json"]) == 3
    out, err = capsys.readouterr()
    assert "+ special_airy_ai: 1 calls in 1 models" in out and "+ nets.py:broken: ValueError" in out
    assert err.strip().endswith("2 things are new since monday.json")
    assert main([*command, "--strict", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["target"] == "mine"


def run_tests(folder):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider", "."],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def test_stubs_are_clean_and_their_tests_lack_only_the_code(here):
    words = [f"nets.py:{name}" for name in GOOD]
    surveys = survey(words, cache="kept", progress=False)
    made = of_surveys(surveys, target())
    assert flexir.fleet.stubs(made, surveys, target(), "stubs") == []
    ruff = [sys.executable, "-m", "ruff"]
    for folder, what in (("stubs", "."), (".", "stubs")):
        subprocess.run([*ruff, "check", "--isolated", "-q", what, "--select", "E,F,I,W"],
                       cwd=folder, check=True)  # fmt: skip
    subprocess.run([*ruff, "format", "--isolated", "--check", "-q", "stubs"], check=True)
    failed = [line for line in run_tests("stubs").splitlines() if line.startswith("FAILED")]
    assert len(failed) == 3 and all("NotImplemented" in line for line in failed), failed
    with pytest.raises(flexir.Error, match="there already"):
        flexir.fleet.stubs(made, surveys, target(), "stubs")


def test_arguments_only_some_calls_have_get_defaults():
    def model(x):
        return torch.nn.functional.pad(x, (1, 1)) + torch.nn.functional.pad(x, (1, 1), value=2.0)

    nodes = [n for n in flexir.capture(model, (torch.ones(2, 2),)) if n.op == "pad"]
    assert "def pad(ctx, input, pad, mode" in flexir.stub(nodes)
    some = [n for n in flexir.capture(lambda x: x.sum() + x.sum(1), (torch.ones(2, 2),))]
    text = flexir.stub([n for n in some if n.op == "sum"])
    assert "def sum(ctx, input, dtype, dim=None, keepdim=None):" in text
    assert "# sum(f32[2,2]) -> f32[2]  with dim=1" in text


def test_a_filled_in_stub_passes_on_samples_of_a_real_run(here):
    command = ["stub", "nets.py:one", "--target", "nets.py:ir", "-o", "stubs"]
    assert main(command) == 0
    path = here / "stubs" / "handlers.py"
    text = path.read_text().replace('raise NotImplementedError("erfinv")', "return 'erfinv'")
    text = text.replace('raise NotImplementedError("run your engine on result.output")',
                        "import torch\n\n    return [torch.erfinv(inputs[0])]")  # fmt: skip
    path.write_text(text)
    assert "passed" in run_tests("stubs") and "failed" not in run_tests("stubs")


@pytest.mark.parametrize("library", ["tqdm", None])
def test_progress_is_on_stderr_and_nothing_is_lost(capsys, monkeypatch, library):
    from flexir.fleet.progress import bar

    if library is None:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    else:
        pytest.importorskip(library)
    assert list(bar(iter("abc"), 3, lambda name: f"model {name}")) == ["a", "b", "c"]
    shown = capsys.readouterr()
    assert "3" in shown.err and "model" in shown.err and not shown.out


def test_completion_knows_every_verb_and_option(capsys):
    for shell in ("bash", "zsh", "fish", "tcsh"):
        assert main(["completion", shell]) == 0
        out = capsys.readouterr().out
        assert "plan" in out and "retry" in out
    assert main(["completion", "cmd.exe"]) == 2


def test_completion_without_shtab_says_what_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "pip install flextorchir[cli]" in capsys.readouterr().err
    assert main(["ops", "torch.nn:ReLU", "2"]) == 0  # the rest of the command needs torch alone


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="no bash")
def test_bash_completes(tmp_path, capsys):
    main(["completion", "bash"])
    ask = '_shtab_flexir; echo "${COMPREPLY[@]}"\n'
    script = capsys.readouterr().out + (
        f"COMP_WORDS=(flexir pl); COMP_CWORD=1; {ask}"
        f"COMP_WORDS=(flexir plan --ca); COMP_CWORD=2; {ask}"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["plan", "--cache"], done


def test_models_of_a_plan_share_how_calls_come_apart(monkeypatch):
    from flexir.passes import decomposer

    tried = []

    def ways(node, known=decomposer._ways):
        tried.append(node.op)
        yield from known(node)

    monkeypatch.setattr(decomposer, "_ways", ways)
    graph = flexir.capture(lambda x: torch.nn.functional.silu(x).norm(), (torch.rand(4),))
    nothing = flexir.Target("nothing")
    one = flexir.plan({"a": graph}, nothing, progress=False)
    alone = len(tried)
    two = flexir.plan({"a": graph, "b": graph}, nothing, progress=False)
    assert alone and len(tried) == 2 * alone
    assert [item.pieces for item in two.items] == [item.pieces for item in one.items]
