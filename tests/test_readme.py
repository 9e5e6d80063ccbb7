"""The pages people read: both languages agree, the code runs, the output is the program's own."""

import re
import subprocess
import sys

import pytest
import torch

import flexir

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def test_both_readmes_have_the_same_code_and_headings(root):
    english = (root / "README.md").read_text()
    chinese = (root / "README_zh.md").read_text()
    assert BLOCK.findall(english) == BLOCK.findall(chinese)
    levels = [re.findall(r"^(#+) ", text, re.M) for text in (english, chinese)]
    assert levels[0] == levels[1]


def test_the_code_of_the_readme_runs(root, tmp_path, monkeypatch):
    pytest.importorskip("pygraphviz")
    monkeypatch.chdir(tmp_path)
    text = (root / "README.md").read_text()
    blocks = [code for kind, code in BLOCK.findall(text) if kind == "python"]

    class MyNet(list):
        def add(self, *layer):
            self.append(layer)
            return layer[0]

    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    space = {"model": model, "x": torch.ones(1, 3, 8, 8), "MyNet": MyNet, "print": lambda *a: None}
    for code in blocks:
        exec(code, space)
    assert space["result"].report.placeholders == 1
    assert space["result"].output[0][0] == "Conv"
    assert (tmp_path / "net.png").exists()


def test_the_output_shown_is_what_the_demo_prints(root, tmp_path):
    blocks = [
        text for kind, text in BLOCK.findall((root / "README.md").read_text()) if kind == "text"
    ]
    done = subprocess.run(
        [sys.executable, str(root / "examples/example_resnet50.py")],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    printed = done.stdout.splitlines()
    for line in blocks[0].splitlines():
        assert line in printed


def test_every_file_the_readme_names_exists(root):
    text = (root / "README.md").read_text()
    for name in re.findall(r"`(examples/\w+\.py)`", text) + re.findall(r"\]\(([\w./]+)\)", text):
        assert (root / name).exists(), name
    for name in re.findall(r"^\| (`.*?`) \|", text.split("## Code map")[1], re.M):
        for module in re.findall(r"`(\w+)`", name):
            assert list((root / "src/flexir").glob(f"{module}*")), module


def test_docstring_examples_run():
    import doctest
    import importlib
    import pkgutil

    failed = tried = 0
    for found in pkgutil.walk_packages(flexir.__path__, "flexir."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        result = doctest.testmod(module, globs=vars(flexir) | vars(module))
        failed, tried = failed + result.failed, tried + result.attempted
    assert tried >= 8 and not failed


def test_the_commands_of_the_readme_run(root, tmp_path):
    pytest.importorskip("google.protobuf")
    from test_cli import MODEL
    from test_tutorial import shell

    example = "def example_inputs():\n    return torch.zeros(1, 3, 8, 8)\n"
    (tmp_path / "nets.py").write_text(f"{MODEL}other = Net()\n{example}")
    text = (root / "README.md").read_text()
    lines = [line for kind, code in BLOCK.findall(text) if kind == "bash"
             for line in code.splitlines() if line.startswith("flexir ")]  # fmt: skip
    for line in lines:
        code, output = shell(line.partition("#")[0], tmp_path)
        assert code == 0, f"{line}\n{output}"
    assert len(lines) >= 9 and (tmp_path / "net.html").exists()
