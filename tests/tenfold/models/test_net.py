"""The network: what is served is what was trained, and what the embeddings are good for."""

from __future__ import annotations

import timeit
from typing import Any

import numpy as np
import pytest
import torch

from tenfold.errors import ArtifactError
from tenfold.models import FAMILIES, Fit, load_model
from tenfold.models.arrays import ArrayModel, load_arrays
from tenfold.models.net import MAX_WAVES, build_network, network_arrays
from tenfold.models.network import NETWORK, horizon_of, network_params

PARAMS: dict[str, Any] = dict(NETWORK.defaults("binary")[0])


def start_rows(n_rows: int = 200, n_numbers: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(n_rows, n_numbers))
    return np.hstack([numbers, rng.integers(0, 2, (n_rows, 2))]).astype(np.float32)


def random_network(rows: np.ndarray, **changes: Any) -> Any:
    torch.manual_seed(3)
    net = build_network(torch.from_numpy(rows), 2, PARAMS | changes)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


@pytest.mark.parametrize("changes", [{}, {"periods": 0}, {"layers": 1}, {"layers": 3}])
def test_what_is_served_is_what_was_trained(changes: dict[str, Any]) -> None:
    rows = start_rows()
    net = random_network(rows, **changes)
    arrays = network_arrays(net)
    assert ("numbers" in arrays) == (changes.get("periods") != 0)
    served = ArrayModel("network", arrays, "softmax", rows.shape[1], 2).predict(rows)
    with torch.no_grad():
        trained = torch.softmax(net(torch.from_numpy(rows)), dim=1).numpy()
    assert np.allclose(served, trained, atol=2e-6)


def test_numbers_get_cosines_and_indicators_do_not() -> None:
    arrays = network_arrays(random_network(start_rows()))
    assert arrays["numbers"].tolist() == [0, 1, 2]
    assert arrays["frequency"].shape == (3, PARAMS["periods"]) == arrays["phase"].shape


@pytest.mark.parametrize(("n_numbers", "periods"), [(100, MAX_WAVES // 100), (400, 0)])
def test_wide_tables_get_fewer_cosines_and_then_none(n_numbers: int, periods: int) -> None:
    arrays = network_arrays(random_network(start_rows(50, n_numbers)))
    assert arrays.get("frequency", np.zeros((0, 0))).shape[1] == periods


def test_the_first_neurons_have_unit_spread_and_bend_amid_the_rows() -> None:
    rows = start_rows()
    torch.manual_seed(0)
    net = build_network(torch.from_numpy(rows), 2, PARAMS)
    with torch.no_grad():
        x = net.front(torch.from_numpy(rows))
        z = x @ net.weights[0] / np.sqrt(x.shape[1]) + net.biases[0]
    assert np.allclose(z.std(dim=0, correction=0), 1.0, atol=1e-3)
    share = (z > 0).float().mean(dim=0)
    assert 0.0 < float(share.min()) < float(share.max()) < 1.0


def wave_fit(periods: int) -> float:
    rng = np.random.default_rng(1)
    x = rng.uniform(-2, 2, size=(900, 2)).astype(np.float32)
    y = np.sin(4 * x[:, 0]) + 0.1 * rng.normal(size=900)
    own = {"target": "none", "periods": periods, "layers": 1, "width": 32}
    params = dict(NETWORK.defaults("regression")[0]) | own
    fit = Fit(x[:600], y[:600], "regression", 0, params, 0, 1, valid=(x[600:700], y[600:700]))
    return float(((FAMILIES["network"].fit(fit).predict(x[700:])[:, 0] - y[700:]) ** 2).mean())


def test_cosines_learn_what_bends_often() -> None:
    assert wave_fit(16) < 0.05 < 0.2 < wave_fit(0)


def broken(name: str, value: np.ndarray | None) -> dict[str, np.ndarray]:
    arrays = network_arrays(random_network(start_rows()))
    if value is None:
        return {key: array for key, array in arrays.items() if key != name}
    return arrays | {name: value}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("phase", None),
        ("numbers", None),
        ("numbers", np.array([0, 1, 9])),
        ("numbers", np.array([0.0, 1.0, 2.0])),
        ("numbers", np.array([0, 1])),
        ("phase", np.zeros((3, 2))),
        ("frequency", np.full((3, 16), np.nan)),
        ("w0", np.zeros((5, 64))),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, value: np.ndarray | None) -> None:
    model = ArrayModel("network", broken(name, value), "softmax", 5, 2)
    with pytest.raises(ArtifactError, match="publish it again"):
        load_arrays(model.files())


def test_parameters_of_the_older_network_keep_its_shape_only() -> None:
    old = {"layers": 3, "width": 32, "dropout": 0.1, "lr": 2e-3, "weight_decay": 1e-3, "epochs": 30}
    made = network_params(old, "binary")
    assert made == PARAMS | {"layers": 3, "width": 32}
    assert network_params(made, "binary") == made
    assert network_params({"target": "none"}, "regression")["target"] == "none"


def test_a_frozen_number_of_epochs_is_kept() -> None:
    rows = start_rows(600)
    target = (rows[:, 0] > 0).astype(np.int64)
    frozen = NETWORK.freeze(PARAMS, 4)
    fit = Fit(rows, target, "binary", 2, frozen, 0, 1)
    model = FAMILIES["network"].fit(fit)
    assert model.rounds == 4 < horizon_of(frozen, 10)


def test_a_row_takes_less_than_100_us() -> None:
    """The least of many calls: what the graph costs, not what the machine did meanwhile."""
    import onnxruntime

    rows = start_rows(300, 20)
    graph = load_model(
        "network",
        ArrayModel("network", network_arrays(random_network(rows)), "softmax", 22, 2).files(),
    ).to_onnx()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    one = {"x": rows[:1]}
    spent = timeit.repeat(lambda: session.run(["scores"], one), number=50, repeat=20)
    assert min(spent) / 50 < 100e-6


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_products_in_bf16_cost_little_and_nothing_else_is_rounded(task: Any) -> None:
    """bf16 keeps 8 bits: the network differs, and is worth as much on rows that it has not seen."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3_000, 4)).astype(np.float32)
    signal = x[:, 0] * x[:, 1] + x[:, 2] + 0.3 * rng.normal(size=3_000)
    y = signal if task == "regression" else (signal > 0).astype(np.int64)
    params = dict(NETWORK.defaults(task)[0]) | {"epochs": 5}
    params |= {"target": "none"} if task == "regression" else {}

    def fitted(precision: Any) -> ArrayModel:
        fit = Fit(x[:2_000], y[:2_000], task, 2, params, 1, 1, precision=precision)
        made = NETWORK.fit(fit)
        assert isinstance(made, ArrayModel)
        return made

    full, half = fitted("fp32"), fitted("bf16")
    one, other = (model.predict(x[2_000:])[:, -1] for model in (full, half))
    assert not np.array_equal(one, other)
    assert np.corrcoef(one, other)[0, 1] > 0.99
    assert {array.dtype for array in half.arrays.values()} <= {np.dtype("f8"), np.dtype("i8")}
    again = fitted("bf16").predict(x[2_000:])[:, -1]
    assert np.array_equal(again, other)
