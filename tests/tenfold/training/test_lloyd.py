"""Centers moved over the blocks of a snapshot, against scikit-learn on the whole matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.cluster import KMeans

from tenfold.data import Driver, InProcess, RayData, Snapshot, prepare
from tenfold.data.drivers import Job
from tenfold.models.arrays import ArrayModel
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold.training.fitter import Fitter, Part, Plan
from tenfold.training.lloyd import MOST_STEPS, move_centers
from tenfold.training.question import question_of
from tenfold.training.rows import TrainingRows, load_rows
from tenfold.training.search import Material

K = 3


class Blobs:
    """Three blobs in five files, and centers that a few of their rows gave."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        centers = np.array([[0.0, 0.0], [4.0, 1.0], [1.0, 5.0]])
        x = (centers[rng.integers(0, K, 5000)] + rng.normal(size=(5000, 2))).round(4)
        for number in range(5):
            part = x[number * 1000 : (number + 1) * 1000]
            (folder / f"{number}.arrow").write_bytes(_ipc(part))
        project = Project.from_dict(
            {
                "problem": {"task": "clustering"},
                "data": {"sources": [{"path": "*.arrow"}]},
                "train": {"folds": 2},
            }
        ).at(folder)
        settings = Settings.from_env({"TENFOLD_HOME": str(folder / "home")})
        self.snapshot: Snapshot = prepare(project, settings=settings)
        question = question_of(project, self.snapshot)
        self.rows: TrainingRows = load_rows(self.snapshot, question).training
        material = Material(self.rows, self.snapshot.profiles(), self.snapshot.schema, question, 1)
        prepared = Fitter(material).prepared(Part("kmeans", {"k": K}))
        self.plan = Plan("kmeans", {"k": K}, prepared, question, 1)
        self.matrix = prepared.served.transform_codes(self.rows.codes)
        few = self.matrix[:60].astype(np.float64)
        start = KMeans(n_clusters=K, n_init=1, random_state=0).fit(few).cluster_centers_
        self.start = ArrayModel("kmeans", {"w0": start, "b0": np.ones(1)}, "nearest", 2, K)

    def moved(self, driver: Driver, folder: Path, said: list[str] | None = None) -> ArrayModel:
        return move_centers(
            self.start,
            self.plan,
            self.snapshot,
            driver=driver,
            folder=folder,
            tell=[].append if said is None else said.append,
        )


def _ipc(part: np.ndarray) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"a": part[:, 0], "b": part[:, 1]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    return Blobs(tmp_path_factory.mktemp("blobs"))


def test_centers_end_where_scikit_learn_s_end_on_all_rows(blobs: Blobs, tmp_path: Path) -> None:
    said: list[str] = []
    model = blobs.moved(InProcess(n_threads=2), tmp_path, said)
    assert len(blobs.snapshot.manifest["blocks"]) == 5
    whole = KMeans(n_clusters=K, init=blobs.start.arrays["w0"], n_init=1)
    whole.fit(blobs.matrix.astype(np.float64))
    order = np.lexsort((whole.cluster_centers_[:, 0], -np.bincount(whole.labels_)))
    assert model.arrays["w0"] == pytest.approx(whole.cluster_centers_[order], abs=0.02)
    n_rows = len(blobs.matrix)
    assert model.arrays["b0"][0] == pytest.approx(whole.inertia_ / n_rows, rel=1e-3)
    assert n_rows > len(blobs.matrix[:60])
    assert len(said) == 1
    assert f"over {n_rows:,} rows" in said[0]


class _Dies(InProcess):
    """Works on some pieces and then is gone."""

    def __init__(self, pieces: int) -> None:
        super().__init__(n_threads=1)
        self._left = pieces

    def run(self, job: Job, pieces: Sequence[int]) -> Iterator[int]:
        """Run, and die."""
        for piece in super().run(job, pieces):
            if not self._left:
                raise KeyboardInterrupt
            self._left -= 1
            yield piece


class _Counts(InProcess):
    """Counts the pieces that it is given."""

    def __init__(self) -> None:
        super().__init__(n_threads=1)
        self.pieces = 0

    def run(self, job: Job, pieces: Sequence[int]) -> Iterator[int]:
        """Run, and count."""
        self.pieces += len(pieces)
        return super().run(job, pieces)


def test_killed_anywhere_it_goes_on_to_the_same_bits(blobs: Blobs, tmp_path: Path) -> None:
    whole = _Counts()
    wanted = blobs.moved(whole, tmp_path / "whole").files()
    with pytest.raises(KeyboardInterrupt):
        blobs.moved(_Dies(8), tmp_path / "killed")
    rest = _Counts()
    assert blobs.moved(rest, tmp_path / "killed").files() == wanted
    assert rest.pieces < whole.pieces - 7


def test_ray_gives_the_bits_of_one_process(blobs: Blobs, tmp_path: Path, ray_session: None) -> None:
    here = blobs.moved(InProcess(), tmp_path / "here").files()
    assert blobs.moved(RayData(), tmp_path / "ray").files() == here


def test_a_center_without_rows_stays(blobs: Blobs, tmp_path: Path) -> None:
    far = np.vstack([blobs.start.arrays["w0"][:2], [[99.0, 99.0]]])
    start = ArrayModel("kmeans", {"w0": far, "b0": np.ones(1)}, "nearest", 2, K)
    driver = InProcess(n_threads=1)
    model = move_centers(start, blobs.plan, blobs.snapshot, driver=driver, folder=tmp_path / "far")
    assert model.arrays["w0"][-1].tolist() == [99.0, 99.0]
    assert len(list((tmp_path / "far").iterdir())) <= MOST_STEPS
