"""Centers of a sample, moved to those of all rows: Lloyd's steps over the blocks of a snapshot.

The number of segments and the first centers are found on a sample by hash; every step then reads
all training rows once, block by block, wherever the driver runs it, and adds up the blocks in their
order, so that any driver gives the same bits. Source: S. Lloyd, "Least squares quantization in PCM"
(1982).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tenfold.canonical import write_atomic
from tenfold.data.drivers import Driver
from tenfold.models.arrays import ArrayModel
from tenfold.training.fitter import Plan
from tenfold.training.rows import encode_rows

if TYPE_CHECKING:
    from tenfold.data import Snapshot

__all__ = ["AssignJob", "move_centers"]

Floats = NDArray[np.float64]

MOST_STEPS = 30
STILL = 1e-4
"""The centers stand when they move by less than this share of a column's mean variance, squared and
added up; scikit-learn's rule."""
CHUNK_ROWS = 8192


@dataclass(frozen=True)
class AssignJob:
    """One step over one block: what the rows nearest to each center add up to.

    Attributes:
        folder: of the step.
        paths: the blocks.
        plan: of the fit.
        centers: float64 (k, n_features).
    """

    folder: Path
    paths: Sequence[str]
    plan: Plan
    centers: Floats

    def __call__(self, piece: int) -> None:
        """Write the sums of one block."""
        from safetensors.numpy import save

        from tenfold.data.arrow_file import read_arrow

        prepared = self.plan.prepared
        table = read_arrow(Path(self.paths[piece]))
        rows = encode_rows(self.plan.question, prepared.served.schema, table).training
        matrix = prepared.transform_training(rows.codes, rows.fold)
        found = assign(matrix, rows.weights, self.centers)
        write_atomic(part_file(self.folder, piece), save(dict(found)))


def assign(
    matrix: NDArray[np.float32], weights: Floats | None, centers: Floats
) -> Mapping[str, Floats]:
    """What rows add up to, by the center that is nearest.

    Args:
        matrix: prepared rows (n_rows, n_features).
        weights: of the rows (n_rows,); None for one each.
        centers: (k, n_features).

    Returns:
        ``sums`` (k, n_features) and ``rows`` (k,), weighted; ``squares`` (n_features,) of all rows;
        ``inertia`` (1,), the weighted sum of squared distances.

    >>> found = assign(np.array([[0.0], [2.0], [9.0]], np.float32), None, np.array([[1.0], [9.0]]))
    >>> found["sums"].tolist(), found["rows"].tolist(), found["inertia"].tolist()
    ([[2.0], [9.0]], [2.0, 1.0], [2.0])
    """
    k, n_features = centers.shape
    sums, rows = np.zeros((k, n_features)), np.zeros(k)
    squares, inertia = np.zeros(n_features), np.zeros(1)
    for start in range(0, len(matrix), CHUNK_ROWS):
        x = np.asarray(matrix[start : start + CHUNK_ROWS], dtype=np.float64)
        w = np.ones(len(x)) if weights is None else weights[start : start + CHUNK_ROWS]
        # Center by center: a product by BLAS would give bits that depend on its threads.
        distances = np.stack([((x - center) ** 2).sum(axis=1) for center in centers], axis=1)
        nearest = distances.argmin(axis=1)
        weighted = x * w[:, None]
        for segment in range(k):
            here = nearest == segment
            sums[segment] += weighted[here].sum(axis=0)
            rows[segment] += w[here].sum()
        squares += (weighted * x).sum(axis=0)
        inertia += (distances[np.arange(len(x)), nearest] * w).sum()
    return {"sums": sums, "rows": rows, "squares": squares, "inertia": inertia}


def part_file(folder: Path, piece: int) -> Path:
    """Where the sums of a block lie."""
    return folder / f"part-{piece:05d}.safetensors"


def move_centers(
    model: ArrayModel,
    plan: Plan,
    snapshot: Snapshot,
    *,
    driver: Driver,
    folder: Path,
    tell: Callable[[str], object] = lambda _: None,
) -> ArrayModel:
    """Move the centers of a sample until they stand among all training rows.

    Args:
        model: centers found on a sample.
        plan: of the fit.
        snapshot: reachable from wherever the driver works.
        driver: runs one step's blocks.
        folder: for the sums, of this plan and snapshot alone: a killed run goes on from them.
        tell: hears how many steps it took.

    Returns:
        The model of the moved centers, the largest segment first.
    """
    paths = [str(snapshot.path / b["name"]) for b in snapshot.manifest["blocks"] if b["n_rows"]]
    centers = model.arrays["w0"]
    for number in range(MOST_STEPS):
        job = AssignJob(folder / f"step-{number:03d}", paths, plan, centers)
        total = _step(job, driver)
        n_rows = max(float(total["rows"].sum()), 1.0)
        filled = total["rows"] > 0.0  # a center without rows stays where it is
        moved = np.where(
            filled[:, None], total["sums"] / np.maximum(total["rows"], 1e-300)[:, None], centers
        )
        variance = total["squares"] / n_rows - (total["sums"].sum(axis=0) / n_rows) ** 2
        still = float(((moved - centers) ** 2).sum()) <= STILL * float(variance.mean())
        centers = moved
        if still:
            tell(f"{len(centers)} centers stand after {number + 1} steps over {n_rows:,.0f} rows")
            break
    else:
        tell(f"{len(centers)} centers still moved after {MOST_STEPS} steps over all rows")
    order = np.lexsort((centers[:, 0], -total["rows"]))
    spread = max(float(total["inertia"][0]) / n_rows, 1e-12)
    return replace(model, arrays={"w0": centers[order], "b0": np.array([spread])})


def _step(job: AssignJob, driver: Driver) -> dict[str, Floats]:
    """The sums over all blocks, added up in their order."""
    from safetensors.numpy import load

    job.folder.mkdir(parents=True, exist_ok=True)
    files = [part_file(job.folder, piece) for piece in range(len(job.paths))]
    left = [piece for piece, file in enumerate(files) if not file.exists()]
    for _ in driver.run(job, left):
        pass
    total: dict[str, Floats] = {}
    for file in files:
        for name, value in load(file.read_bytes()).items():
            total[name] = total[name] + value if name in total else value
    return total
