"""The page for people, made from the OpenAPI document alone; it needs no network."""

from __future__ import annotations

import html
import json
from typing import Any, Final

__all__ = ["docs_page"]


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1d2733; background: #fff }}
pre, textarea {{ font: 13px/1.4 ui-monospace, monospace; background: #f4f6f8; padding: .8rem;
  border: 1px solid #d8dee4; border-radius: 6px; overflow: auto; width: 100%;
  box-sizing: border-box }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #e3e8ee;
  vertical-align: top }}
button {{ font: inherit; padding: .4rem 1.2rem; border-radius: 6px; border: 1px solid #2458a8;
  background: #2f6fd0; color: #fff }}
code {{ background: #f4f6f8; padding: 0 .25rem }} .muted {{ color: #5b6773 }}
p, td {{ overflow-wrap: anywhere }}
td.word {{ overflow-wrap: break-word; max-width: 20rem }}
</style></head><body>
<h1>{title}</h1><p class="muted">{description}</p>
<h2>POST /{project}/predict</h2>
<textarea id="body" rows="14" spellcheck="false" aria-label="request body">{body}</textarea>
<p><button id="go">Predict</button>
<label><input type="checkbox" id="warn"> with warnings</label>
<span id="status" class="muted"></span></p>
<pre id="answer" hidden></pre>
<h3>Columns</h3>
<table><tr><th>Column</th><th>Type</th><th></th></tr>{rows}</table>
<p>A text is read as the same cell of the table would be. A missing value is <code>null</code>, or a
text that meant it there; a column left out is an error.</p>
{feedback}
<h2>The other doors</h2>
<p>They take the same rows under the same laws and give the same numbers.</p>
<h3>Columns: POST /{project}/predict</h3>
<pre>{columns}</pre>
<h3>Arrow: POST /{project}/predict</h3>
<p>An uncompressed Arrow IPC stream as <code>application/vnd.apache.arrow.stream</code>; the answer
is one too.</p>
<h3>Open Inference Protocol: POST /{project}/v2/models/{project}/infer</h3>
<p>One tensor per column. The protocol has no missing values: a NaN is one, a JSON null is one, and
a BOOL tensor named like the column and <code>.missing</code> says which are.</p>
<pre>{infer}</pre>
<h2>More</h2>
<ul><li><a href="openapi.json">openapi.json</a></li><li><a href="readyz">readyz</a></li>
<li><a href="metrics">metrics</a></li></ul>
<script>
document.getElementById('go').onclick = async () => {{
  const field = (name) => document.getElementById(name);
  const status = field("status"), answer = field("answer"), bodyField = field("body");
  const start = performance.now();
  try {{
    const query = field('warn').checked ? '?with=warnings' : '';
    const reply = await fetch('predict' + query, {{method: 'POST', body: bodyField.value,
      headers: {{'content-type': 'application/json'}}}});
    const text = await reply.text();
    status.textContent = reply.status + ' in ' + Math.round(performance.now() - start) + ' ms';
    try {{ answer.textContent = JSON.stringify(JSON.parse(text), null, 2); }}
    catch {{ answer.textContent = text; }}
  }} catch (error) {{ status.textContent = ''; answer.textContent = String(error); }}
  answer.hidden = false;
}};
</script></body></html>
"""

_FEEDBACK: Final = """<h2>POST /{project}/feedback</h2>
<p>Send the truth back by prediction id, now or weeks later; it is on disk before the answer.</p>
<pre>{body}</pre>"""


def docs_page(document: dict[str, Any]) -> bytes:
    """A page for people, made from the OpenAPI document alone, with nothing from elsewhere."""
    project = document["info"]["title"]
    schemas = document["components"]["schemas"]
    required = schemas["Row"]["required"]
    cells = "".join(
        f'<tr><td class="word"><code>{html.escape(name)}</code></td>'
        f'<td class="word">{html.escape(_type(prop) if name in required else "optional")}</td>'
        f'<td class="muted">{html.escape(prop.get("description", ""))}</td></tr>'
        for name, prop in schemas["Row"]["properties"].items()
    )
    feedback = ""
    if "/feedback" in document["paths"]:
        label = schemas["Label"]["properties"]["label"]
        shown = label["enum"][0] if "enum" in label else 1.0
        body = _shown({"labels": [{"id": "…", "label": shown}]})
        feedback = _FEEDBACK.format(project=html.escape(project), body=html.escape(body))
    example = _shown(schemas["PredictRequest"]["example"])
    return _PAGE.format(
        title=html.escape(project),
        project=html.escape(project),
        description=html.escape(document["info"]["description"]),
        body=html.escape(example),
        rows=cells,
        columns=html.escape(_shown(schemas["PredictColumnsRequest"]["example"])),
        infer=html.escape(_shown(schemas["InferRequest"]["example"])),
        feedback=feedback,
    ).encode()


def _shown(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _type(prop: dict[str, Any]) -> str:
    return str(prop["type"][0])
