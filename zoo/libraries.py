"""Models of some thirty libraries that nobody here wrote, tiny and with random weights.

They need not be installed: ``python3 dev.py sweep libraries`` tries those that are. To have them
all, ``.venv/bin/pip install --no-deps -r zoo/libraries.txt``. A name reads ``library:model``.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn, rand, randn

from zoo.torchvision_ops import ensure

Made = tuple[Any, ...]  # (model, args) or (model, args, kwargs)


@dataclass(frozen=True)
class Case:
    """A model of a library; ``make`` gives it in eval mode, with inputs, the same every time."""

    name: str
    build: Callable[[], Made]

    def make(self) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model, args, *rest = self.build()
        if isinstance(model, nn.Module):
            model.eval()
        return model, args, rest[0] if rest else {}


def cases() -> Iterator[Case]:
    """All models of the libraries that are installed."""
    ensure()
    if importlib.util.find_spec("pytorchcv") is not None:
        _pytorchcv()
    for library, models in LIBRARIES.items():
        if importlib.util.find_spec(library.partition(".")[0]) is not None:
            for name, build in models.items():
                yield Case(f"{library}:{name}", build)


def case(name: str) -> Case:
    """The case of this name.

    Raises:
        LookupError: its library is not installed, or has no such model.
    """
    for one in cases():
        if one.name == name:
            return one
    raise LookupError(f"no case {name!r}: is its library installed? see zoo/libraries.txt")


LIBRARIES: dict[str, dict[str, Callable[[], Made]]] = {}


def add(library: str, name: str, build: Callable[[Any], Made]) -> None:
    """A model; ``build`` is given the imported library."""
    LIBRARIES.setdefault(library, {})[name] = lambda: build(importlib.import_module(library))


def add_all(library: str, args: Callable[[], tuple[Any, ...]], **models: dict[str, Any]) -> None:
    """Models by class name, called alike."""
    for cls, keywords in models.items():
        add(library, cls, lambda m, c=cls, k=keywords: (getattr(m, c)(**k), args()))


class Call(nn.Module):
    """A function as a model that owns the modules it uses."""

    def __init__(self, function: Callable[..., Any], *modules: nn.Module) -> None:
        super().__init__()
        self.function, self.modules_used = function, nn.ModuleList(modules)

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def image(size: int = 64) -> Callable[[], tuple[torch.Tensor, ...]]:
    return lambda: (randn(1, 3, size, size),)


def tokens(count: int, length: int = 32) -> torch.Tensor:
    return torch.randint(0, count, (1, length))


# -- vision transformers

VIT: dict[str, Any] = dict(
    image_size=64, patch_size=16, num_classes=10, dim=64, depth=2, heads=4, mlp_dim=64
)
for module, cls, more in (
    ("vit", "ViT", {}), ("simple_vit", "SimpleViT", {}), ("deepvit", "DeepViT", {}),
    ("cait", "CaiT", {"cls_depth": 1}), ("parallel_vit", "ViT", {"num_parallel_branches": 2}),
    ("learnable_memory_vit", "ViT", {}), ("vit_for_small_dataset", "ViT", {}),
    ("vit_with_patch_merger", "ViT", {"patch_merge_layer": 1, "patch_merge_num_tokens": 4}),
    ("vit_with_patch_dropout", "ViT", {}), ("simple_vit_with_register_tokens", "SimpleViT", {}),
    ("simple_vit_with_qk_norm", "SimpleViT", {}),
    ("simple_vit_with_patch_dropout", "SimpleViT", {}),
    ("simple_vit_with_fft", "SimpleViT", {"freq_patch_size": 16}),
    ("simple_vit_with_value_residual", "SimpleViT", {}), ("normalized_vit", "nViT", {}),
    ("simple_vit_with_hyper_connections", "SimpleViT", {"num_residual_streams": 2}),
    ("ats_vit", "ViT", {"max_tokens_per_depth": (8, 4)}), ("rvt", "RvT", {}), ("vit_5", "ViT", {}),
    ("vit_with_decorr", "ViT", {}), ("vit_with_keel_post_ln", "ViT", {}),
    ("jumbo_vit", "JumboViT", {"num_jumbo_cls": 1, "jumbo_cls_k": 2, "jumbo_ff_mult": 2}),
    ("simple_vit_orthog_residual_update", "SimpleViT", {}), ("simple_uvit", "SimpleUViT", {}),
    ("xcit", "XCiT", {"cls_depth": 1}),
):  # fmt: skip
    add_all(f"vit_pytorch.{module}", image(), **{cls: {**VIT, **more}})
add_all("vit_pytorch.nest", image(), NesT=dict(
    image_size=64, patch_size=4, dim=32, heads=2, num_hierarchies=3, block_repeats=(1, 1, 1),
    num_classes=10))  # fmt: skip
add_all("vit_pytorch.max_vit", image(), MaxViT=dict(
    num_classes=10, dim_conv_stem=16, dim=32, dim_head=16, depth=(1, 1),
    window_size=4))  # fmt: skip
add_all("vit_pytorch.crossformer", image(224), CrossFormer=dict(
    num_classes=10, dim=(32, 64, 128, 128), depth=(1, 1, 1, 1), global_window_size=(8, 4, 2, 1),
    local_window_size=7))  # fmt: skip
add_all("vit_pytorch.scalable_vit", image(), ScalableViT=dict(
    num_classes=10, dim=16, heads=(2, 4, 4, 4), depth=(1,) * 4, ssa_dim_key=(8,) * 4,
    reduction_factor=(8, 4, 2, 1), window_size=(16, 8, None, None)))  # fmt: skip
add_all("vit_pytorch.levit", image(224), LeViT=dict(
    image_size=224, num_classes=10, stages=3, dim=(32, 48, 64), depth=1, heads=(2, 3, 4),
    mlp_mult=2))  # fmt: skip
add_all("vit_pytorch.t2t", image(224), T2TViT=dict(
    image_size=224, depth=2, heads=2, mlp_dim=64, dim=64, num_classes=10,
    t2t_layers=((7, 4), (3, 2), (3, 2))))  # fmt: skip
add(
    "vit_pytorch.na_vit",
    "NaViT",
    lambda m: (m.NaViT(**VIT), ([[randn(3, 64, 64), randn(3, 32, 32)], [randn(3, 32, 64)]],)),
)
add(
    "vit_pytorch.na_vit_nested_tensor",
    "NaViT",
    lambda m: (m.NaViT(**VIT), ([randn(3, 64, 64), randn(3, 32, 32), randn(3, 32, 64)],)),
)
for module in ("vit_nd", "vit_nd_rotary", "vit_nd_pope"):  # flex attention
    add_all(f"vit_pytorch.{module}", lambda: (randn(1, 3, 4, 32, 32),), ViTND=dict(
        ndim=3, input_shape=(4, 32, 32), patch_size=(2, 8, 8), num_classes=10, dim=64, depth=1,
        heads=2, mlp_dim=64))  # fmt: skip
add("vit_pytorch.dino", "Dino", lambda m: (m.Dino(  # draws from Python's random
    importlib.import_module("vit_pytorch").ViT(**VIT), image_size=64, hidden_layer="to_latent",
    projection_hidden_size=32, projection_layers=2, num_classes_K=64), image()()))  # fmt: skip
for kind in ("RN50", "ViT-B-32", "convnext_base", "EVA02-B-16"):
    add(
        "open_clip",
        kind,
        lambda m, k=kind: (
            m.create_model(k),
            (randn(1, 3, 224, 224), torch.randint(1, 400, (1, 77))),
        ),
    )

# -- language

for more in (
    {}, {"rotary_pos_emb": True}, {"alibi_pos_bias": True, "alibi_num_heads": 2},
    {"rel_pos_bias": True}, {"use_rmsnorm": True, "ff_glu": True, "ff_swish": True},
    {"macaron": True}, {"attn_num_mem_kv": 4}, {"residual_attn": True}, {"sandwich_norm": True},
    {"attn_qk_norm": True}, {"shift_tokens": 1}, {"attn_sparse_topk": 4},
    {"dynamic_pos_bias": True}, {"gate_residual": True}, {"attn_one_kv_head": True},
    {"attn_flash": True}, {"polar_pos_emb": True}, {"num_residual_streams": 2},
):  # fmt: skip
    add("x_transformers", "-".join(more) or "plain", lambda m, k=more: (m.TransformerWrapper(
        num_tokens=100, max_seq_len=64, attn_layers=m.Decoder(dim=64, depth=2, heads=4, **k)),
        (tokens(100),)))  # fmt: skip


def _generate(m: Any) -> Made:
    net = m.TransformerWrapper(
        num_tokens=100, max_seq_len=64, attn_layers=m.Decoder(dim=64, depth=2, heads=4)
    )
    model = m.AutoregressiveWrapper(net)
    return Call(lambda x: model.generate(x, 8, temperature=0.0), model), (tokens(100, 4),)


add("x_transformers", "generate", _generate)
add_all("reformer_pytorch", lambda: (tokens(50, 64),), ReformerLM=dict(
    num_tokens=50, dim=32, depth=2, max_seq_len=64, heads=2, bucket_size=8,
    causal=True))  # fmt: skip
add_all("performer_pytorch", lambda: (tokens(50),), PerformerLM=dict(
    num_tokens=50, max_seq_len=32, dim=32, depth=2, heads=2, dim_head=16, causal=True))  # fmt: skip
add_all("titans_pytorch", lambda: (randn(1, 32, 16),), NeuralMemory=dict(dim=16, chunk_size=8))
add(
    "litgpt",
    "GPT",
    lambda m: (
        m.GPT(m.Config(n_layer=2, n_head=2, n_embd=32, block_size=32, padded_vocab_size=64)),
        (tokens(64, 16),),
    ),
)
add(
    "mambapy.mamba",
    "Mamba",
    lambda m: (m.Mamba(m.MambaConfig(d_model=16, n_layers=2)), (randn(1, 8, 16),)),
)
add(
    "whisper.model",
    "Whisper",
    lambda m: (
        m.Whisper(m.ModelDimensions(80, 300, 64, 4, 2, 100, 32, 64, 4, 2)),
        (randn(1, 80, 600), tokens(100, 10)),
    ),
)


def _bert() -> nn.Module:
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        vocab_size=100))  # fmt: skip


for kind in ("LoraConfig", "LoHaConfig", "LoKrConfig", "OFTConfig", "BOFTConfig", "VeraConfig"):
    add("peft", kind, lambda m, k=kind: (
        m.get_peft_model(_bert(), getattr(m, k)(target_modules=["query", "value"])),
        (), {"input_ids": tokens(100, 8)}))  # fmt: skip

# -- images: segmentation, detection, generation

for kind in ("Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "PAN", "DeepLabV3Plus",
             "UPerNet", "Segformer"):  # fmt: skip
    add(
        "segmentation_models_pytorch",
        kind,
        lambda m, k=kind: (
            getattr(m, k)("resnet18", encoder_weights=None, classes=3),
            (randn(2, 3, 128, 128),),
        ),
    )
for kind in ("yolov3-tiny", "yolov5n", "yolov6n", "yolov8n", "yolov9t", "yolov10n", "yolo11n",
             "yolo12n", "yolo26n"):  # fmt: skip
    add(
        "ultralytics.nn.tasks",
        kind,
        lambda m, k=kind: (
            m.DetectionModel(f"{k}.yaml", verbose=False),
            (rand(1, 3, 256, 256),),
        ),
    )
_UNET: dict[str, Any] = dict(
    block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=8, attention_head_dim=8
)
add(
    "diffusers",
    "UNet2D",
    lambda m: (
        m.UNet2DModel(
            sample_size=32,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            **_UNET,
        ),
        (randn(1, 3, 32, 32), 10),
    ),
)
add("diffusers", "UNet2DCondition", lambda m: (m.UNet2DConditionModel(
    sample_size=32, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=32, **_UNET),
    (randn(1, 4, 32, 32), torch.tensor([5]), randn(1, 7, 32))))  # fmt: skip
add(
    "diffusers",
    "AutoencoderKL",
    lambda m: (
        m.AutoencoderKL(
            block_out_channels=(32, 64),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=8,
        ),
        (randn(1, 3, 32, 32),),
    ),
)
add("diffusers", "DiT", lambda m: (m.DiTTransformer2DModel(
    num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=8, num_layers=2,
    sample_size=16, num_embeds_ada_norm=10),
    (randn(1, 4, 16, 16), torch.tensor([3]), torch.tensor([1]))))  # fmt: skip
add("diffusers", "SD3", lambda m: (m.SD3Transformer2DModel(
    sample_size=16, patch_size=2, in_channels=4, num_layers=2, attention_head_dim=8,
    num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=32,
    pooled_projection_dim=64, out_channels=4, pos_embed_max_size=32),
    (randn(1, 4, 16, 16), randn(1, 7, 32), randn(1, 64), torch.tensor([5]))))  # fmt: skip
add("diffusers", "Flux", lambda m: (m.FluxTransformer2DModel(
    patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
    num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32,
    axes_dims_rope=[4, 4, 8]), (randn(1, 16, 4), randn(1, 7, 32), randn(1, 32),
    torch.tensor([0.5]), torch.zeros(16, 3), torch.zeros(7, 3))))  # fmt: skip
add(
    "denoising_diffusion_pytorch",
    "Unet",
    lambda m: (m.Unet(dim=16, dim_mults=(1, 2)), (randn(1, 3, 32, 32), torch.tensor([3]))),
)
add_all(
    "vector_quantize_pytorch",
    lambda: (randn(1, 20, 16),),
    VectorQuantize=dict(dim=16, codebook_size=32),
    LFQ=dict(codebook_size=16, dim=16),
    ResidualVQ=dict(dim=16, codebook_size=32, num_quantizers=3),
    RandomProjectionQuantizer=dict(dim=16, num_codebooks=2, codebook_dim=4, codebook_size=16),
)


def _pytorchcv() -> None:
    """Every thirtieth of its thousand models."""
    names = sorted(importlib.import_module("pytorchcv.model_provider")._models)
    for name in [n for n in names if "3d" not in n and "cocopose" not in n][::30]:

        def build(m: Any, name: str = name) -> Made:
            model = m.get_model(name, pretrained=False)
            size = getattr(model, "in_size", (224, 224))
            return model, (randn(1, getattr(model, "in_channels", 3), *size),)

        add("pytorchcv.model_provider", name, build)


# -- volumes, graphs, molecules, sound, time

add_all("monai.networks.nets", lambda: (randn(1, 1, 32, 32, 32),),
    UNet=dict(spatial_dims=3, in_channels=1, out_channels=2, channels=(8, 16, 32), strides=(2, 2)),
    VNet=dict(spatial_dims=3, in_channels=1, out_channels=2),
    SegResNet=dict(spatial_dims=3, init_filters=8, in_channels=1, out_channels=2),
    UNETR=dict(in_channels=1, out_channels=2, img_size=(32, 32, 32), feature_size=8,
               hidden_size=48, mlp_dim=64, num_heads=4))  # fmt: skip


def _edges() -> tuple[torch.Tensor, torch.Tensor]:
    return randn(20, 16), torch.randint(0, 20, (2, 60))


add_all("torch_geometric.nn", _edges, **{
    cls: dict(in_channels=16, out_channels=8)
    for cls in ("GCNConv", "SAGEConv", "GATConv", "GATv2Conv", "TransformerConv", "TAGConv",
                "SGConv", "GraphConv", "LEConv", "ClusterGCNConv", "GENConv", "FiLMConv",
                "SuperGATConv", "ARMAConv", "ResGatedGraphConv", "MFConv", "HypergraphConv")
}, GraphUNet=dict(in_channels=16, hidden_channels=8, out_channels=4, depth=2))  # fmt: skip
add(
    "e3nn.o3",
    "FullyConnectedTensorProduct",
    lambda m: (
        m.FullyConnectedTensorProduct("2x0e+3x1o", "2x0e+3x1o", "4x0e+2x1o"),
        (randn(5, 11), randn(5, 11)),
    ),
)
add(
    "e3nn.o3",
    "SphericalHarmonics",
    lambda m: (m.SphericalHarmonics([0, 1, 2, 3], True), (randn(5, 3),)),
)
add("egnn_pytorch", "EGNN", lambda m: (m.EGNN(dim=16), (randn(1, 8, 16), randn(1, 8, 3))))
add_all("neuralop.models", lambda: (randn(1, 1, 16, 16),), FNO=dict(
    n_modes=(8, 8), in_channels=1, out_channels=1, hidden_channels=8))  # fmt: skip
add(
    "demucs.demucs",
    "Demucs",
    lambda m: (m.Demucs(["a", "b"], channels=8, depth=3), (randn(1, 2, 8000),)),
)
add("ncps.torch", "CfC", lambda m: (m.CfC(8, 16), (randn(2, 5, 8),)))
add("snntorch", "Leaky", lambda m: (m.Leaky(beta=0.9), (randn(3, 4), randn(3, 4))))

# -- what changes the meaning of tensors, modules or calls

for kind in ("Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig"):

    def _quantized(m: Any, kind: str = kind) -> Made:
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)).eval()
        m.quantize_(model, getattr(m, kind)())
        return model, (randn(2, 64),)

    add("torchao.quantization", kind, _quantized)


def _kernel(m: Any) -> Made:
    kernel = m.kernels.MaternKernel(nu=2.5)
    return Call(lambda x: kernel(x).to_dense(), kernel), (randn(6, 2),)


def _ode(m: Any) -> Made:
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    steps = torch.linspace(0, 1, 4)
    return Call(lambda y: m.odeint(lambda t, y: net(y), y, steps), net), (randn(3, 2),)


add("gpytorch", "MaternKernel", _kernel)
add("torchdiffeq", "odeint", _ode)
add(
    "nflows.transforms",
    "MaskedAffineAutoregressive",
    lambda m: (m.MaskedAffineAutoregressiveTransform(4, 8), (randn(5, 4),)),
)
add("kornia", "Canny", lambda m: (m.filters.Canny(), (rand(1, 3, 32, 32),)))
add(
    "kornia",
    "LoFTR",
    lambda m: (
        m.feature.LoFTR(None),
        ({"image0": rand(1, 1, 64, 64), "image1": rand(1, 1, 64, 64)},),
    ),
)
add(
    "kornia",
    "find_homography_dlt",
    lambda m: (m.geometry.find_homography_dlt, (rand(1, 8, 2), rand(1, 8, 2))),
)
