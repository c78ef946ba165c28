"""Values in their canonical form: what JSON can say, one form per type on both sides.

============== =====================================================================
kind           canonical form
============== =====================================================================
integer        ``int``
decimal        ``str`` as the database prints it, scale kept: ``"12.50"``
float          ``float``; ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` as text
text, uuid     ``str``
boolean        ``bool``
date, time     ISO 8601 text: ``"2026-11-22"``, ``"12:34:56.789012"``
timestamp      ISO 8601 text with microseconds as needed: ``"2026-11-22T12:34:56.5"``
timestamptz    the same in UTC, with ``Z`` at the end
bytes          base64 text
json           the value itself
array          ``list``
null, missing  ``None``
============== =====================================================================
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "None | bool | int | float | str | Sequence[Value] | Mapping[str, Value]"
Values: TypeAlias = Mapping[str, Value]
