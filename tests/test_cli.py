"""The command, run as a user runs it."""

import json

import pytest
import torch

from flexir.cli import main

MODEL = """
import torch, flexir
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
    def forward(self, x, scale=None):
        y = torch.erfinv(torch.relu(self.conv(x)).flatten(1) * 0.01)
        return y if scale is None else y * scale
net = Net()
def make():
    return Net()
ir = flexir.Target("mine")
@ir.op("conv2d")
def conv2d(ctx, input, weight, bias, stride, padding, dilation, groups):
    return "conv"
class Broken(torch.nn.Module):
    def forward(self, x):
        raise ValueError("no such luck")
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    torch.manual_seed(0)
    (tmp_path / "nets.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_show_and_ops(here, capsys):
    assert main(["show", "nets.py:net", "1x3x8x8"]) == 0
    out, err = capsys.readouterr()
    assert "%1: f32[1,4,6,6] = conv2d(%x, weight=%conv.weight" in out and "unaccounted: 0" in err
    assert main(["ops", "nets.py:make", "1x3x8x8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["conv2d"] == 1


def test_named_inputs_and_the_example_beside_the_factory(here, capsys):
    assert main(["show", "nets.py:net", "1x3x8x8", "scale=1x144"]) == 0
    assert "mul(%5, other=%scale" in capsys.readouterr().out
    assert main(["show", "nets.py:net"]) == 2
    assert "give the inputs of nets.py:net" in capsys.readouterr().err
    with (here / "nets.py").open("a") as file:
        file.write("def example_inputs():\n    return torch.zeros(1, 3, 8, 8)\n")
    assert main(["show", "nets.py:net"]) == 0


def test_convert_with_a_target_and_strict(here, capsys):
    command = ["convert", "nets.py:net", "1x3x8x8", "--target", "nets.py:ir", "-o", "out.flexir"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "erfinv ×1" in out and err.endswith("4 placeholders\n")
    assert main([*command, "--strict", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["handled"] == {"conv2d": 1}
    assert main(["show", "out.flexir"]) == 0
    assert main(["diff", "out.flexir", "out.flexir", "--strict"]) == 0
    assert "no difference" in capsys.readouterr().out


def test_verify_draw_save_and_stubs(here, capsys):
    assert main(["verify", "nets.py:net", "1x3x8x8"]) == 0
    assert "verdict: exact" in capsys.readouterr().err
    assert main(["draw", "nets.py:net", "1x3x8x8", "-o", "net.dot"]) == 0
    assert (here / "net.dot").exists()
    assert main(["save", "nets.py:net", "1x3x8x8"]) == 0 and (here / "Net.flexir").is_dir()
    capsys.readouterr()
    assert main(["stub", "conv2d"]) == 0
    assert "def conv2d(ctx, input, weight, bias" in capsys.readouterr().out
    assert main(["stub", "nets.py:net", "1x3x8x8", "--target", "nets.py:ir"]) == 0
    assert '@ir.op("relu")' in capsys.readouterr().out


def test_the_commands_of_the_readme_run(here, root, capsys):
    import shlex

    lines = [line for line in (root / "README.md").read_text().splitlines()
             if line.startswith("flexir ")]  # fmt: skip
    assert len(lines) >= 4
    for line in lines:
        assert main(shlex.split(line.split("#")[0])[1:]) == 0, line
    capsys.readouterr()


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["show", "nets.py:nobody", "1"], 2, "nets.py has no 'nobody'"),
        (["show", "absent.py:x", "1"], 2, "there is no file absent.py"),
        (["show", "nets.py:net", "1x3x"], 2, "is no input"),
        (["show", "nets.py:net", "1x3x8x8:float33"], 2, "no dtype"),
        (["show", "nets.py:Broken", "1"], 1, "no such luck"),
        (
            ["convert", "nets.py:net", "1x3x8x8", "--target", "nets.py:net"],
            2,
            "not a flexir.Target",
        ),
        (["diff", "here.flexir", "there.flexir"], 1, "no saved graph"),
    ],
)
def test_errors_are_one_line_and_a_code(here, capsys, command, code, says):
    assert main(command) == code
    assert says in capsys.readouterr().err


def test_a_page_with_numbers_and_a_second_graph(here, capsys):
    (here / "error.json").write_text(json.dumps({"3": 0.5, "conv": 0.25}))
    command = ["draw", "nets.py:net", "1x3x8x8", "-o", "net.html", "--overlay", "error.json"]
    assert main([*command, "--beside", "nets.py:make"]) == 0
    text = (here / "net.html").read_text()
    assert '"overlays":{"error":{"3":0.5,"conv":0.25}}' in text and text.count('"boxes"') == 2
    assert main(["draw", "nets.py:net", "1x3x8x8", "-o", "net.dot", "--overlay", "error.json"]) == 1
    assert "only pages" in capsys.readouterr().err


def test_a_factory_may_bring_its_inputs(here, capsys):
    with (here / "nets.py").open("a") as file:
        file.write("def both():\n    return Net(), (torch.zeros(1, 3, 8, 8),), {'scale': 2.0}\n")
    assert main(["show", "nets.py:both"]) == 0
    assert "mul(%5, other=2.0" in capsys.readouterr().out


def test_a_transformers_config_is_a_model(here, capsys):
    pytest.importorskip("transformers")
    from zoo.torchvision_ops import ensure

    ensure()
    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    config = {"model_type": "bert", "architectures": ["BertModel"], "vocab_size": 64, **sizes}
    (here / "config.json").write_text(json.dumps(config))
    assert main(["ops", "hf-config:config.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["embedding"] == 3
    config = {"model_type": "vit", "image_size": 16, "patch_size": 8, **sizes}
    (here / "config.json").write_text(json.dumps(config))
    assert main(["ops", "hf-config:config.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["conv2d"] == 1
    assert main(["ops", "hf-config:nowhere.json"]) == 2


def test_a_model_nobody_could_hold_is_captured_on_the_meta_device(here, capsys):
    pytest.importorskip("transformers")
    from zoo.torchvision_ops import ensure

    ensure()
    config = dict(model_type="llama", architectures=["LlamaForCausalLM"], hidden_size=16384,
                  intermediate_size=53248, num_hidden_layers=2, num_attention_heads=128,
                  num_key_value_heads=8, vocab_size=128256)  # fmt: skip
    (here / "config.json").write_text(json.dumps(config))
    command = ["save", "hf-config:config.json", "--device", "meta", "-o", "llama.flexir"]
    assert main(command) == 0
    assert main(["ops", "llama.flexir", "--json"]) == 0
    ops = json.loads(capsys.readouterr().out)
    assert ops["linear"] == 15 and ops["scaled_dot_product_attention"] == 2
    assert sum(path.stat().st_size for path in (here / "llama.flexir").iterdir()) < 1e6


BUILDER = """
import flexir
class MyNet:
    def __init__(self):
        self.layers = []
    def add(self, kind):
        self.layers.append(kind)
        return kind
