"""The page on examples is run from its text, and prints what it says."""

import re


def test_the_code_of_the_page_runs_as_written(root, capsys, tmp_path):
    text = (root / "docs/by_example.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    namespace = {"__name__": "page"}
    for number, block in enumerate(blocks):  # a function's source is read again
        path = tmp_path / f"page_{number}.py"
        path.write_text(block)
        exec(compile(block, str(path), "exec"), namespace)
    printed = capsys.readouterr().out
    assert "trunc(maximum(s1, s2)*1.5)" in printed, printed
    assert "loop(" in printed and "if(" in printed
    assert "'batch'" in printed and "TABLE[x.shape[0]]" in printed
