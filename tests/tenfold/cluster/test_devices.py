"""Which families go to a GPU, what is refused, and what a plan says of it."""

from __future__ import annotations

from typing import Any

import pytest

from tenfold.cluster import Accelerator, Inventory, Node, Plan, make_plan
from tenfold.cluster.devices import CUDA_FROM_CELLS, gpu_places
from tenfold.cluster.inventory import GIB, KNOWN_MEMORY_GIB
from tenfold.errors import ProjectError
from tenfold.models import FAMILIES
from tenfold.project import Project
from tenfold.project.work import FAMILIES as OURS
from tenfold.project.work import family_devices

MIB = 1024**2
A100, L4, T4 = (Accelerator(k, KNOWN_MEMORY_GIB[k] * GIB) for k in ("A100", "L4", "T4"))
AMD = Accelerator("AMD-Instinct-MI210")
TPU = Accelerator("TPU-V4", resource="TPU")

SMALL = {"n_rows": 30_000, "n_columns": 15, "size_bytes": 4 * MIB}
MEDIUM = {"n_rows": 1_000_000, "n_columns": 20, "size_bytes": 200 * MIB}
WIDE = {"n_rows": 20_000_000, "n_columns": 60, "size_bytes": 200 * MIB}
LARGE = {"n_rows": 20_000_000, "n_columns": 20, "size_bytes": 10 * GIB}
HUGE = {"n_rows": 2_000_000_000, "n_columns": 100, "size_bytes": 1000 * GIB}

TOP = {"boosting": "cuda", "linear": "cpu", "network": "cuda"}
NONE = dict.fromkeys(TOP, "cpu")


def nodes(*each: tuple[int, tuple[Accelerator, ...]]) -> Inventory:
    return Inventory(tuple(Node(f"n{i}", cpus, 256 * GIB, a) for i, (cpus, a) in enumerate(each)))


WORKSTATION = nodes((16, (T4,)))
TWO_TYPES = nodes((32, (A100,) * 4), (32, (T4,) * 4))
BESIDE = nodes((16, ()), (16, ()), (8, (L4,) * 2), (8, (L4,) * 2))


def plan(inventory: Inventory, size: dict[str, int], **train: Any) -> Plan:
    body = {
        "problem": {"task": "binary", "target": "y"},
        "data": {"sources": [{"path": "a.csv"}]},
        "train": train,
    }
    return make_plan(Project.from_dict(body), inventory, local_bytes=256 * MIB, **size)


def test_the_table_names_the_families_that_can() -> None:
    """The plan may not import the families: this holds the two together."""
    for name in OURS:
        assert family_devices(name) == FAMILIES[name].devices
    assert set(CUDA_FROM_CELLS) == {name for name in OURS if "cuda" in FAMILIES[name].devices}
    assert all(FAMILIES[name].distributed for name in CUDA_FROM_CELLS)


