"""Streaming models against their graphs, call after call: ``python3 dev.py bench streaming``.

A transducer (recurrent encoder and predictor, a greedy search in the user's own code) and a
temporal convolution network with buffers, both of random weights, chunk by chunk; and silero-vad,
a scripted voice detector with trained weights that keeps a context and a recurrent state, whose
package carries the model: ``.venv/bin/python -m pip install --no-deps silero-vad==6.2.3``.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

import flexir

RATE, CHUNK, COUNT = 16_000, 512, 50


class CausalConv(nn.Module):
    """A dilated convolution that keeps the last frames of the chunk before."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, dilation=dilation)
        self.norm = nn.BatchNorm1d(channels)
        self.register_buffer("past", torch.zeros(1, channels, 2 * dilation))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = torch.cat([self.past, x], 2)
        self.past.copy_(wide[:, :, -self.past.shape[2] :])
        return x + torch.relu(self.norm(self.conv(wide)))


class TCN(nn.Module):
    """A stack of them over chunks of 8 frames."""

    def __init__(self) -> None:
        super().__init__()
        self.begin, self.end = nn.Conv1d(20, 32, 1), nn.Conv1d(32, 5, 1)
        self.layers = nn.Sequential(*[CausalConv(32, 2**i) for i in range(5)])

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.end(self.layers(self.begin(frames))).softmax(1)


class Transducer(nn.Module):
    """An encoder that hears, a predictor that remembers what was said, and who joins them."""

    def __init__(self, words: int = 12) -> None:
        super().__init__()
        self.hear = nn.LSTM(20, 48, num_layers=2, batch_first=True)
        self.word, self.say = nn.Embedding(words, 24), nn.LSTMCell(24, 48)
        self.joint = nn.Sequential(nn.Linear(96, 48), nn.Tanh(), nn.Linear(48, words))
        self.heard: Any = None
        self.said: Any = (torch.zeros(1, 48), torch.zeros(1, 48))

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        made, self.heard = self.hear(frames, self.heard)
        return made

    def predict(self, word: torch.Tensor) -> torch.Tensor:
        self.said = self.say(self.word(word), self.said)
        return self.said[0]

    def join(self, heard: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        return self.joint(torch.cat([heard, said], 1))


def search(encode: Any, predict: Any, join: Any, chunks: list[torch.Tensor]) -> list[int]:
    """Greedy decoding as users write it: at most three words a frame, 0 is silence."""
    found: list[int] = []
    said = predict(torch.tensor([0]))
    for chunk in chunks:
        for heard in encode(chunk)[0]:
            for _ in range(3):
                word = int(join(heard[None], said).argmax())
                if word == 0:
                    break
                found.append(word)
                said = predict(torch.tensor([word]))
    return found


def transducer() -> None:
    """Three entry points over one state, driven by the same search as the model's methods."""
    torch.manual_seed(5)
    model = Transducer().eval()
    for weight in model.parameters():
        weight.data *= 3  # so that it says something
    first, *chunks = torch.randn(COUNT + 1, 1, 4, 20).unbind()
    heard, said = torch.randn(1, 48), torch.randn(1, 48)
    with torch.no_grad():
        model.encode(first)  # the first call has no state yet
        program = flexir.program(model, {
            "encode": (model.encode, (chunks[0],)),
            "predict": (model.predict, (torch.tensor([1]),)),
            "join": (model.join, (heard, said)),
        })  # fmt: skip
        run = program.start()
        # the model from where the Program begins
        model = _fresh(Transducer(), model.state_dict())
        model.encode(first)
        wanted = search(model.encode, model.predict, model.join, chunks)
        made = search(run.encode, run.predict, run.join, chunks)
    print(f"transducer: {len(set(wanted))} different of {len(wanted)} words in {COUNT} chunks; "
          f"the Program's search {'says the same' if made == wanted else 'DIFFERS'}")  # fmt: skip


def convolutions() -> None:
    """A graph with buffers as state."""
    torch.manual_seed(6)
    model = TCN().eval()
    chunks = torch.randn(COUNT, 1, 20, 8).unbind()
    with torch.no_grad():
        run = flexir.capture(_fresh(TCN(), model.state_dict()), (chunks[0],)).start()
        equal = sum(torch.equal(run(chunk), model(chunk)) for chunk in chunks)
    print(f"TCN, {len(run.state)} buffers: {equal} of {COUNT} chunks in a row bit-equal")


def _fresh(model: Any, weights: dict[str, torch.Tensor]) -> Any:
    model.load_state_dict({name: tensor.clone() for name, tensor in weights.items()})
    return model.eval()


def silero() -> None:
    """A scripted model; what it changes at the first call that no graph carries is named."""
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        print((__doc__ or "").splitlines()[-1])
        return
    file = str(Path(spec.origin).parent / "data/silero_vad.jit")

    def load() -> torch.nn.Module:
        return torch.jit.load(file, map_location="cpu").eval()

    time = torch.arange(CHUNK * (COUNT + 1)) / RATE
    sound = torch.sin(2 * math.pi * 220 * time * (1 + time)) * torch.rand(len(time))
    first, *chunks = sound.reshape(-1, 1, CHUNK)
    with torch.no_grad():
        graph = flexir.capture(load(), (first, RATE))
        print("silero-vad, captured at the first chunk:", *map(str, graph.audit.changes),
              sep="\n  ")  # fmt: skip
        run = graph.start()
        run(first, RATE)
        try:
            run(chunks[0], RATE)
        except flexir.Diverged as error:
            print(f"  the second chunk is refused: {str(error).splitlines()[0]}")
        model, captured = load(), load()
        model(first, RATE)
        captured(first, RATE)
        graph = flexir.capture(captured, (chunks[0], RATE))
        print("captured at the second chunk:", *map(str, graph.state), sep="\n  ")
        run = graph.start()
        equal = sum(torch.equal(run(chunk, RATE), model(chunk, RATE)) for chunk in chunks)
        print(f"  {equal} of {COUNT} chunks in a row bit-equal to the model")


def main() -> None:
    warnings.simplefilter("ignore")
    transducer()
    convolutions()
    silero()


if __name__ == "__main__":
    main()
