"""What a training of segments does in place of a search, and how it tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tenfold.progress import Progress
from tenfold.training.choosing import Choice, choose_segments
from tenfold.training.finish import Finished
from tenfold.training.search import Limits, Material, OnTried
from tenfold.training.segments import figures_of

__all__ = ["choice_section", "run_choice", "segments_record"]


def run_choice(
    material: Material, limits: Limits, *, progress: Progress, on_tried: OnTried | None = None
) -> Choice:
    """Choose the number of segments, and tell of it.

    Args:
        material: rows and question.
        limits: trials and seconds; there are no sessions, since a fit takes milliseconds.
        progress: is told of the step.
        on_tried: is told of everything that ended; must be quick.

    Raises:
        DataError: no number of segments fits the rows.
    """
    with progress.step("segments", seconds=limits.seconds):
        return choose_segments(
            material, trials=limits.trials, seconds=limits.seconds, on_tried=on_tried
        )


def choice_section(found: object) -> Mapping[str, Sequence[tuple[str, str]]]:
    """What the card says of each number of segments; nothing for what is no `Choice`."""
    if not isinstance(found, Choice):
        return {}
    cuts = sorted(found.cuts, key=lambda cut: cut.k)
    return {"Number of segments": [(f"{cut.k} segments", cut.told()) for cut in cuts]}


def segments_record(finished: Finished, found: object) -> dict[str, Any] | None:
    """Verdict, segments and the choice of their number, as JSON values."""
    if finished.segments is None:
        return None
    cuts = found.cuts if isinstance(found, Choice) else ()
    return finished.segments.to_dict() | {"choice": figures_of(cuts)}
