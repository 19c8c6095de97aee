"""The prediction and label logs of a project, as the endpoint's committer leaves them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from tenfold.live import log_tables
from tenfold.settings import Settings

START = datetime(2026, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")


def log(
    settings: Settings,
    table: pa.Table,
    *,
    first: int = 0,
    project: str = "flip",
    target: str = "y",
) -> None:
    """Answered rows, one a second, and their labels in another order.

    Args:
        settings: where the logs are.
        table: features and target.
        first: rows that were answered before.
        project: whose logs.
        target: of the table.
    """
    n_rows = table.num_rows
    ids = [f"id-{first + n}" for n in range(n_rows)]
    at = pa.array([START + timedelta(seconds=first + n) for n in range(n_rows)], TIME)
    predictions, labels = log_tables(settings.live, project)
    answered = table.drop_columns([target]).append_column("__id", pa.array(ids))
    write_deltalake(str(predictions), answered.append_column("__at", at), mode="append")
    order = np.random.default_rng(0).permutation(n_rows)
    times = {"observed_at": at, "received_at": at}
    truths = pa.table({"id": ids, "label": table.column(target), **times, "source": [""] * n_rows})
    write_deltalake(str(labels), truths.take(pa.array(order)), mode="append")
