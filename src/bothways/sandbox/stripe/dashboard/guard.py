"""Who may look into the sandbox and change it by hand: a person or a program on this machine, no other site's page.

There is no login. A browser on this machine is let in, and it also runs the pages of strangers, so that two things are
asked of every request beside where it comes from: that it names this machine itself (a stranger can point a name of
theirs at 127.0.0.1), and that, where a page makes it, the page is ours.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from bothways.sandbox.stripe.errors import ApiError
from bothways.sandbox.stripe.words import Request

OWN = ("same-origin", "none")
"""What browsers say in ``Sec-Fetch-Site`` of our own page, and of an address that somebody typed."""


def check_caller(request: Request, client: str | None, *, everybody: bool) -> None:
    """It comes from this machine, unless everybody may look in, and names it. Raises ``ApiError`` 403."""
    if not everybody and (client is None or not ip_address(client).is_loopback):
        raise ApiError(403, "Only this machine may do this.")
    if not _is_address(request.headers.get("host", "localhost")):
        raise ApiError(403, "Ask for localhost or an IP address: under other names the sandbox shows nothing.")


def check_page(request: Request) -> None:
    """If a page makes it, it is the sandbox's own. Raises ``ApiError`` 403."""
    origin, host = request.headers.get("origin"), request.headers.get("host")
    site = request.headers.get("sec-fetch-site", "none")
    if site not in OWN or (origin is not None and origin != f"http://{host}"):
        raise ApiError(403, "Only the sandbox's own page may do this.")


def _is_address(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False
