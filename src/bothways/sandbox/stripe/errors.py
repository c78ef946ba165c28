"""Errors as Stripe words them: HTTP status, type, code, parameter, message.

The wording is what clients show to people and, at times, look for; it follows answers of the real service that people
quoted in public issues. Where a code is not in Stripe's list of error codes, none is sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from bothways.sandbox.stripe.words import Document, Raw

DOCS = "https://stripe.com/docs"
HELP = f"Please see {DOCS} or we can help at https://support.stripe.com/."


class ApiError(Exception):
    """A request that is answered with an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.headers = headers

    def document(self) -> Document:
        """The answer's body."""
        error: Document = {"message": self.message, "type": self.type}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = f"{DOCS}/error-codes/{self.code.replace('_', '-')}"
        if self.param:
            error["param"] = self.param
        return {"error": error}


def unknown_parameters(names: Sequence[str]) -> ApiError:
    """Parameters that the endpoint does not have."""
    many = "s" if len(names) > 1 else ""
    return ApiError(
        400, f"Received unknown parameter{many}: {', '.join(names)}", code="parameter_unknown", param=names[0]
    )


def missing_parameter(name: str) -> ApiError:
    """A required parameter was not sent."""
    return ApiError(400, f"Missing required param: {name}.", code="parameter_missing", param=name)


def empty_parameter(name: str) -> ApiError:
    """'' for something that cannot be unset."""
    return ApiError(
        400,
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; however "
        f"'{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value.",
        code="parameter_invalid_empty",
        param=name,
    )


def wrong_type(kind: str, raw: Raw, path: str, code: str | None = None) -> ApiError:
    """A value that is no string, integer … ; shortened as Stripe does."""
    shown = raw if isinstance(raw, str) else orjson.dumps(raw).decode()
    return ApiError(400, f"Invalid {kind}: {shorten(shown)}", code=code, param=path)


def too_long(raw: str, most: int, path: str) -> ApiError:
    """Text over its limit."""
    return ApiError(400, f"Invalid string: {shorten(raw)}; must be at most {most} characters", param=path)


def no_such(noun: str, id: str, param: str, status: int = 400) -> ApiError:
    """An id that names nothing: 404 if it stood in the path, 400 if it was a parameter."""
    return ApiError(status, f"No such {noun}: '{shorten(id, 100)}'", code="resource_missing", param=param)


def unrecognised_url(method: str, path: str) -> ApiError:
    """No such endpoint, or not with this method."""
    return ApiError(404, f"Unrecognized request URL ({method}: {shorten(path, 200)}). {HELP}")


def rate_limited(reason: str) -> ApiError:
    """Too many requests; ``reason`` as in the header that Stripe sends."""
    return ApiError(
        429,
        f"Request rate limit exceeded. Learn more about rate limits here {DOCS}/rate-limits.",
        code="rate_limit",
        headers=(("Stripe-Rate-Limited-Reason", reason),),
    )


def lock_timeout() -> ApiError:
    """Another request holds the object; without the rate limit's header."""
    return ApiError(
        429,
        "This object cannot be accessed right now because another API request or Stripe process is currently "
        "accessing it. If you see this error intermittently, retry the request.",
        code="lock_timeout",
    )


def internal(status: int = 500) -> ApiError:
    """Trouble on the server's side, made on demand."""
    return ApiError(
        status,
        "An unexpected error occurred on our end. The sandbox was told to fail here.",
        type="api_error",
    )


def shorten(text: str, most: int = 50) -> str:
    """Long values as their first and last characters."""
    return text if len(text) <= most else f"{text[:4]}...{text[-4:]}"
