"""Errors in the form that OpenAI's clients read, whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ApiError(Exception):
    """What a client is told. `message` never holds anything that was sent.

    `status`: of HTTP; `code`: a word for programs; `param`: the field that is meant; `headers`: sent along.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the error's JSON."""
        return error_body(self.status, self.message, self.code, self.param)

    def response(self) -> JSONResponse:
        """Return the error as a response."""
        return JSONResponse(self.body(), self.status, self.headers)


def error_body(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    """Return {"error": {message, type, param, code}}."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
