"""The model card: what this model is, how good, on which rows, and where not to use it.

One set of facts, two forms: ``card.md`` for people and tools, ``card.html`` without any outside
resource, readable on a phone and on paper.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenfold.evaluation.calibration import CalibrationBin, calibration_error
from tenfold.evaluation.gates import GateResult
from tenfold.evaluation.intervals import Estimate

__all__ = ["CardFacts", "card_html", "card_markdown", "parameter"]

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
body{color:#1a1f24}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dee4;vertical-align:top}
.ok{color:#116329}.no{color:#a40e26}a{color:#0b5cad}td{overflow-wrap:anywhere}svg{max-width:100%;height:auto}
@media(prefers-color-scheme:dark){body{background:#14181c;color:#e6eaee}td,th{border-color:#39424b}
.ok{color:#57d27c}.no{color:#ff8b94}a{color:#79b8ff}}
"""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Everything a card says. Texts are plain; the forms escape them."""

    project: str
    task: str
    target: str | None
    family: str
    engine: str
    params: Mapping[str, Any]
    metrics: Mapping[str, Estimate]
    """On the sealed test rows (latency: on this machine)."""
    cross_validation: Mapping[str, float]
    baseline: Mapping[str, float]
    """The dummy's test metrics: what an answer without features is worth."""
    gates: Sequence[GateResult]
    rows: Mapping[str, int]
    lineage: Mapping[str, str]
    classes: Sequence[str] = ()
    threshold: float | None = None
    calibration: tuple[CalibrationBin, ...] = ()
    tried: Sequence[tuple[str, int, float]] = ()
    """Per family: name, configurations, best cross-validated score."""
    notes: Sequence[str] = ()
    sections: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()
    """Title and file name of pages beside the card."""


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"


def parameter(value: object) -> str:
    """A parameter for people, with four figures; the manifest holds all of them.

    >>> parameter(0.025575411844), parameter(1.0), parameter(300), parameter("depthwise")
    ('0.02558', '1', '300', 'depthwise')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _tables(facts: CardFacts) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, header and rows of each table of the card."""
    out: list[tuple[str, list[str], list[list[str]]]] = []
    out.append(
        (
            "Quality on the sealed test rows",
            ["measure", "value", "95 % interval", "without features"],
            [
                [
                    name,
                    _number(e.value),
                    f"{_number(e.lower)} to {_number(e.upper)}" if e.lower == e.lower else "",
                    _number(facts.baseline[name]) if name in facts.baseline else "",
                ]
                for name, e in facts.metrics.items()
            ],
        )
    )
    if facts.gates:
        rows = [[g.text, _number(g.value), "holds" if g.holds else "missed"] for g in facts.gates]
        out.append(("Success gates", ["gate", "value", "verdict"], rows))
    cv = [[name, _number(value)] for name, value in facts.cross_validation.items()]
    out.append(("Cross-validation", ["measure", "mean of the folds"], cv))
    if facts.tried:
        tried = [
            [name, str(n), "none" if best != best else _number(best)]
            for name, n, best in facts.tried
        ]
        out.append(("What was tried", ["family", "configurations", "best score"], tried))
    out.append(("Rows", ["part", "rows"], [[k, f"{v:,}"] for k, v in facts.rows.items()]))
    params = [[key, parameter(value)] for key, value in sorted(facts.params.items())]
    out.append(("Parameters", ["name", "value"], params))
    out.append(("Lineage", ["what", "is"], [[k, v] for k, v in facts.lineage.items()]))
    for title, pairs in facts.sections.items():
        out.append((title, ["what", "is"], [list(pair) for pair in pairs]))
    return out


def _summary(facts: CardFacts) -> list[str]:
    what = f"predicts {facts.target!r}" if facts.target else "finds segments"
    lines = [
        f"A {facts.family} model that {what} ({facts.task}); scored by the {facts.engine} engine.",
    ]
    if facts.threshold is not None and len(facts.classes) > 1:
        lines.append(
            f"A row is called {facts.classes[1]!r} from a probability of {facts.threshold:.4f}; "
            "the threshold was chosen on out-of-fold rows."
        )
    if facts.calibration:
        lines.append(
            "Calibration error (expected, equal-mass bins): "
            f"{calibration_error(facts.calibration):.4f}."
        )
    return lines


