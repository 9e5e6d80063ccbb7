"""Every example runs as a user runs it; what they print and draw is looked at."""

import importlib.util
import re
import subprocess
import sys

import pytest

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("the examples use torchvision", allow_module_level=True)


def run(root, tmp_path, name, *arguments):
    done = subprocess.run(
        [sys.executable, str(root / "examples" / name), *arguments],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_resnet50_tells_the_story(root, tmp_path):
    out = run(root, tmp_path, "example_resnet50.py")
    lines = out.splitlines()
    assert lines[0] == "Converting resnet50 ..."
    assert lines[1] == "DEBUG    | Converting... Conv2d, C3 N64 K7x7 S2x2 P33 D1x1 G1"
    assert lines[2] == (
        "DEBUG    | Converting... BatchNorm2d, N 64 eps 1e-05 momentum 0.1 affine track_stats"
    )
    assert lines[3] == "DEBUG    | Converting... ReLU"
    assert lines[4] == "DEBUG    | Converting... MaxPool2d, K3x3 S2x2 P11 D1x1 ceil?N"
    for line in (
        "DEBUG    | Converting... AvgPool2d (from Adaptive 1x1), K7x7 S1x1 P00 D1x1 ceil?N "
        "countIncludePad",
        "DEBUG    | Converting... FullConnection, C2048 N1000",
        "INFO     | unrecognized func flatten",
        "INFO     | [WARNING] The following ops are not supported by target 'tutorial' currently:",
        "INFO     | Op: (func op) flatten. Input shapes: 1x2048x1x1, Output shape: 1x2048",
        "INFO     | [WARNING] These ops have been converted into placeholders and are shown in "
        "RED in resnet50.png",
        "resnet50 success, 1 placeholder",
        "resnet50 success, 0 placeholders",
        "verdict: exact; perturbed inputs: exact",
    ):
        assert line in lines
    assert (tmp_path / "resnet50.png").stat().st_size > 10_000


def test_torchvision_prints_a_table(root, tmp_path):
    out = run(root, tmp_path, "example_torchvision.py", "resnet18", "mobilenet_v3_small")
    assert "2 of 2 models without placeholders" in out
    assert out.count("exact") == 2


def test_own_ir_agrees_with_torch(root, tmp_path):
    out = run(root, tmp_path, "howto_own_ir.py")
    errors = [float(e) for e in re.findall(r"max abs error (\S+)", out)]
    assert len(errors) == 3 and max(errors) <= 1e-4


def test_control_flow_is_refused_on_another_path(root, tmp_path):
    out = run(root, tmp_path, "howto_control_flow.py")
    assert "same path: exact" in out
    assert "was False when recorded and is True" in out


def test_a_custom_layer_is_kept_both_ways(root, tmp_path):
    out = run(root, tmp_path, "howto_custom_layer.py")
    assert out.count("softargmax(clip(x, -1, 1), beta=10)") == 2


def test_a_language_model_answers_from_a_saved_program(root, tmp_path):
    pytest.importorskip("transformers")
    out = run(root, tmp_path, "howto_llm.py")
    assert "<Program LlamaForCausalLM: prefill, decode;" in out and "the model is on meta" in out
    assert "replayed, token for token the same: True" in out
    assert re.search(
        r"through numpy: \d+ steps; a cache is \(1, 2, 48, 16\)\n  the same: True", out
    )
    share = float(re.search(r"weights on disk: (\S+) of the model's", out)[1])
    assert share <= 1.01
    if importlib.util.find_spec("onnxruntime"):
        assert "through onnxruntime, the same: True" in out


def test_a_stream_goes_on_from_a_saved_graph(root, tmp_path):
    out = run(root, tmp_path, "howto_streaming.py")
    if importlib.util.find_spec("silero_vad") is None:
        assert out == "pip install --no-deps silero-vad packaging\n"
        pytest.skip("the package silero-vad is not installed")
    assert "_state: f32[2,1,128]" in out and "50 of 50 chunks equal, bit for bit" in out
    if importlib.util.find_spec("onnxruntime"):
        off = re.search(r"through onnxruntime, 50 chunks: at most (\S+) off", out)
        assert float(off[1]) < 1e-5
