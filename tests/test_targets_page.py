"""The page for authors of targets is run from its text."""

import re


def test_the_code_of_the_page_runs_as_written(root, capsys):
    text = (root / "docs/targets.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    namespace = {}
    for block in blocks:
        exec(compile(block, "docs/targets.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "2 calls" in printed or "ok" in printed, printed
    assert "2 of 3 calls in 1 regions on the engine" in printed, printed


def test_the_page_has_a_place_for_the_matrix(root):
    text = (root / "docs/targets.md").read_text()
    assert text.index("<!-- matrix") < text.index("<!-- end of matrix -->")
