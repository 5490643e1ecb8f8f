"""Hostile texts: safetensors and JSON that are too large, too deep, doubled, or no numbers."""

import json
import struct
from collections.abc import Iterator

from forecast.artifacts.format import FORMAT
from workshop.campaigns._stores import Case, plain_files, signed, tensors, with_file, write_store


def cases() -> Iterator[Case]:
    """Every case, by kind."""
    yield from _tensors()
    yield from _json()


def _tensors() -> Iterator[Case]:
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    for name, data in {
        "nothing": b"",
        "a header of 2**63 bytes": struct.pack("<Q", 2**63) + b"{}",
        "a header larger than the file": struct.pack("<Q", 99_999) + b"{}",
        "a header that is no JSON": tensors(b"{" * 1000),
        "a header nested deep": tensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "a header of 30 MB": lambda: tensors(
            {f"{n:0300}": {**one, "shape": [0], "data_offsets": [0, 0]} for n in range(80_000)}
        ),
        "100,000 empty arrays": tensors(
            {f"{n}": {**one, "shape": [0], "data_offsets": [0, 0]} for n in range(100_000)}
        ),
        "arrays that overlap": tensors({"a": one, "b": one}, b"\0" * 4),
        "a hole between arrays": tensors(
            {"a": one, "b": {**one, "data_offsets": [8, 12]}}, b"\0" * 12
        ),
        "bytes that belong to no array": tensors({"a": one}, b"\0" * 8),
        "an array beyond the end": tensors({"a": {**one, "data_offsets": [0, 400]}}, b"\0" * 4),
        "offsets that run backwards": tensors({"a": {**one, "data_offsets": [4, 0]}}, b"\0" * 4),
        "a negative shape": tensors({"a": {**one, "shape": [-1]}}, b"\0" * 4),
        "a negative offset": tensors({"a": {**one, "data_offsets": [-4, 0]}}, b"\0" * 4),
        "a shape that wraps around": tensors({"a": {**one, "shape": [2**32, 2**32]}}, b""),
        "a shape of 2**63": tensors({"a": {**one, "shape": [0, 2**63], "data_offsets": [0, 0]}}),
        "100 dimensions": tensors({"a": {**one, "shape": [1] * 100}}, b"\0" * 4),
        "an unknown type": tensors({"a": {**one, "dtype": "F99"}}, b"\0" * 4),
        "half precision": tensors(
            {"a": {**one, "dtype": "F16", "data_offsets": [0, 2]}}, b"\0" * 2
        ),
        "one name twice": tensors(
            b'{"a":' + json.dumps(one).encode() + b',"a":' + json.dumps(one).encode() + b"}",
            b"\0" * 4,
        ),
        "a name with underscores": tensors({"__class__": one}, b"\0" * 4),
        "metadata that is a list": tensors({"__metadata__": [1], "a": one}, b"\0" * 4),
        "infinity": tensors({"a": one}, struct.pack("<f", float("inf"))),
        "NaN": tensors({"a": one}, struct.pack("<f", float("nan"))),
        "a shape of 1e999": tensors(
            b'{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}', b"\0" * 4
        ),
        "weights that belong to no network": tensors({"0/a": one}, b"\0" * 4),
    }.items():
        yield Case(f"weights: {name}", with_file("weights.safetensors", data))


# JSON


def _json() -> Iterator[Case]:
    config = plain_files()["config.json"]
    inside = config.rstrip()[:-1] + b","
    for name, data in {
        "nothing": b"",
        "null": b"null",
        "a list": b"[]",
        "30 MB of brackets": lambda: b'{"a":' + b"[" * 15_000_000 + b"]" * 15_000_000 + b"}",
        "100 MB of brackets": lambda: b'{"a":[' + b"[]," * 33_000_000 + b"[]]}",
        "30 MB of lists": lambda: b'{"a":[' + b"[]," * 10_000_000 + b"[]]}",
        "100,000 levels": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "40 levels": inside + b'"a":' + b"[" * 40 + b"]" * 40 + b"}",
        "30 MB of words": lambda: b'{"a":[' + b'"ab",' * 6_000_000 + b"1]}",
        "1e999": inside + b'"a":1e999}',
        "NaN": inside + b'"a":NaN}',
        "-Infinity": inside + b'"a":-Infinity}',
        "a number of 1,000,000 digits": inside + b'"a":' + b"9" * 1_000_000 + b"}",
        "2**63": inside + b'"a":9223372036854775808}',
        "a key twice": inside + b'"horizon":1}',
        "half of a surrogate pair": inside + b'"a":"\\ud800"}',
        "bytes that are no UTF-8": inside + b'"a":"\xff"}',
        "UTF-16": config.decode().encode("utf-16"),
        "a byte-order mark": b"\xef\xbb\xbf" + config,
        "a comment": inside + b'"a":1 /* */}',
        "text behind the end": config + b"{}",
        "a NUL byte behind the end": config + b"\0",
        "a key that is not known": inside + b'"a":1}',
        "__proto__ and __class__": inside + b'"__class__":"os.system","__proto__":{}}',
        "YAML": b"!!python/object/apply:os.system ['touch x']",
    }.items():
        yield Case(f"config: {name}", with_file("config.json", data))
    manifest = signed(plain_files())
    for name, data in {
        "1 MB of brackets": b"[" * 500_000 + b"]" * 500_000,
        "2 MB": manifest.rstrip()[:-1] + b" " * 2_000_000 + b"}",
        "1e999": manifest.replace(b'"format": %d' % FORMAT, b'"format": 1e999'),
    }.items():
        yield Case(
            f"manifest: {name}", lambda place, data=data: write_store(place, plain_files(), data)
        )
    twice = manifest.rstrip()[:-1] + b',"format":2}'
    yield Case(
        "manifest: a key twice",
        lambda place: write_store(place, plain_files(), twice),
        harmless="the last one counts, as in any JSON",
    )
