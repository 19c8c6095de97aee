"""What the plan says of GPUs is what runs: on a Ray that counts a GPU which is none.

A family of an installed package notes where its fits ran (`tests.tenfold_jobs.probing`), so nothing
of ours stands in for anything.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tenfold.data import prepare
from tenfold.errors import ProjectError
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold_jobs.train import run_train
from tests.tenfold_jobs.probing import body, install_probe, prepared, run_probed, write_table

pytestmark = pytest.mark.slow

Notes = list[dict[str, Any]]
TRAIN = """
    import json
    import os
    import pathlib
    import sys

    from tenfold.cluster.connect import CLOSED_EXPORTERS, auth_environment
    from tenfold.project import Project
    from tenfold.settings import Settings

    settings = Settings.from_env()
    os.environ |= {**auth_environment(settings), **CLOSED_EXPORTERS}
    import ray

    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False, address="local")
    from tenfold_jobs.train import run_train

    project = Project.from_dict(json.loads(sys.argv[1])).at(pathlib.Path(sys.argv[2]))
    record = run_train(project, settings)
    print(json.dumps({"family": record.family, "n_tried": record.n_tried}))
    ray.shutdown()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    install_probe(tmp_path)
    write_table(tmp_path)
    return tmp_path


def train(folder: Path, *, device: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a training in a process of its own reports, and the notes of its fits."""
    prepared(folder)
    asked = json.dumps(body("probe", "linear", device=device))
    return run_probed(folder, ["-c", textwrap.dedent(TRAIN), asked, str(folder)])


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Notes, Notes]:
    """What a training and a retrain of its champion tell, and the notes of the fits of each."""
    folder = tmp_path_factory.mktemp("walked")
    install_probe(folder)
    write_table(folder)
    prepared(folder)
    asked = body("probe", device="gpu", prefer="latency")
    asked["retrain"] = {"search_budget": "45s"}
    told, notes = run_probed(
        folder, ["-m", "tests.tenfold_jobs.retrain_on_gpus", json.dumps(asked), str(folder)]
    )
    return told, notes[: told["n_trained"]], notes[told["n_trained"] :]


@pytest.mark.timeout(300)
def test_sessions_and_last_fits_have_the_share_that_the_plan_names(
    walked: tuple[dict[str, Any], Notes, Notes],
) -> None:
    told, notes, _ = walked
    in_sessions = [note for note in notes if note["session"]]
    last = [note for note in notes if not note["session"]]
    assert len(in_sessions) >= 2
    assert last, "no last fit of the family ran in a task of its own"
    for note in notes:
        assert note["pid"] != told["pid"]
        assert note["device"] == "cuda"
        assert note["gpus"] == [0]
        assert note["given"]["GPU"] == 0.5, "two sessions to one GPU on two cores"
        assert note["given"]["CPU"] == 1.0
    most = max(note["rows"] for note in in_sessions)
    assert all(note["rows"] > most for note in last), "a last fit sees all folds"


@pytest.mark.timeout(300)
def test_a_retrain_has_it_too(walked: tuple[dict[str, Any], Notes, Notes]) -> None:
    """The contest of the windows, the folds of the recipe, the search where it misses a gate, and
    every last fit."""
    told, _, notes = walked
    assert told["family"] == "probe"
    assert told["windows"] == ["everything", "live"]
    assert told["searched"]
    assert {note["session"] for note in notes} == {True, False}
    for note in notes:
        assert note["pid"] != told["pid"]
        assert (note["device"], note["gpus"]) == ("cuda", [0])
        assert note["given"]["GPU"] == 0.5


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_small_table_stays_on_cpu_beside_a_gpu(folder: Path) -> None:
    _told, notes = train(folder, device="auto")
    assert notes
    for note in notes:
        assert note["device"] == "cpu"
        assert "GPU" not in note["given"]
        assert note["gpus"] == []


@pytest.mark.usefixtures("ray_session")
def test_a_gpu_that_is_not_there_is_one_clear_error(folder: Path, settings: Settings) -> None:
    project = Project.from_dict(body("boosting", device="gpu")).at(folder)
    prepare(project, settings=settings)
    with pytest.raises(ProjectError) as caught:
        run_train(project, settings)
    assert str(caught.value) == (
        "train.device: gpu needs a GPU that runs CUDA; found none; start a node that has one, "
        "or write 'device: auto'"
    )
