"""Why a request gets no answer, in the words of both protocols."""

from __future__ import annotations

import grpc

#: HTTP status of each code that a request can end with.
HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


#: Letters of a message; gRPC's clients take no more than some kilobytes.
_LONGEST = 1000


class RefusedError(Exception):
    """A request that is not answered.

    Parameters
    ----------
    code : grpc.StatusCode
        Whose fault it is, and whether to try again.
    message : str
        What was expected, what was received, what to do. A request may bring names of
        any length: what is too long is cut.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        if len(message) > _LONGEST:
            message = f"{message[:_LONGEST]} ..."
        super().__init__(message)
        self.code, self.message = code, message


def bad(message: str) -> RefusedError:
    """Return the error of a request that is wrong and stays so."""
    return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)


def unknown(message: str) -> RefusedError:
    """Return the error of a request for what is not here."""
    return RefusedError(grpc.StatusCode.NOT_FOUND, message)


def busy(message: str) -> RefusedError:
    """Return the error of a request that had better come again later."""
    return RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
