"""What a GPU is worth to a fit: XGBoost and the network on CPU and on CUDA, by the table's size.

``make bench-gpu`` on a machine with a GPU; the plan's thresholds come from here. Fits of fixed
length (100 rounds of depth 6; 3 epochs), no early stopping; wall time of the fit, transfer of the
matrix included. The second of two fits counts, since the first one also starts the driver.
``bf16`` is autocast of the network's products; the loss and the update stay in float32.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np

from _form import Form
from tenfold.models import FAMILIES, Fit

N_FEATURES = 50
SIZES = (20_000, 200_000, 2_000_000)
FITS: dict[str, tuple[str, dict[str, Any]]] = {
    "boosting": ("boosting", {"rounds": 100, "max_depth": 6}),
    "network": ("network", {"epochs": 3, "width": 64}),
    "network-wide": ("network", {"epochs": 3, "width": 512}),
}


def seconds(family: str, params: dict[str, Any], data: Any, device: str) -> float:
    """Wall time of one fit."""
    x, y = data
    fit = Fit(x, y, "binary", 2, params, 0, os.cpu_count() or 1, device=device)
    began = time.perf_counter()
    FAMILIES[family].fit(fit)
    return time.perf_counter() - began


def main() -> None:
    """Every fit on both devices, then the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    options = parser.parse_args()
    import torch

    form = Form("gpu")
    form.add("gpu", torch.cuda.get_device_name(0))
    random, rows = np.random.default_rng(0), []
    for n_rows in options.sizes:
        x = random.normal(size=(n_rows, N_FEATURES)).astype(np.float32)
        y = (x[:, 0] * x[:, 1] + x[:, 2] + random.normal(size=n_rows) > 0).astype(np.int64)
        for name, (family, own) in FITS.items():
            params = {**FAMILIES[family].defaults("binary")[0], **own}
            took = {}
            for device in ("cuda", "cpu"):
                if device == "cuda":
                    seconds(family, params, (x[:2000], y[:2000]), device)
                took[device] = seconds(family, params, (x, y), device)
                form.add(f"{name}.{n_rows}.{device}_s", took[device])
            form.add(f"{name}.{n_rows}.cpu_vs_gpu", took["cpu"] / took["cuda"])
            rows.append([name, f"{n_rows:,}", *(f"{took[d]:.2f}" for d in ("cpu", "cuda")),
                         f"{took['cpu'] / took['cuda']:.1f}x"])  # fmt: skip
            form.table("So far", ["fit", "rows", "cpu s", "gpu s", "gain"], rows[-1:])
    form.finish(libraries=["torch", "xgboost", "numpy"])


if __name__ == "__main__":
    main()
