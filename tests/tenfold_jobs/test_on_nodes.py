"""What the project says of nodes is where its fits run: on a cluster of real nodes with labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tenfold_jobs.probing import body, install_probe, prepared, run_probed, write_table


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_fits_run_on_the_nodes_that_the_project_means(tmp_path: Path) -> None:
    install_probe(tmp_path)
    write_table(tmp_path)
    prepared(tmp_path)
    asked = body("probe", "linear", nodes={"pool": "in(x, y)"})
    told, notes = run_probed(
        tmp_path, ["-m", "tests.tenfold_jobs.on_nodes", json.dumps(asked), str(tmp_path)]
    )
    assert told["differ"] == []
    assert told["nodes"] == {"pool": "in(x,y)"}
    assert told["at_once"] == 1, "one core is meant"
    assert any(
        reason.startswith("fits run on 1 of 3 nodes (") and "(pool: in(x,y))" in reason
        for reason in told["reasons"]
    )
    assert told["n_tried"] == 4
    assert {note["labels"].get("pool") for note in notes} == {"x"}
    assert {note["session"] for note in notes} == {True, False}, "sessions and last fits"
    assert told["refused"] == (
        "train.nodes: must mean a node that is up (pool: nowhere); found pool: rest, x, none on 1 "
        "node; start a node with such labels (ray start --labels), or change or remove train.nodes"
    )
