"""The trainable network of the family ``network``, and what of it is kept.

After RealMLP (D. Holzmüller et al., "Better by default: strong pre-tuned MLPs and boosted trees on
tabular data", 2024): each number also enters as cosines of learned frequencies and phases, mixed
linearly (periodic embeddings, Y. Gorishniy et al. 2022); a learned scale stands before the first
layer; weights are in the NTK parametrization (a standard normal weight over the root of its inputs)
and start so that each neuron has unit variance on the first rows, with its bend amid them.

What only trains is folded away: mixing, scales and roots become part of one dense layer, so that
what is served is a handful of cosines and matrix products.

Tried and left out: mish in place of ReLU and the ``coslog4`` schedule, within 1 % of the error
either way on the five tables of ``docs/families.md`` and dearer.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.models.base import Params

__all__ = [
    "START_ROWS",
    "Pace",
    "build_network",
    "network_arrays",
    "network_loss",
    "products_in",
]

START_ROWS = 2_000
"""Rows that the first weights are fitted to."""
SIGMA = 0.1
"""Spread of the first frequencies: low, since numbers arrive with an interquartile range of 1."""
MIXED = 3
"""Values that the cosines of one number are mixed into, beside the number itself."""
MAX_WAVES = 1_024
"""Cosines of a row, at most: beyond them they would cost more than all layers."""
LEAST_PERIODS = 4
POINTS = 5
"""Rows whose random mean each neuron bends at."""
SCALE_PACE, BIAS_PACE, WAVE_PACE = 6.0, 0.1, 0.1
"""Learning rates of front scale, biases and embeddings, as multiples of that of the weights."""
BETAS = (0.9, 0.95)


def build_network(start: Any, n_out: int, params: Params) -> Any:
    """The trainable module.

    Args:
        start: prepared rows float32 (n_rows, n_features) to start from; `START_ROWS` are enough.
            Columns with more than two values there are numbers and get cosines.
        n_out: outputs.
        params: ``layers`` dense layers of ``width``, ``periods`` cosines a number.
    """
    import torch
    from torch import nn

    class Network(nn.Module):  # type: ignore[misc, unused-ignore]
        """Embedding, front scale, dense layers with ReLU and dropout."""

        def __init__(self) -> None:
            super().__init__()
            numbers, periods = _numbers(start, int(params["periods"]))
            self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.long))
            d = len(numbers)
            if d:
                bound = 1 / math.sqrt(periods)
                self.frequency = nn.Parameter(2 * math.pi * SIGMA * torch.randn(d, periods))
                self.phase = nn.Parameter(math.pi * (2 * torch.rand(d, periods) - 1))
                self.mix = nn.Parameter(bound * (2 * torch.rand(d, periods, MIXED) - 1))
                self.shift = nn.Parameter(bound * (2 * torch.rand(d, 1, MIXED) - 1))
            size = start.shape[1] + d * MIXED
            self.scale = nn.Parameter(torch.ones(size))
            self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
            self.dropout = 0.0
            with torch.no_grad():
                x = self.front(start)
                for _ in range(int(params["layers"])):
                    x = self._add(x, int(params["width"]))
            self.weights.append(nn.Parameter(torch.zeros(x.shape[1], n_out)))
            self.biases.append(nn.Parameter(torch.zeros(n_out)))

        def _add(self, x: Any, width: int) -> Any:
            """One layer, started from the values (n_rows, n_in) before it; gives those after it."""
            weight = torch.randn(x.shape[1], width)
            z = x @ weight / math.sqrt(x.shape[1])
            spread = z.std(dim=0, correction=0, keepdim=True).clamp_min(1e-3)
            weight, z = weight / spread, z / spread
            pick = torch.randint(len(x), (width, POINTS))
            share = torch.rand(width, POINTS).clamp_min(1e-6).log().neg()
            share = share / share.sum(dim=1, keepdim=True)
            bias = -(z[pick, torch.arange(width)[:, None]] * share).sum(dim=1)
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(bias))
            return torch.relu(z + bias)

        def front(self, x: Any) -> Any:
            """What the first layer sees, (n_rows, n_features + embeddings)."""
            if len(self.numbers):
                z = x[:, self.numbers].T.unsqueeze(2) * self.frequency.unsqueeze(1)
                waves = torch.cos(z + self.phase.unsqueeze(1))
                mixed = torch.baddbmm(self.shift, waves, self.mix)
                x = torch.cat([x, mixed.permute(1, 0, 2).reshape(len(x), -1)], dim=1)
            return x * self.scale

        def forward(self, x: Any) -> Any:
            """Outputs before softmax, (n_rows, n_out)."""
            x, last = self.front(x), len(self.weights) - 1
            for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                x = torch.addmm(bias, x, weight / math.sqrt(weight.shape[0]))
                if number < last:
                    x = nn.functional.dropout(torch.relu(x), self.dropout, self.training)
            return x

    return Network()


def _numbers(start: Any, periods: int) -> tuple[list[int], int]:
    """Columns that get cosines, and how many each."""
    import torch

    numbers = [j for j in range(start.shape[1]) if len(torch.unique(start[:, j])) > 2]
    periods = min(periods, MAX_WAVES // max(1, len(numbers)))
    return (numbers, periods) if periods >= LEAST_PERIODS else ([], 0)


def network_loss(task: str) -> Any:
    """The loss per row, float32 (n_rows,): cross entropy, or squared error of the mapped target."""
    from torch import nn

    if task == "regression":
        return lambda out, y: (out[:, 0] - y) ** 2
    return nn.CrossEntropyLoss(reduction="none")


def products_in(precision: str, device: str) -> Any:
    """A context in which products are computed in bf16 where that is asked for; weights, sums and
    losses stay float32.

    Args:
        precision: ``"fp32"`` or ``"bf16"``.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    """
    import torch

    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16")


class Pace:
    """The optimizer of a network with its schedules: the learning rate falls as half a cosine;
    dropout and weight decay stay for half the way and then fall with it.

    Args:
        net: of `build_network`, on its device.
        params: ``lr``, ``weight_decay`` and ``dropout``.
        steps: of the whole schedule.
    """

    def __init__(self, net: Any, params: Params, *, steps: int) -> None:
        import torch

        self.net, self.params, self.steps, self.at = net, params, max(1, steps), 0
        groups = [
            {"params": list(net.weights), "pace": 1.0, "decay": float(params["weight_decay"])},
            {"params": list(net.biases), "pace": BIAS_PACE, "decay": 0.0},
            {"params": [net.scale], "pace": SCALE_PACE, "decay": 0.0},
        ]
        if len(net.numbers):
            waves = [net.frequency, net.phase, net.mix, net.shift]
            groups.append({"params": waves, "pace": WAVE_PACE, "decay": 0.0})
        self.optimizer = torch.optim.AdamW(groups, betas=BETAS, fused=True)

    def before(self) -> None:
        """Sets what the next step uses."""
        t = min(1.0, self.at / self.steps)
        rate = float(self.params["lr"]) * _cosine(t)
        late = _cosine(max(0.0, 2 * t - 1))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["pace"]
            group["weight_decay"] = group["decay"] * late
        self.net.dropout = float(self.params["dropout"]) * late
        self.at += 1

    def step(self, loss: Any) -> None:
        """One step down a loss."""
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def _cosine(t: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * t))


def network_arrays(net: Any) -> dict[str, NDArray[Any]]:
    """What `ArrayModel` serves: ``w0, b0, w1, …`` float64, and ``frequency``, ``phase`` and
    ``numbers`` where there are cosines; all that only trains is folded in."""
    weights = [_double(w) / math.sqrt(len(w)) for w in net.weights]
    biases = [_double(b) for b in net.biases]
    first = weights[0] * _double(net.scale)[:, None]
    out: dict[str, NDArray[Any]] = {}
    if len(net.numbers):
        d, periods = net.frequency.shape
        plain, mixed = np.split(first, [len(first) - d * MIXED])
        mixed = mixed.reshape(d, MIXED, -1)
        waves = np.einsum("dpm,dmh->dph", _double(net.mix), mixed).reshape(d * periods, -1)
        biases[0] = biases[0] + np.einsum("dm,dmh->h", _double(net.shift)[:, 0], mixed)
        first = np.vstack([plain, waves])
        out |= {"frequency": _double(net.frequency), "phase": _double(net.phase)}
        out["numbers"] = net.numbers.detach().cpu().numpy().astype(np.int64)
    for number, (w, b) in enumerate(zip([first, *weights[1:]], biases, strict=True)):
        out[f"w{number}"], out[f"b{number}"] = np.ascontiguousarray(w), b
    return out


def _double(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)
