"""The whole state of a network in training, as data: to go on after an interruption as if it had
not been one."""

from __future__ import annotations

from typing import Any

from tenfold.models.net import Pace

__all__ = ["load_state", "state_of"]


def state_of(net: Any, pace: Pace) -> bytes:
    """Weights, moments of the optimizer and the random state, as safetensors.

    Args:
        net: of `build_network`.
        pace: its optimizer.
    """
    import torch
    from safetensors.torch import save

    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    for number, state in pace.optimizer.state_dict()["state"].items():
        tensors |= {f"moment.{number}.{name}": value for name, value in state.items()}
    tensors["random"] = torch.get_rng_state()
    if (device := net.scale.device).type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    return bytes(save({name: value.detach().contiguous() for name, value in tensors.items()}))


def load_state(net: Any, pace: Pace, state: bytes, *, at: int) -> None:
    """Put a state back, in place.

    Args:
        net: of `build_network`, built as the one whose state it is.
        pace: its optimizer.
        state: of `state_of`.
        at: steps that were done then.
    """
    import torch
    from safetensors.torch import load

    tensors = load(state)
    net.load_state_dict(
        {n.removeprefix("net."): value for n, value in tensors.items() if n.startswith("net.")}
    )
    moments: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("moment."):
            _, number, part = name.split(".")
            moments.setdefault(int(number), {})[part] = value
    groups = pace.optimizer.state_dict()["param_groups"]
    pace.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    pace.at = at
    torch.set_rng_state(tensors["random"])
    if "random.cuda" in tensors and net.scale.device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random.cuda"], net.scale.device)
