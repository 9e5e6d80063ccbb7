"""A representative part of the sweep: a model of each kind from each library, exact."""

import warnings

import pytest
import torch

import flexir
from flexir import describe
from zoo import export_examples, opdb

pytestmark = pytest.mark.filterwarnings("ignore")


def exact(model, args, kwargs, verdicts=("exact",)):
    with torch.no_grad():
        graph = flexir.capture(model, args, kwargs)
        check = flexir.verify(graph, model, args, kwargs)
    assert check.verdict in verdicts, str(check)
    assert check.perturbed != "wrong", str(check)
    assert graph.audit.unaccounted == 0, graph.audit
    return graph


@pytest.mark.parametrize(
    "name",
    [
        "alexnet", "resnet18", "mobilenet_v3_small", "googlenet", "shufflenet_v2_x0_5", "swin_t",
        "vit_b_32", "maxvit_t", "lraspp_mobilenet_v3_large", "ssdlite320_mobilenet_v3_large",
        "fasterrcnn_mobilenet_v3_large_320_fpn", "r3d_18", "raft_small",
    ],
)  # fmt: skip
def test_torchvision(name):
    pytest.importorskip("PIL")
    from zoo.torchvision_models import entry

    graph = exact(*entry(name).make())
    report = flexir.convert(graph, target=describe).report
    assert report.placeholders == 0, str(report)


@pytest.mark.parametrize(
    "name",
    ["resnet10t", "convnext_atto", "vit_tiny_patch16_224", "efficientnet_lite0", "mixer_s32_224"],
)
def test_timm(name):
    pytest.importorskip("tqdm")
    from zoo.timm_models import entry

    exact(*entry(name).make())


@pytest.mark.parametrize(
    "name", ["bert", "gpt2", "t5", "llama", "vit", "clip", "wav2vec2", "mamba", "bart", "mixtral"]
)
def test_transformers(name):
    pytest.importorskip("tokenizers")
    from zoo.transformers_models import entry

    exact(*entry(name).make(), verdicts=("exact", "close"))


@pytest.mark.parametrize("name", export_examples.names())
def test_pytorchs_examples_for_export(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exact(*export_examples.make(name))


@pytest.mark.parametrize("part", range(4))
def test_pytorchs_operator_database(part):
    bad, good = [], 0
    with torch.no_grad():
        for op in opdb.database()[part::4]:
            dtypes = (torch.float32, torch.int64, torch.complex64)
            for case in opdb.cases(op, dtypes, limit=1):
                outcome = opdb.attempt(case)
                if outcome is None:
                    continue
                good += outcome.verdict == "exact"
                if outcome.verdict not in ("exact", "unrepeatable"):
                    bad.append(f"{outcome.name}: {outcome.verdict}: {outcome.note}")
    assert not bad
    assert good > 500


def test_models_of_other_libraries_are_tried_where_they_are_installed(monkeypatch):
    from zoo import libraries

    found = list(libraries.cases())
    assert len({case.name for case in found}) == len(found)
    monkeypatch.setitem(
        libraries.LIBRARIES,
        "torch.nn",
        {"Linear": lambda: (torch.nn.Linear(2, 2), (torch.ones(1, 2),))},
    )
    model, args, kwargs = libraries.case("torch.nn:Linear").make()
    assert not model.training and flexir.capture(model, args, kwargs)(*args).shape == (1, 2)
