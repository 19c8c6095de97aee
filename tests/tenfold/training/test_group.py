"""A group that loses a worker, a checkpoint or a node ends with the model of one that did not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xgboost

from tenfold.canonical import write_atomic
from tenfold.errors import StoreError
from tenfold.models import Model, choose_engine, load_model
from tenfold.models.boosting import BoostedModel
from tenfold.training.checkpoints import Held, read_checkpoint, write_checkpoint
from tenfold.training.fitter import fit_in_process
from tenfold.training.group import quantized
from tests.tenfold.training.grouped import Grouped, make_grouped, train_workers

ROOT = Path(__file__).resolve().parents[3]
AWAITED_S = 120.0
ON_THEIR_WAY_S = 1.0


def committed(storage: Path) -> list[str]:
    """The names of the checkpoints that the group's controller knows, the oldest first."""
    try:
        told = json.loads((storage / "fit" / "checkpoint_manager_snapshot.json").read_bytes())
    except (OSError, ValueError):
        return []
    return [each["checkpoint_dir_name"] for each in told["checkpoint_results"]]


def await_checkpoints(storage: Path, count: int) -> None:
    began = time.monotonic()
    while len(committed(storage)) < count:
        assert time.monotonic() - began < AWAITED_S, "no checkpoint was written"
        time.sleep(0.02)


def damage_the_newest(storage: Path) -> None:
    """Also one that was on its way when its worker died."""
    began = time.monotonic()
    while time.monotonic() - began < ON_THEIR_WAY_S:
        state = storage / "fit" / committed(storage)[-1] / "state"
        state.write_bytes(b"torn" + state.read_bytes()[4:])
        time.sleep(0.05)


@pytest.mark.parametrize("bins", [256, 1024])
def test_bins_in_files_give_the_trees_of_bins_in_memory(tmp_path: Path, bins: int) -> None:
    x = np.random.default_rng(1).normal(size=(4000, 6)).astype(np.float32)
    x[::9, 2] = np.nan
    y = (x[:, 0] + x[:, 1] > 0).astype(np.float32)

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(x), 700):
            part = slice(start, start + 700)
            yield {"x": x[part], "y": y[part], "w": np.ones(len(x[part]), np.float32)}

    found = []
    for folder in (None, tmp_path):
        rows = quantized(batches, threads=1, folder=folder, bins=bins)
        assert rows.num_row() == len(x)
        params = {"objective": "binary:logistic", "tree_method": "hist", "subsample": 0.8}
        params |= {"nthread": 1, "max_bin": bins}
        booster = xgboost.train(params, rows, num_boost_round=8)
        found.append(bytes(booster.save_raw(raw_format="ubj")))
        assert bool(list(tmp_path.iterdir())) == (folder is not None)
        del rows
    assert found[0] == found[1]


class Fitting(threading.Thread):
    """A fit that goes on while its workers are killed."""

    def __init__(self, grouped: Grouped, storage: Path) -> None:
        super().__init__()
        self._grouped, self._storage = grouped, storage
        self.said: list[str] = []
        self.model: Model | None = None

    def run(self) -> None:
        self.model = self._grouped.fit(self._storage, tell=self.said.append)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("family", ["boosting", "network"])
def test_a_killed_worker_and_a_damaged_checkpoint_change_no_bit(
    tmp_path: Path, family: str
) -> None:
    grouped = make_grouped(tmp_path, family)
    undisturbed = grouped.fit(tmp_path / "undisturbed", checkpoint_s=1e9)
    fitting = Fitting(grouped, tmp_path / "killed")
    fitting.start()
    await_checkpoints(tmp_path / "killed", 2)
    os.kill(train_workers()[-1], signal.SIGKILL)
    damage_the_newest(tmp_path / "killed")
    fitting.join()
    assert fitting.model is not None
    assert np.array_equal(
        fitting.model.predict(grouped.matrix()), undisturbed.predict(grouped.matrix())
    )
    assert any("the checkpoint is damaged" in text for text in fitting.said), fitting.said


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_group_with_its_bins_on_disk_fits_the_same_trees(
    tmp_path: Path, ray_session: None
) -> None:
    grouped = make_grouped(tmp_path / "table", "boosting")
    models = [
        grouped.fit(tmp_path / f"external-{wanted}", external_memory=wanted)
        for wanted in (False, True)
    ]
    first, second = (model.predict(grouped.matrix()) for model in models)
    assert np.array_equal(first, second)
    assert not list(Path(tempfile.gettempdir()).glob("tenfold-bins-*/*"))


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_group_splits_categories_by_sets(tmp_path: Path, ray_session: None) -> None:
    """Two workers, in memory and on disk, against one fit in this process."""
    grouped = make_grouped(tmp_path / "table", "boosting", native=True)
    alone = fit_in_process(grouped.plan, grouped.rows)
    assert isinstance(alone, BoostedModel)
    assert max(alone.forest.slots) == 31
    for external in (False, True):
        model = grouped.fit(
            tmp_path / f"external-{external}", external_memory=external, checkpoint_s=1e9
        )
        assert isinstance(model, BoostedModel)
        assert model.forest.slots == alone.forest.slots
        again = load_model("boosting", model.files())
        gap = again.predict(grouped.matrix()) - alone.predict(grouped.matrix())
        assert float(np.abs(gap).mean()) < 0.02, "bins of numbers differ, sets do not"
        choice = choose_engine(again, grouped.matrix())
        assert choice.name == "onnx", choice.reason


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_lost_node_leaves_a_smaller_group_that_goes_on(tmp_path: Path) -> None:
    """In a process of its own: its Ray has two nodes, and one of them dies for good."""
    command = [sys.executable, "-m", "tests.tenfold.training.lose_a_node", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=450, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["said"] == ["the cluster holds 1 of 2 training workers: 1 go on"]
    assert len(told["rounds"]) > told["lost_at"], "nothing was saved after the loss"
    assert told["rounds"].count(1) == 1, "it began from the start again"
    assert told["roc_auc"] > 0.8


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_run_on_the_nodes_that_are_meant(tmp_path: Path) -> None:
    """In a process of its own: its Ray has three nodes, two of them with labels."""
    command = [sys.executable, "-m", "tests.tenfold.training.label_a_node", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=250, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"seen": 2, "there": 2}


@pytest.mark.parametrize("file", ["state", "checkpoint.json"])
def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path: Path, file: str) -> None:
    held = Held(7, b"some trees")
    write_checkpoint(tmp_path, held)
    assert read_checkpoint(tmp_path) == held
    write_atomic(tmp_path / file, b'{"at": 7, "sha256": "0"}')
    with pytest.raises(StoreError, match="the checkpoint is damaged"):
        read_checkpoint(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(StoreError):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("facts", [b"[]", b"{}", b'{"at": -1}', b'{"at": "7"}', b"torn"])
def test_facts_of_another_form_are_refused(tmp_path: Path, facts: bytes) -> None:
    write_checkpoint(tmp_path, Held(7, b"some trees"))
    write_atomic(tmp_path / "checkpoint.json", facts)
    with pytest.raises(StoreError):
        read_checkpoint(tmp_path)
