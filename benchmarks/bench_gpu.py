"""What a GPU is worth: XGBoost and the network on CPU and on CUDA, by the table's size; then
networks that answer, by their own size.

``make bench-gpu`` on a machine with a GPU; the plan's thresholds come from here. Fits of fixed
length (100 rounds of depth 6; 3 epochs), no early stopping; wall time of the fit, transfer of the
matrix included. The second of two fits counts, since the first one also starts the driver.
``bf16`` is autocast of the network's products; the loss and the update stay in float32.

Answers: one row and 256 in a call through ONNX Runtime, the way of the rows to the GPU and back
included. `tenfold.cluster.served.GPU_FROM_ROW_S` comes from here; it needs the extra ``gpu``.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np

from _form import Form
from tenfold.inference.cuda import why_no_cuda
from tenfold.inference.engines import HOST, OnnxEngine, Target
from tenfold.models import FAMILIES, Fit
from tenfold.models.arrays import ArrayModel

N_FEATURES = 50
SIZES = (20_000, 200_000, 2_000_000)
FITS: dict[str, tuple[str, dict[str, Any]]] = {
    "boosting": ("boosting", {"rounds": 100, "max_depth": 6}),
    "network": ("network", {"epochs": 3, "width": 64}),
    "network-wide": ("network", {"epochs": 3, "width": 512}),
}
NETWORKS = ((50, 64, 2), (1_000, 256, 3), (2_000, 512, 3), (2_000, 2_048, 3))
"""Features, neurons of a layer, layers."""
CALL_ROWS = (1, 256)


def seconds(family: str, params: dict[str, Any], data: Any, device: str) -> float:
    """Wall time of one fit."""
    x, y = data
    fit = Fit(x, y, "binary", 2, params, 0, os.cpu_count() or 1, device=device)
    began = time.perf_counter()
    FAMILIES[family].fit(fit)
    return time.perf_counter() - began


def network(n_features: int, width: int, layers: int) -> bytes:
    """The graph of a network with random weights."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    n_in = n_features
    for layer, n_out in enumerate((*(width,) * layers, 2)):
        arrays[f"w{layer}"] = random.normal(size=(n_in, n_out)) / np.sqrt(n_in)
        arrays[f"b{layer}"] = np.zeros(n_out)
        n_in = n_out
    graph = ArrayModel("network", arrays, "softmax", n_features, 2).to_onnx()
    assert graph is not None
    return graph


def call_us(engine: OnnxEngine, x: Any) -> float:
    """The quickest of twenty calls."""
    least = float("inf")
    for _ in range(20):
        began = time.perf_counter()
        engine.predict(x)
        least = min(least, time.perf_counter() - began)
    return least * 1e6


def answers(form: Form) -> None:
    """Networks that answer, on both devices."""
    why = why_no_cuda()
    if why:
        form.add("answers", why)
        return
    rows = []
    for shape in NETWORKS:
        graph, name = network(*shape), "x".join(map(str, shape))
        for n_rows in CALL_ROWS:
            x = np.random.default_rng(0).normal(size=(n_rows, shape[0])).astype(np.float32)
            cpu, gpu = (call_us(OnnxEngine(graph, on), x) for on in (HOST, Target("cuda")))
            form.add(f"answers.{name}.{n_rows}.cpu_us", cpu)
            form.add(f"answers.{name}.{n_rows}.gpu_us", gpu)
            rows.append([name, str(n_rows), f"{cpu:.0f}", f"{gpu:.0f}", f"{cpu / gpu:.1f}x"])
    form.table("Answers", ["network", "rows", "cpu us", "gpu us", "gain"], rows)


def main() -> None:
    """Every fit and every answer on both devices, then the file."""
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
    answers(form)
    form.finish(libraries=["torch", "xgboost", "numpy", "onnxruntime"])


if __name__ == "__main__":
    main()