LIMITS = (
    "Valid for rows like those it was trained on: the monitor says when live rows leave them.",
    "Intervals cover the choice of test rows, not a change of the world after they were collected.",
    "Associations are not causes: acting on a feature need not change the outcome.",
)


def card_markdown(facts: CardFacts) -> str:
    """The card in Markdown with a YAML head that model hubs read."""
    head = ["---", "library_name: tenfold", f"tags: [tabular, {facts.task}]", "---", ""]
    lines = [*head, f"# {facts.project}", "", *_summary(facts), ""]
    if facts.links:
        lines += [" · ".join(f"[{title}]({name})" for title, name in facts.links), ""]
    for title, header, rows in _tables(facts):
        lines += [f"## {title}", "", "| " + " | ".join(header) + " |"]
        lines += ["|" + " --- |" * len(header)]
        lines += [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows
        ]
        lines.append("")
    lines += ["## Limits of use", "", *(f"- {text}" for text in (*facts.notes, *LIMITS)), ""]
    return "\n".join(lines)


def card_html(facts: CardFacts) -> str:
    """The card as one self-contained page."""
    esc = html.escape
    body = [f"<h1>{esc(facts.project)}</h1>", *(f"<p>{esc(line)}</p>" for line in _summary(facts))]
    if facts.links:
        links = (f'<a href="{esc(name)}">{esc(title)}</a>' for title, name in facts.links)
        body.append(f"<p>{' · '.join(links)}</p>")
    for title, header, rows in _tables(facts):
        cells = "".join(
            "<tr>" + "".join(f"<td{_tone(cell)}>{esc(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        top = "".join(f"<th>{esc(cell)}</th>" for cell in header)
        body.append(f"<h2>{esc(title)}</h2><table><tr>{top}</tr>{cells}</table>")
        if title.startswith("Quality") and facts.calibration:
            body.append(f"<h2>Calibration</h2>{_calibration_svg(facts.calibration)}")
    notes = "".join(f"<li>{esc(text)}</li>" for text in (*facts.notes, *LIMITS))
    body.append(f"<h2>Limits of use</h2><ul>{notes}</ul>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{esc(facts.project)}: model card</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>"
    )


def _tone(cell: str) -> str:
    return {"holds": ' class="ok"', "missed": ' class="no"'}.get(cell, "")


def _calibration_svg(table: tuple[CalibrationBin, ...]) -> str:
    """Predicted (across) against observed (up), with the diagonal of a perfect model."""
    size, pad = 300, 44
    span = size - 2 * pad

    def at(x: float, y: float) -> tuple[float, float]:
        return pad + span * x, size - pad - span * y

    points = [at(row.predicted, row.observed) for row in table]
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#0969da"/>' for x, y in points)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    ticks = "".join(
        f'<text x="{at(v, 0)[0]}" y="{y0 + 14}" text-anchor="middle">{v:g}</text>'
        f'<text x="{x0 - 6}" y="{at(0, v)[1] + 4}" text-anchor="end">{v:g}</text>'
        for v in (0.0, 0.5, 1.0)
    )
    return (
        f'<svg viewBox="0 0 {size} {size}" width="{size}" role="img" '
        'aria-label="calibration: predicted against observed share">'
        f'<rect x="{x0}" y="{y1}" width="{span}" height="{span}" fill="none" stroke="#d0d7de"/>'
        f'<g font-size="11" fill="currentColor">{ticks}</g>'
        f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="#8c959f" stroke-dasharray="4"/>'
        f'<polyline points="{path}" fill="none" stroke="#0969da"/>{dots}'
        f'<text x="{size / 2}" y="{size - 6}" text-anchor="middle" font-size="12" '
        'fill="currentColor">predicted</text>'
        f'<text x="10" y="{size / 2}" font-size="12" fill="currentColor" '
        f'transform="rotate(-90 10 {size / 2})" text-anchor="middle">observed</text></svg>'
    )
