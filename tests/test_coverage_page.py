"""The page of a sweep: what did as promised is counted, what did not is named."""

import json

import pytest

from zoo import coverage, sweep


def results():
    found = {f"resnet{n}": {"verdict": "exact", "calls": 3} for n in range(40)}
    found |= {f"family{chr(97 + n)}": {"verdict": "exact"} for n in range(20)}
    found["odd_one"] = {"verdict": "wrong", "note": "output: off by 3"}
    found["leak_one"] = {"verdict": "exact", "unaccounted": 2}
    found["gone_a"] = {"verdict": "does not run", "note": "KeyError: 'x'"}
    found["gone_b"] = {"verdict": "does not build", "note": "ImportError: no timm"}
    return found


def test_every_exception_is_named_and_nothing_else():
    text = coverage.page({"timm": results()})
    assert "- `odd_one`: wrong. output: off by 3" in text
    assert "- `leak_one`: exact. unaccounted: 2" in text
    assert "`resnet7`" not in text and "gone_a" not in text
    assert "Not run in eager here: 2 (KeyError 1, ImportError 1)." in text


def test_families_add_up_to_all_cases():
    rows = [line for line in coverage.families("timm", results()) if line[2] in "`0123456789"]
    tried = [int(row.split("|")[2]) for row in rows]
    assert sum(tried) == 64 and any("more" in row for row in rows)
    assert any(row.startswith("| `odd` | 1 | 0 | 0 | 0 | 1 | 0 |") for row in rows)
    assert any(row.startswith("| `resnet` | 40 | 40 |") for row in rows)


def test_a_suite_without_exceptions_is_one_line():
    found = {name: r for name, r in results().items() if name.startswith("resnet")}
    assert coverage.families("timm", found) == ["All 40 exact, in 1 families."]


def test_the_list_has_every_case(tmp_path, monkeypatch, capsys):
    lines = [json.dumps([name, result]) for name, result in results().items()]
    (tmp_path / "timm.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(sweep, "CACHE", tmp_path)
    monkeypatch.setattr("sys.argv", ["sweep", "timm", "--list"])
    sweep.main()
    out = capsys.readouterr().out
    assert all(name in out for name in results()) and "does not build   gone_b" in out


@pytest.mark.parametrize(
    ("suite", "name", "family"),
    [("opdb", "nn.functional.pad.constant", "nn.functional"), ("opdb", "add", "torch"),
     ("libraries", "monai.networks.nets:UNet", "monai"), ("transformers", "gpt2", "gpt")],
)  # fmt: skip
def test_families_are_libraries_namespaces_or_first_words(suite, name, family):
    assert coverage.family(suite, name) == family