@pytest.mark.parametrize(
    ("inventory", "size", "expected"),
    [
        pytest.param(
            WORKSTATION,
            SMALL,
            {"trial_devices": NONE, "trial_gpus": 0.0, "fit_devices": NONE, "worker_gpus": 0},
            id="a small table stays on CPU",
        ),
        pytest.param(
            WORKSTATION,
            MEDIUM,
            {"trial_devices": TOP, "trial_gpus": 0.25, "fit": "single", "worker_gpus": 0.25},
            id="one GPU",
        ),
        pytest.param(
            nodes((64, (T4,))),
            MEDIUM,
            {"trial_devices": NONE, "trials_at_once": 16, "worker_gpus": 0},
            id="one GPU beside 64 cores, which do more",
        ),
        pytest.param(
            nodes((32, (T4,))),
            WIDE,
            {"trial_devices": NONE, "fit_devices": NONE, "worker_gpus": 0},
            id="a GPU too small for the table",
        ),
        pytest.param(
            TWO_TYPES,
            MEDIUM,
            {"trial_gpus": 0.5, "trial_gpu_type": None, "trials_at_once": 16},
            id="eight GPUs of two types, each large enough",
        ),
        pytest.param(
            TWO_TYPES,
            WIDE | {"n_columns": 15},
            {"trial_gpus": 0.5, "trial_gpu_type": "A100", "worker_gpu_type": "A100"},
            id="eight GPUs of two types, one large enough",
        ),
        pytest.param(
            BESIDE,
            LARGE,
            {
                "trial_devices": TOP | {"boosting": "cpu"},
                "trial_gpus": 0.25,
                "trials_at_once": 16,
                "threads_per_trial": 1,
                "fit": "distributed",
                "fit_devices": TOP,
                "n_workers": 4,
                "worker_gpus": 1,
                "worker_cpus": 4.0,
            },
            id="GPU nodes beside CPU nodes",
        ),
        pytest.param(
            WORKSTATION,
            LARGE,
            {"fit": "distributed", "n_workers": 1, "worker_gpus": 1, "worker_cpus": 14.0},
            id="a large table streams to one GPU",
        ),
        pytest.param(
            TWO_TYPES,
            HUGE,
            {"fit": "distributed", "worker_gpus": 0, "fit_devices": NONE},
            id="bins that no GPUs hold",
        ),
        pytest.param(
            nodes((32, (TPU,) * 4)),
            MEDIUM,
            {"trial_devices": NONE, "trial_gpus": 0.0},
            id="accelerators that run no CUDA",
        ),
        pytest.param(
            nodes((16, (AMD,) * 4), (16, (A100,) * 2)),
            MEDIUM,
            {"trial_devices": TOP, "trial_gpu_type": "A100", "trial_gpus": 0.25},
            id="cards of another maker beside",
        ),
        pytest.param(
            nodes((16, (AMD, A100))),
            MEDIUM,
            {"trial_devices": NONE},
            id="two makers' cards on one node, which Ray cannot tell apart",
        ),
        pytest.param(
            nodes((16, (Accelerator("GPU"),))),
            MEDIUM,
            {"trial_devices": TOP, "trial_gpus": 0.3333},
            id="a GPU of unknown type and memory",
        ),
    ],
)
def test_plans(inventory: Inventory, size: dict[str, int], expected: dict[str, Any]) -> None:
    made = plan(inventory, size).to_dict()
    assert {key: made[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("inventory", "size", "train", "words"),
    [
        (
            WORKSTATION,
            MEDIUM,
            {},
            "trials train boosting and network on CUDA (1 x T4)",
        ),
        (
            WORKSTATION,
            MEDIUM,
            {},
            "4 trials at once with 2 threads each: 4 sessions a GPU, each needs about 1.9 GiB of "
            "its usable 14.4 GiB",
        ),
        (
            WORKSTATION,
            SMALL,
            {},
            "trials train on CPU: 450,000 cells are few, a GPU is expected to pay from 2,000,000 "
            "on (not measured yet) (1 x T4)",
        ),
        (
            nodes((64, (T4,))),
            MEDIUM,
            {},
            "trials train on CPU: 64 cores are expected to do more than the GPUs, each worth about "
            "32 (not measured yet) (1 x T4)",
        ),
        (
            nodes((32, (T4,))),
            WIDE,
            {},
            "trials train on CPU: about 54.6 GiB of a GPU's memory would be needed, and 14.4 GiB "
            "can be used (1 x T4)",
        ),
        (
            TWO_TYPES,
            WIDE | {"n_columns": 15},
            {},
            "trials train boosting and network on CUDA (4 x A100, 4 x T4), on A100 only",
        ),
        (
            nodes((32, (TPU,) * 4)),
            MEDIUM,
            {},
            "trials train on CPU: no GPU that runs CUDA can be asked for (4 x TPU-V4)",
        ),
        (
            WORKSTATION,
            MEDIUM,
            {"families": ["linear"]},
            "trials train on CPU: no family of this project uses a GPU (1 x T4)",
        ),
        (
            BESIDE,
            LARGE,
            {},
            "4 training workers with one GPU each: one for each 2 GiB of data or what a GPU holds; "
            "boosting and network on CUDA",
        ),
        (BESIDE, LARGE, {}, "each worker reads 65,536 rows at a time"),
        (
            BESIDE,
            LARGE,
            {"workers": 20},
            "the last fit runs on CPU: 20 workers are more than the 4 GPUs that one group can have",
        ),
        (
            WORKSTATION,
            SMALL,
            {"device": "gpu"},
            "trials train boosting and network on CUDA, as the project says (1 x T4)",
        ),
    ],
)
def test_reasons(
    inventory: Inventory, size: dict[str, int], train: dict[str, Any], words: str
) -> None:
    assert words in plan(inventory, size, **train).reasons


@pytest.mark.parametrize(
    ("inventory", "size", "train", "message"),
    [
        (
            nodes((8, ())),
            SMALL,
            {},
            "train.device: gpu needs a GPU that runs CUDA; found none; start a node that has one, "
            "or write 'device: auto'",
        ),
        (
            nodes((8, (TPU,) * 4)),
            SMALL,
            {},
            "train.device: gpu needs a GPU that runs CUDA; found 4 x TPU-V4; start a node that has "
            "one, or write 'device: auto'",
        ),
        (
            WORKSTATION,
            SMALL,
            {"families": ["linear"]},
            "train.device: gpu needs a family that CUDA can fit (boosting and network); found "
            "linear; name one in train.families, or write 'device: auto'",
        ),
        (
            WORKSTATION,
            WIDE,
            {},
            "train.device: gpu must hold the table; it needs about 54.6 GiB of a GPU's memory, and "
            "14.4 GiB can be used here; take larger GPUs or more of them, or write 'device: auto', "
            "which fits on CPU then",
        ),
        (
            BESIDE,
            LARGE,
            {"workers": 8},
            "train.workers: must be at most the 4 GPUs that one training group can have where "
            "train.device is gpu; found 8; lower it, or write 'device: auto'",
        ),
        (
            BESIDE,
            HUGE,
            {},
            "train.device: gpu must hold the table; it needs about 403 GiB of a GPU's memory, and "
            "21.6 GiB can be used here; take larger GPUs or more of them, or write 'device: auto', "
            "which fits on CPU then",
        ),
    ],
)
def test_a_gpu_that_the_project_wants_and_cannot_have_is_refused(
    inventory: Inventory, size: dict[str, int], train: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        plan(inventory, size, device="gpu", **train)
    assert str(caught.value) == message


def test_a_gpu_that_the_project_wants_is_used_for_a_small_table_and_beside_many_cores() -> None:
    made = plan(nodes((64, (T4,))), SMALL, device="gpu")
    assert (made.trial_devices, made.trial_gpus) == (TOP, 0.25)


def test_fewer_rows_are_read_at_a_time_where_they_are_wide() -> None:
    wide = LARGE | {"n_rows": 10_000, "n_columns": 20_000}
    made = plan(nodes((16, (T4,)), (16, (T4,))), wide)
    assert (made.n_workers, made.worker_gpus, made.batch_rows) == (2, 1, 16_384)
    words = "each worker reads 16,384 rows at a time, memory allows no more of so many columns"
    assert words in made.reasons


@pytest.mark.parametrize(
    ("gpu", "n_columns", "precision", "words"),
    [
        (
            A100,
            100,
            "fp32",
            "networks compute in fp32: a step is about 2 us of arithmetic beside 500 us of "
            "launches, bf16 would save little",
        ),
        (
            A100,
            50_000,
            "bf16",
            "networks compute in bf16: a step is about 983 us of arithmetic beside 500 us of "
            "launches, and bf16 halves the former",
        ),
        (T4, 50_000, "fp32", "networks compute in fp32: T4 has no fast bf16"),
    ],
)
def test_the_precision_is_the_one_that_pays(
    gpu: Accelerator, n_columns: int, precision: str, words: str
) -> None:
    size = {"n_rows": 4_000, "n_columns": n_columns, "size_bytes": 100 * MIB}
    made = plan(nodes((16, (gpu,))), size, device="gpu")
    assert made.precision == made.placement.precision_of("network") == precision
    assert words in made.reasons
    assert made.placement.precision_of("linear") == "fp32"


def test_without_a_network_on_a_gpu_nothing_is_said_of_precision() -> None:
    for train in ({"families": ["boosting"]}, {"device": "cpu"}):
        made = plan(WORKSTATION, MEDIUM, **train)
        assert not any("fp32" in reason for reason in made.reasons)


def test_a_session_asks_for_what_its_devices_need() -> None:
    made = plan(TWO_TYPES, WIDE | {"n_columns": 15})
    assert made.placement.resources() == {
        "CPU": float(made.threads_per_trial),
        "GPU": 0.5,
        "accelerator_type:A100": 0.001,
    }
    assert made.placement.device("network") == "cuda"
    on_cpu = plan(TWO_TYPES, SMALL).placement
    assert on_cpu.resources() == {"CPU": 4.0}
    assert {on_cpu.device(name) for name in TOP} == {"cpu"}


def test_what_a_group_cannot_fit_stays_where_its_trials_were() -> None:
    """A large table whose families include one that no group fits: linear, here, on CPU."""
    made = plan(BESIDE, LARGE, families=["linear"], device="auto")
    assert (made.fit_devices, made.worker_gpus) == ({"linear": "cpu"}, 0)


def test_what_can_be_asked_for() -> None:
    assert [(place.kind, place.gpus) for place in gpu_places(TWO_TYPES)] == [
        (None, 8),
        ("A100", 4),
        ("T4", 4),
    ]
    beside = nodes((16, (AMD,) * 4), (16, (T4,) * 2), (16, (L4, L4)))
    assert [place.kind for place in gpu_places(beside)] == ["L4", "T4"]
    assert gpu_places(nodes((4, ()))) == []
