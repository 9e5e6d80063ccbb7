"""The shape of the code: import order, no dependencies, small files, nothing left behind."""

import ast
import re
import subprocess
import sys
import textwrap

import pytest

# Rooms in the order of README's code map; the contract in pyproject.toml says what may import what.
ROOMS = "graph calls recording passes conversion checks files fleet targets cli".split()
CORE = ROOMS[:6]
STANDARD = set(sys.stdlib_module_names)


def imports(path):
    """(module, level) of every import statement of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, 0


def test_every_folder_is_a_room_that_says_what_it_owns(root):
    top = root / "src/flexir"
    assert {p.name for p in top.iterdir() if (p / "__init__.py").exists()} == set(ROOMS)
    assert len(list(top.glob("*.py"))) <= 5
    for room in ROOMS:
        assert ast.get_docstring(ast.parse((top / room / "__init__.py").read_text())), room


@pytest.mark.parametrize("room", CORE)
def test_the_core_imports_nothing_but_torch_and_the_standard_library(root, room):
    for path in (root / "src/flexir" / room).rglob("*.py"):
        for module, level in imports(path):
            if not level:
                assert module.split(".")[0] in STANDARD | {"torch"}, f"{path} imports {module}"


def test_the_code_map_lists_the_rooms_in_order(root):
    for name in ("README.md", "README_zh.md"):
        rows = re.findall(r"^\| `(\w+)/` \|", (root / name).read_text(), re.MULTILINE)
        assert rows == ROOMS


def test_files_are_small_and_say_what_they_own(root):
    for path in (root / "src").rglob("*.py"):
        text = path.read_text()
        assert ast.get_docstring(ast.parse(text)), f"{path.name} does not say what it is"
        lines = len(text.splitlines())
        assert lines <= 400, f"{path.name} has {lines} lines"


def test_functions_are_short(root):
    for path in (root / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            text = ast.get_docstring(node, clean=False)
            lines = node.end_lineno - node.lineno + 1
            lines -= text.count("\n") + 1 if text else 0
            assert lines <= 50, f"{path.name}: {node.name} has {lines} lines besides its docstring"


def test_the_type_checker_is_strict_without_relaxations(root):
    settings = (root / "pyproject.toml").read_text().partition("[tool.mypy]\n")[2]
    own, _, others = settings.partition("[[tool.mypy.overrides]]")
    assert own.split() == 'files = ["src"] python_version = "3.11" strict = true'.split()
    assert "ignore_missing_imports = true" in others.partition("\n[")[0]
    assert others.partition("\n\n[")[0].count("=") == 2  # which packages, and that


def test_the_public_surface_is_small():
    import flexir

    assert len(flexir.__all__) <= 20
    assert all(hasattr(flexir, name) for name in flexir.__all__)


def test_it_works_where_every_third_party_package_but_torch_is_blocked(root):
    script = textwrap.dedent("""
        import importlib.abc, sys

        ALLOWED = {"torch", "torchgen", "functorch", "flexir", "typing_extensions", "sympy",
                   "mpmath", "networkx", "jinja2", "markupsafe", "filelock", "fsspec"}

        class Block(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                top = name.split(".")[0]
                if top in sys.stdlib_module_names or top in ALLOWED or top.startswith("_"):
                    return None
                raise ModuleNotFoundError(f"{name} is blocked")

        sys.meta_path.insert(0, Block())
        sys.path.insert(0, "src")
        import warnings; warnings.simplefilter("ignore")
        import torch, flexir
        from flexir import describe
        assert "numpy" not in sys.modules

        model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Flatten())
        x = torch.ones(2, 4)
        graph = flexir.capture(model, (x,))
        assert torch.equal(graph(x), model(x))
        result = flexir.convert(graph, target=describe)
        assert not result.report.entries, result.report
        assert flexir.verify(graph, model, (x,)).verdict == "exact"
        result.draw(sys.argv[1])
        try:
            result.draw("net.png")
        except flexir.Error as error:
            assert "pip install flextorchir[draw]" in str(error)
        else:
            raise AssertionError("a PNG was drawn without Graphviz")
        print("works")
    """)
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", script, f"{folder}/net.dot"],
            cwd=root, capture_output=True, text=True,
        )  # fmt: skip
    assert done.stdout.strip().endswith("works"), done.stderr


def test_no_file_names_a_machine_or_pickles(root):
    for path in [*(root / "src").rglob("*.py"), *(root / "zoo").rglob("*.py")]:
        text = path.read_text()
        assert "import pickle" not in text
        assert "/home/" not in text and "/root/" not in text
