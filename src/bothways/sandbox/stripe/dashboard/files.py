"""The page's own files. They come from the package, and the page may load nothing from anywhere else."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from bothways.sandbox.stripe.errors import ApiError
from bothways.sandbox.stripe.words import Request, Response

PREFIX = "/dashboard"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""No script but ours, and not even ours can make markup of text: every value is shown as text."""
HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)


def serves(path: str) -> bool:
    """Whether an address is the page's, or leads to it."""
    return path in ("/", PREFIX) or path.startswith(f"{PREFIX}/")


def answer(request: Request) -> Response:
    """The file, or where the page is. Raises ``ApiError``."""
    if request.method not in ("GET", "HEAD"):
        raise ApiError(405, "The page can only be read.", headers=(("Allow", "GET, HEAD"),))
    if request.path in ("/", PREFIX):
        return Response(307, b"", (("Location", f"{PREFIX}/"), *HEADERS))
    found = _all().get(request.path.removeprefix(f"{PREFIX}/") or "index.html")
    if found is None:
        raise ApiError(404, "The page has no such file.")
    media_type, content = found
    return Response(200, content, (("Content-Type", media_type), *HEADERS))


@cache
def _all() -> dict[str, tuple[str, bytes]]:
    """Name → media type and content: a table of what there is, so that no path leads anywhere else."""
    return {
        each.name: (TYPES[suffix], each.read_bytes())
        for each in files(__package__).joinpath("static").iterdir()
        if (suffix := "." + each.name.rpartition(".")[2]) in TYPES
    }
