"""Only the fields that templates read are read of a struct, and what is rendered does not change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compiled_kit import KEY, make, outcomes_by_reference, outcomes_of
from instructify.build.fields import fields_read
from instructify.render.compiled import BatchTemplate, Rows
from instructify.sources import read_rows
from sources_kit import opened

ROWS = [
    {"q": f"q{n}", "a": {"text": [f"a{n}", "b"], "start": [n, 1], "deep": {"x": f"x{n}", "y": "y"}}}
    for n in range(200)
]
ROWS[3]["a"] = None
WHOLE: frozenset[tuple[str, ...]] = frozenset({()})
CASES = {
    "{{ q }} ||| {{ a.text[0] }}": {("text",)},
    "{{ q }} ||| {{ a['text'] | join(', ') }}": {("text",)},
    "{{ a.deep.x }} ||| {{ a.text | length }}": {("text",), ("deep", "x")},
    "{{ a.deep }} ||| {{ a.deep.x }}": {("deep",), ("deep", "x")},
    "{{ a.text[0] }} ||| {{ a }}": WHOLE,
    "{% for name in a %}{{ name }}{% endfor %} ||| {{ a.text[0] }}": WHOLE,
    "{% for name, value in a.items() %}{{ name }}{% endfor %} ||| {{ a.text[0] }}": WHOLE,
    "{{ a.missing | default('none') }} ||| {{ a.text[0] }}": WHOLE,
    "{{ a['te' ~ 'xt'] }} ||| {{ q }}": WHOLE,
    "{{ a.text[0] }}{{ a.text.append('c') or '' }} ||| {{ q }}": WHOLE,
    "{% set b = a %}{{ b.start[0] }} ||| {{ a.text[0] }}": WHOLE,
}


@pytest.mark.parametrize("body", CASES)
def test_the_fields_of_a_struct_that_a_template_reads_are_all_that_is_read_and_render_the_same(
    tmp_path: Path, body: str
) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet", row_group_size=70)
    source = opened(tmp_path, "rows.parquet")
    whole = read_rows(source, 0, len(ROWS), ["q", "a"])
    compiled = BatchTemplate(make(body))
    fields = fields_read([compiled], whole.schema)
    assert fields.get("a", WHOLE) == CASES[body]
    part = read_rows(source, 0, len(ROWS), ["q", "a"], fields)
    assert (part.schema == whole.schema) == (CASES[body] == WHOLE)
    numbers = np.arange(len(ROWS))
    expected = outcomes_by_reference(make(body), whole, numbers)
    assert outcomes_of(compiled.render(Rows(part, numbers), KEY), len(ROWS)) == expected
    assert outcomes_by_reference(make(body), part, numbers) == expected


def test_templates_together_read_what_each_of_them_reads() -> None:
    schema = pa.schema({"a": pa.struct({"x": pa.string(), "y": pa.string(), "z": pa.string()})})
    one, two = (BatchTemplate(make(body)) for body in ("{{ a.x }} ||| x", "{{ a.y }} ||| x"))
    assert fields_read([one, two], schema) == {"a": {("x",), ("y",)}}
    assert fields_read([one, BatchTemplate(make("{{ a }} ||| x"))], schema) == {}


def test_fields_whose_names_have_dots_are_read_with_their_struct() -> None:
    schema = pa.schema({"a": pa.struct({"x.y": pa.string(), "x": pa.string()})})
    assert fields_read([BatchTemplate(make("{{ a['x.y'] }} ||| x"))], schema) == {}
