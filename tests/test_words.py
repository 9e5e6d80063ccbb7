"""One word, one thing: names that mean one thing, and docstrings that refer to what exists."""

import ast
import pkgutil
import re
import sys
from collections import defaultdict

from flexir.passes.recipes import RECIPES

# The verbs of the command are named after the functions they call; a program has a ``main``; an
# engine's target speaks its engine's language, and no target sees another.
APART = ("cli/", "targets/", "passes/recipes/", "conversion/layers/")
# The functions of these modules are ops of graphs, whose names are torch's and Python's.
OPS = ("graph/numbers.py", "graph/lists.py", "graph/geometry.py")
REFERENCE = re.compile(r":(?:mod|class|func|meth|attr|data):`~?([\w.]+)`")


def modules(root):
    package = root / "src" / "flexir"
    for path in sorted(package.rglob("*.py")):
        yield path.relative_to(package).as_posix(), path.read_text()


def test_a_class_and_a_function_of_a_module_mean_one_thing_by_their_name(root):
    found = defaultdict(set)
    for name, text in modules(root):
        if name.startswith(APART) or name in OPS:
            continue
        for node in ast.parse(text).body:
            is_class = isinstance(node, ast.ClassDef)
            if is_class or isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                found[node.name.strip("_")].add(name)
    found.pop("main")
    assert {word: files for word, files in found.items() if len(files) > 1} == {}


def names_of(text):
    """What a module defines, imports and sets, also in its classes and on objects."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((one.asname or one.name).partition(".")[0] for one in node.names)


def test_docstrings_refer_to_what_exists(root):
    texts = dict(modules(root))
    names = {file: set(names_of(text)) for file, text in texts.items()}
    names["__init__.py"] |= set(re.findall(r"\w+", texts["__init__.py"]))

    def exists(word, file):
        folder = file.split("/")[:-1]
        if word.partition(".")[0] in {"torch", *sys.stdlib_module_names}:
            return True
        if not word.startswith((".", "flexir.")):
            first, *rest = word.split(".")
            return first in names[file] and all(any(w in n for n in names.values()) for w in rest)
        steps = [] if word.startswith("flexir.") else folder[: len(folder) - word.count("..")]
        parts = word.lstrip(".").removeprefix("flexir.").split(".")
        while parts and any(f.startswith("/".join([*steps, parts[0]]) + "/") for f in names):
            steps.append(parts.pop(0))
        module = "/".join([*steps, *parts[:1]]) + ".py"
        if module in names:
            return all(part in names[module] for part in parts[1:])
        return all(part in names["/".join([*steps, "__init__.py"])] for part in parts)

    missing = [(file, word) for file, text in texts.items() for word in REFERENCE.findall(text)
               if not exists(word, file)]  # fmt: skip
    assert missing == []


def test_a_recipe_begins_with_the_page_that_has_its_formula():
    for op, recipes in RECIPES.items():
        for recipe in recipes:
            page = re.match(r"[\w.:]+\w", recipe.__doc__ or "")
            assert page, f"a recipe of {op} does not say where its formula is from"
            if page[0].startswith("aten::"):
                assert recipe in RECIPES[page[0][6:]], page[0]
            elif not page[0].startswith("torchvision."):
                assert pkgutil.resolve_name(page[0]), page[0]
