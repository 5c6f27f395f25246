"""HTTP requests that are wrong, each in its own way, as bytes on the wire."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sent:
    """A request as it goes over the wire."""

    kind: str
    raw: bytes


def _http(
    body: bytes,
    path: str = ":predict",
    *headers: str,
    method: str = "POST",
    length: str | None = None,
) -> bytes:
    """Return a request; `path` comes after the model's, or begins with ``/``."""
    path = path if path.startswith("/") else "/v1/models/MODEL" + path
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body


def _deep(rng: np.random.Generator) -> bytes:
    opening = str(rng.choice(["[", '{"inputs":', '{"instances":[']))
    return _http((opening * int(10 ** rng.uniform(3, 5))).encode())


def _wide(rng: np.random.Generator) -> bytes:
    """Return many keys, one twice, or many rows."""
    n = int(10 ** rng.uniform(2, 4))
    kind = int(rng.integers(3))
    if kind == 0:
        return _http(json.dumps({f"key {i}" * 20: i for i in range(n)}).encode())
    if kind == 1:
        return _http(b'{"inputs": 1, "inputs": [' + b"0," * n + b"0]}")
    return _http(json.dumps({"instances": [{"image": 1}] * n}).encode())


def _number(rng: np.random.Generator) -> bytes:
    """Return numbers that are none, or that no array holds."""
    texts = ["nan", "-NaN", "Infinity1", "1e", "0x1F", "+1", "1" * 5000, "9" * 400]
    texts += ["NaN", "[NaN]", "[1e999]", "[[1], NaN]", '["NaN"]', "true", "null"]
    return _http(b'{"inputs": {"images": %s}}' % str(rng.choice(texts)).encode())


def _seed(rng: np.random.Generator) -> bytes:
    """Return seeds that are no int32, beside images of no rows."""
    seed = str(rng.choice(["[NaN]", "[1.5]", "[4000000000]", "[1]", "[[1]]", "[true]"]))
    inputs = b'{"images": [], "seed": %s}' % seed.encode()
    return _http(b'{"signature_name": "samples", "inputs": %s}' % inputs)


def _type(rng: np.random.Generator) -> bytes:
    wrong = [1, "abc", None, {}, True, [[1, 2], [3]], [["a"]], [{"images": None}]]
    wrong += [[[1, 2], [3, 4]], [1, {"images": 1}], [{}], [[]], [[[]]], {"image": [1]}]
    form = str(rng.choice(["instances", "inputs"]))
    value = wrong[int(rng.integers(len(wrong)))]
    return _http(json.dumps({form: value}).encode())


def _form(rng: np.random.Generator) -> bytes:
    wrong = [b"", b"null", b"[]", b"{}", b'{"instances": [], "inputs": []}', b'"x"']
    wrong += [
        b'{"instances": [], "signature_name": 3}',
        b'{"signature_name": "samples"}',
    ]
    wrong += [b'{"instances": [], "signature_name": "%s"}' % (b"x" * 100_000)]
    return _http(wrong[int(rng.integers(len(wrong)))])


def _cut(rng: np.random.Generator) -> bytes:
    text = json.dumps({"instances": np.ones((1, 16, 16, 3)).tolist()}).encode()
    return _http(text[: int(rng.integers(len(text)))])


def _noise(rng: np.random.Generator) -> bytes:
    types = ["application/grpc", "multipart/form-data", "text/xml; charset=nonsense"]
    types += ["application/x-www-form-urlencoded", "application/octet-stream", "x"]
    kind = f"Content-Type: {rng.choice(types)}"
    return _http(rng.bytes(int(5000 ** rng.uniform())), ":predict", kind)


def _packed(rng: np.random.Generator) -> bytes:
    """Return what says that it is compressed: noise, cut short, or a bomb."""
    how = str(rng.choice(["gzip", "deflate", "br", "zstd", "nonsense"]))
    kind = int(rng.integers(3))
    body = rng.bytes(200) if kind == 0 else gzip.compress(b"[" * 3_000_000)
    body = body[: len(body) // 2] if kind == 1 else body
    return _http(body, ":predict", f"Content-Encoding: {how}")


def _headers(rng: np.random.Generator) -> bytes:
    """Return headers that are long, many or none."""
    kind = int(rng.integers(4))
    if kind == 0:
        headers = ["X-Long: " + "a" * int(rng.integers(20_000, 200_000))]
    elif kind == 1:
        headers = [f"X-{i}: {i}" * 20 for i in range(1000)]
    elif kind == 2:
        headers = ["no colon in this", "X\x00: 1"]
    else:
        headers = ["Transfer-Encoding: chunked"]  # beside a length
    return _http(b"[]", ":predict", *headers)


def _length(rng: np.random.Generator) -> bytes:
    length = str(rng.choice(["-1", "NaN", "1e3", "9" * 20, "9" * 10, "5, 6", ""]))
    return _http(b"{}", length=length)


def _chunks(rng: np.random.Generator) -> bytes:
    head = b"POST /v1/models/MODEL:predict HTTP/1.1\r\nHost: x\r\n"
    head += b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    wrong = [b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n", b"2\r\n{}}}\r\n0\r\n\r\n"]
    wrong += [b"f" * 100 + b"\r\n", b"2\r\n{}\r\n0\r\n\r\n"]
    return head + wrong[int(rng.integers(len(wrong)))]


def _line(rng: np.random.Generator) -> bytes:
    wrong = [b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    wrong += [b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"/a" * 50_000]
    wrong += [b"G\x00T / HTTP/1.1\r\n\r\n", rng.bytes(300) + b"\r\n\r\n"]
    return wrong[int(rng.integers(len(wrong)))]


def _place(rng: np.random.Generator) -> bytes:
    """Return a question for what is not here, or by another method."""
    paths = ["/", "/v1", "/v1/models/", "/v1/models/no:predict", "/../../etc/passwd"]
    paths += ["/v1/models/%00:predict", "/v1/models/" + "x" * 5000 + ":predict", "/%zz"]
    paths += ["/versions/777:predict", "/versions/-1:predict", "/versions/x:predict"]
    paths += ["/versions/9999999999999999999:predict", "/versions/99999999999999999999"]
    paths += ["/labels/none:predict", "/labels/%F0%9F%98%80:predict", ":classify"]
    path = str(rng.choice(paths))
    if path.startswith(("/versions", "/labels")):
        path = "/v1/models/MODEL" + path
    method = str(rng.choice(["POST", "PUT", "DELETE", "PATCH", "BREW"]))
    return _http(b'{"instances": []}', path, method=method)


KINDS = {
    kind.__name__.strip("_"): kind
    for kind in (
        *(_deep, _wide, _number, _seed, _type, _form, _cut, _noise, _packed),
        *(_headers, _length, _chunks, _line, _place),
    )
}


def draw_body(model: str, rng: np.random.Generator) -> Sent:
    """Return a wrong request of a model."""
    kind = str(rng.choice(list(KINDS)))
    return Sent(kind, KINDS[kind](rng).replace(b"MODEL", model.encode(), 1))
