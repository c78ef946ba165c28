"""Where a setting stands in its file."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from bothways.config.lines import Lines

TEXT = '''\
# comment with [brackets] and = signs
data = "a # no comment"

[catalogue]
url = """
[not.a.table]
key = "value"
"""
after = 1
[http]
api_keys = [
  "one", # ] not the end
  "two",
]
listen = '127.0.0.1:8000'
[entities."odd.name".stripe]
fields = { name = "name", email = { field = "email" } }
security.protocol = "SSL"
[[many]]
a = 1
[[many]]
a = 2
'''


def test_every_kind_of_statement_is_found() -> None:
    """Strings and arrays of several lines, quoted and dotted keys and arrays of tables do not shift the count."""
    lines = Lines(TEXT)
    assert lines.of(("data",)) == 2
    assert lines.of(("catalogue", "url")) == 5
    assert lines.of(("catalogue", "after")) == 9
    assert lines.of(("http", "api_keys")) == 11
    assert lines.of(("http", "listen")) == 15
    assert lines.of(("entities", "odd.name", "stripe", "security", "protocol")) == 18
    assert lines.of(("many", "0", "a")) == 20
    assert lines.of(("many", "1", "a")) == 22
    assert lines.of(("not", "a", "table")) is None


def test_what_has_no_line_of_its_own_stands_where_its_holder_stands() -> None:
    """A key within an inline table, an element and a missing key are reported at the line that holds them."""
    lines = Lines(TEXT)
    assert lines.of(("entities", "odd.name", "stripe", "fields", "email", "field")) == 17
    assert lines.of(("http", "api_keys", "1")) == 11
    assert lines.of(("http", "missing")) == 10


names = st.from_regex(r"[a-z_-]{1,6}", fullmatch=True)
values = st.sampled_from(
    ['"a"', "'b'", "1", "true", '"""x\n[y]\n"""', "'''\nz = 1\n'''", "[\n 1,\n 2\n]", '{ a = 1, b = "]" }', '"\\"#"']
)


@given(
    st.dictionaries(names, st.dictionaries(names, values, min_size=1), min_size=1),
    st.sampled_from(["", "\n", "# [c]\n"]),
)
def test_keys_are_found_on_the_lines_they_were_written_on(tables: dict[str, dict[str, str]], between: str) -> None:
    """For any tables, keys and kinds of value, the line is the one that the key was written on."""
    text = ""
    expected: dict[tuple[str, ...], int] = {}
    for table, keys in tables.items():
        text += between
        expected[(table,)] = text.count("\n") + 1
        text += f"[{table}]\n"
        for key, value in keys.items():
            expected[(table, key)] = text.count("\n") + 1
            text += f"{key} = {value} # end\n"
    tomllib.loads(text)
    assert Lines(text).known() == expected
