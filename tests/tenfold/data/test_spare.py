"""A broken file among many: named, or told in the quarantine table, as the project says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenfold.data import RayData, Snapshot, prepare
from tenfold.errors import DataError
from tenfold.settings import Settings

SPARE = {"on_bad_file": "quarantine"}


def _settings(folder: Path) -> Settings:
    return Settings.from_env({"TENFOLD_HOME": str(folder)})


def _rows(part: int) -> list[str]:
    return [f"{part * 20 + row},{'yes' if (part + row) % 3 else 'no'}" for row in range(20)]


@pytest.fixture
def csv_parts(tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    folder.mkdir()
    for part in range(100):
        (folder / f"{part:03d}.csv").write_text("\n".join(["x,y", *_rows(part)]) + "\n")
    return folder


@pytest.fixture
def parquet_parts(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    for part in range(30):
        random = np.random.default_rng(part)
        rows = {"x": random.normal(size=200), "y": ["yes" if n % 3 else "no" for n in range(200)]}
        pq.write_table(pa.table(rows), folder / f"{part:03d}.parquet", compression="gzip")
    return folder


def _break(file: Path, how: str) -> None:
    data = file.read_bytes()
    if how == "empty":
        file.write_bytes(b"")
    elif how == "truncated":
        file.write_bytes(data[: len(data) // 2])
    elif how == "other bytes":
        file.write_bytes(b"\xff\xfe" + data[:20])
    else:  # in the middle of the pages, behind a footer that still reads
        middle = len(data) // 4
        file.write_bytes(data[:middle] + b"\x00\xff" * 40 + data[middle + 80 :])


@pytest.mark.parametrize("how", ["empty", "other bytes"])
def test_a_broken_csv_file_is_named_or_spared(
    csv_parts: Path, tmp_path: Path, make_project: Any, how: str
) -> None:
    broken = csv_parts / "042.csv"
    _break(broken, how)
    with pytest.raises(DataError, match=r"042\.csv"):
        prepare(make_project(csv_parts), settings=_settings(tmp_path))
    snapshot = prepare(make_project(csv_parts, prepare=SPARE), settings=_settings(tmp_path))
    assert (snapshot.n_rows, snapshot.n_quarantined) == (1980, 1)
    _told(snapshot, broken, position=841)


def _told(snapshot: Snapshot, broken: Path, *, position: int) -> None:
    told = snapshot.quarantine().to_pylist()
    assert [(row["position"], row["column"], row["value"]) for row in told] == [
        (position, None, str(broken)[:200])
    ]
    assert told[0]["reason"].startswith(f"cannot be read: source {told[0]['source']!r}: ")
    assert str(broken) in told[0]["reason"]
    assert snapshot.quarantine_rate == 1 / (snapshot.n_rows + 1)
    assert snapshot.manifest["n_quarantined_files"] == 1
    assert snapshot.manifest["quarantine_causes"] == {"unreadable_file": 1}


@pytest.mark.parametrize("how", ["empty", "truncated", "other bytes", "damaged pages"])
def test_a_broken_parquet_file_is_named_or_spared(
    parquet_parts: Path, tmp_path: Path, make_project: Any, how: str
) -> None:
    broken = parquet_parts / "012.parquet"
    _break(broken, how)
    with pytest.raises(DataError, match=r"012\.parquet"):
        prepare(make_project(parquet_parts), settings=_settings(tmp_path))
    snapshot = prepare(make_project(parquet_parts, prepare=SPARE), settings=_settings(tmp_path))
    assert (snapshot.n_rows, snapshot.n_quarantined) == (5800, 1)
    _told(snapshot, broken, position=2401)


def test_a_truncated_csv_file_loses_one_record(
    csv_parts: Path, tmp_path: Path, make_project: Any
) -> None:
    broken = csv_parts / "042.csv"
    broken.write_bytes(broken.read_bytes()[:-5])
    snapshot = prepare(make_project(csv_parts), settings=_settings(tmp_path))
    assert snapshot.n_rows == 1999
    assert snapshot.quarantine()["reason"].to_pylist() == ["has 1 cells, the header names 2"]


def test_the_first_file_may_be_the_broken_one_and_ray_tells_the_same(
    csv_parts: Path, tmp_path: Path, make_project: Any, ray_session: None
) -> None:
    _break(csv_parts / "000.csv", "empty")
    for more in sorted(csv_parts.iterdir())[25:]:
        more.unlink()  # each piece is a task of Ray's
    project = make_project(csv_parts, prepare=SPARE)
    local = prepare(project, settings=_settings(tmp_path / "local"))
    by_ray = prepare(
        project, settings=_settings(tmp_path / "ray"), drivers=lambda _size_bytes: RayData()
    )
    assert (local.digest, local.folds_digest) == (by_ray.digest, by_ray.folds_digest)
    assert local.quarantine() == by_ray.quarantine()
    assert local.quarantine()["position"].to_pylist() == [1]


def test_too_many_broken_files_stop_with_a_summary(
    csv_parts: Path, tmp_path: Path, make_project: Any
) -> None:
    for part in range(6):
        _break(csv_parts / f"{part:03d}.csv", "other bytes")
    with pytest.raises(DataError) as caught:
        prepare(make_project(csv_parts, prepare=SPARE), settings=_settings(tmp_path))
    message = str(caught.value)
    assert message.startswith(
        "source 'parts': 6 of 100 pieces have no row that can be read, more than "
        "prepare.max_bad_fraction allows (0.05): cannot be read: source 'parts': "
    )
    assert message.endswith("mend the files or raise prepare.max_bad_fraction")
    for part in range(100):
        _break(csv_parts / f"{part:03d}.csv", "empty")
    with pytest.raises(DataError, match=r"000\.csv is empty"):
        prepare(make_project(csv_parts, prepare=SPARE), settings=_settings(tmp_path))