bare = flexir.Target("bare")
@bare.op("conv2d")
def conv2d(ctx, input, weight, bias, stride, padding, dilation, groups):
    return ctx.out.add("conv")
ir = bare.extend("full", out=MyNet)
"""


def test_a_target_that_carries_its_builder_works_in_the_command(here, capsys):
    (here / "mine.py").write_text(BUILDER)
    command = ["convert", "nets.py:net", "1x3x8x8", "--target"]
    assert main([*command, "mine.py:ir"]) == 0
    assert capsys.readouterr().err.endswith("1 calls handled, 4 placeholders\n")
    assert main(["draw", "nets.py:net", "1x3x8x8", "-o", "a.dot", "--target", "mine.py:ir"]) == 0
    assert main(["stub", "nets.py:net", "1x3x8x8", "--target", "mine.py:ir"]) == 0
    capsys.readouterr()


def test_a_handler_that_misses_its_builder_is_told_how_to_bring_it(here, capsys):
    (here / "mine.py").write_text(BUILDER)
    assert main(["convert", "nets.py:net", "1x3x8x8", "--target", "mine.py:bare"]) == 1
    err = capsys.readouterr().err
    assert "HandlerError: AttributeError: 'list' object has no attribute 'add'" in err
    assert "in the handler of" in err and "Target('bare', out=YourBuilder)" in err
    assert "the model raised" not in err


def test_the_example_with_its_own_engine_is_a_target_of_the_command(here, root, capsys):
    pytest.importorskip("numpy")
    command = ["convert", "nets.py:net", "1x3x8x8", "--target"]
    assert main([*command, f"{root}/examples/howto_own_ir.py:ir"]) == 0
    out, err = capsys.readouterr()
    assert err.endswith("4 calls handled, 1 placeholders\n") and "erfinv ×1" in out


def test_a_placeholder_of_that_example_is_wired_to_what_reads_it(root):
    """Its hook returns a tuple of one; that was taken for a constant once."""
    pytest.importorskip("numpy")
    import flexir
    from flexir.fleet.specs import target_of

    ir = target_of(f"{root}/examples/howto_own_ir.py:ir")
    net = flexir.convert(lambda x: torch.relu(torch.erfinv(x)), torch.zeros(2), ir).output
    assert [(layer.kind, layer.inputs) for layer in net.layers] == [
        ("Unknown erfinv", []), ("Relu", [net.layers[0].output])
    ]  # fmt: skip


def test_what_a_long_capture_of_examples_does_is_shown(tmp_path, monkeypatch, capsys):
    """On stderr alone, and only if it takes long."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(MODEL)
    words = ["show", "net.py:net", "2x3x8x8", "--also", "3x3x8x8"]
    assert main(words) == 0
    assert "example 1" not in capsys.readouterr().err
    monkeypatch.setattr("flexir.fleet.progress._SOON", -1.0)
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "example 1 is shown to the graph of example 0" in err
    assert "example 1" not in out
