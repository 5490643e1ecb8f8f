"""Files of one version: equal bytes for equal contents, and nothing but plain values read back."""

import contextlib
import hashlib
import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.artifacts import format as artifact_format
from forecast.artifacts.format import (
    Contents,
    artifact_hash,
    decode,
    dump_manifest,
    encode,
    load_manifest,
)
from forecast.errors import ArtifactRefused, Unavailable
from forecast.version import __version__

HASH_IN_A_PROCESS = """
import numpy as np
from forecast.artifacts.format import Contents, artifact_hash, encode
text = "".join(["le", "vel"])
scaler = {"b": [text, "le" + text[2:], 0.1], "a": {text: None, "c": [1, 2.5, True]}}
if %r:
    scaler = dict(reversed(scaler.items()))
print(artifact_hash(encode(Contents({"x": scaler}, {}, {"w": np.ones((2, 3), np.float32)}))))
"""

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=20,
)  # fmt: skip
plain_dicts = st.dictionaries(st.text(), plain, max_size=5)


def contents(**changes):
    values = {
        "config": {"horizon": 24, "ids": ["store"], "seed": None},
        "weights": {
            "cell.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
            "bias": np.float32([0.5]),
        },
        "arrays": {
            "scores": np.arange(3, dtype=np.float64),
            "values": np.arange(4, dtype=np.float32),
            "observed": np.array([True, False, True, True]),
        },
    }
    return Contents(**{**values, **changes})


def refused(name, data, **changes):
    files = encode(contents(**changes))
    files[name] = data
    with pytest.raises(ArtifactRefused, match=name.replace(".", r"\.")) as caught:
        decode(files, where="store/v/")
    assert str(caught.value).startswith(f"store/v/{name}: ")
    return str(caught.value)


def tensors(header, payload=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + payload


def as_bits(arrays):
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()}


def test_contents_come_back_as_they_were():
    before = contents()
    after = decode(encode(before))
    assert after.config == before.config
    assert as_bits(after.weights) == as_bits(before.weights)
    assert as_bits(after.arrays) == as_bits(before.arrays)


@settings(max_examples=20, deadline=None)
@given(plain_dicts)
def test_any_plain_values_come_back(value):
    after = decode(encode(contents(config=value)))
    assert repr(after.config) == repr(json.loads(json.dumps(value, sort_keys=True)))


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int32", "int64", "float32", "float64", ">f4", ">i8"]
)
@pytest.mark.parametrize(
    "shape_of",
    [
        lambda a: a,
        lambda a: a[:, ::2],
        np.asfortranarray,
        lambda a: a[0, 0],
        lambda a: a[:0],
        np.transpose,
    ],
)
def test_arrays_come_back_whatever_their_memory_looks_like(dtype, shape_of):
    array = np.asarray(shape_of((np.arange(12).reshape(3, 4) % 5).astype(dtype)))
    after = decode(encode(contents(arrays={"array": array}))).arrays["array"]
    assert after.shape == array.shape
    np.testing.assert_array_equal(after, array)
    assert after.flags.writeable


def test_no_file_of_a_version_is_a_pickle():
    assert not any(
        data.startswith(b"\x80\x04") or name.endswith(".joblib")
        for name, data in encode(contents()).items()
    )


def test_hash_does_not_depend_on_process_order_or_identity_of_objects():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    hashes = {
        subprocess.run(
            [sys.executable, "-c", HASH_IN_A_PROCESS % reverse],
            capture_output=True,
            check=True,
            text=True,
            env={**environment, "PYTHONHASHSEED": seed},
        ).stdout
        for reverse, seed in [(False, "1"), (True, "2")]
    }
    assert len(hashes) == 1


def test_hash_covers_every_file_and_name_but_not_the_manifest():
    files = encode(contents())
    before = artifact_hash(files)
    assert artifact_hash(files | {"MANIFEST.json": b"any"}) == before
    assert artifact_hash(dict(reversed(files.items()))) == before
    for name in files:
        assert artifact_hash(files | {name: files[name] + b" "}) != before
    swapped = files | {"config.json": files["arrays.safetensors"]}
    assert artifact_hash(swapped) != before


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        np.arange(2),
        {1, 2},
        b"x",
    ],
)
def test_values_that_are_not_plain_are_not_written(value):
    with pytest.raises((TypeError, ValueError)):
        encode(contents(config={"key": value}))


def test_endless_nesting_is_not_written():
    value = {}
    value["self"] = value
    with pytest.raises(ValueError, match="Circular"):
        encode(contents(config=value))


@pytest.mark.parametrize(
    ("where", "arrays"),
    [
        ("weights", {"w": np.float32([1, np.nan])}),
        ("weights", {"w": np.float32([np.inf])}),
        ("weights", {"w": np.float64([1])}),
        ("arrays", {"ids": np.array(["a"])}),
        ("arrays", {"ids": np.array([{}], dtype=object)}),
        ("arrays", {"half": np.float16([1])}),
        ("arrays", {"__metadata__": np.float32([1])}),
    ],
)
def test_arrays_that_could_not_be_read_are_not_written(where, arrays):
    with pytest.raises((TypeError, ValueError)):
        encode(contents(**{where: arrays}))


def test_file_beyond_its_limit_is_not_written(monkeypatch):
    monkeypatch.setitem(artifact_format.SIZE_LIMITS, "arrays.safetensors", 100)
    with pytest.raises(Unavailable, match=r"arrays\.safetensors would have .* lookback="):
        encode(contents())


def test_missing_and_unknown_files_are_refused():
    files = encode(contents())
    without = {name: data for name, data in files.items() if name != "config.json"}
    with pytest.raises(ArtifactRefused, match=r"config\.json: is missing"):
        decode(without)
    with pytest.raises(ArtifactRefused, match=r"model\.pt: does not belong"):
        decode(files | {"model.pt": b""})


def test_json_of_endless_lists_is_refused(monkeypatch):
    monkeypatch.setattr(artifact_format, "_GROUPS", 1000)
    assert "more than 1,000 lists" in refused("config.json", b'{"a":[' + b"[]," * 2000 + b"1]}")


def test_endless_names_of_arrays_are_refused(monkeypatch):
    monkeypatch.setattr(artifact_format, "_HEADER", 1000)
    one = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    assert "header" in refused("weights.safetensors", tensors({f"{n}": one for n in range(100)}))


@pytest.mark.parametrize("data", [b'{"a": "\\ud800"}', b'{"\\udfff": 1}'])
def test_half_of_a_surrogate_pair_is_no_text(data):
    assert "hex escape" in refused("config.json", data)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["config.json", "weights.safetensors", "arrays.safetensors"]),
    st.data(),
)
def test_mutated_files_are_read_or_refused(name, data):
    files = encode(contents())
    damaged = bytearray(files[name])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    files[name] = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    with contextlib.suppress(ArtifactRefused):
        decode(files)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b"[" * 1_000_000,
    ],
)
def test_loose_json_is_refused(data):
    refused("config.json", data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 8,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 99_999_999) + b"{}",
        tensors(b"{" * 1000),
        tensors({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4),
        tensors(
            {"w": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, b"\0" * 4
        ),
        tensors({"w": {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]}}),
        tensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 8),
        tensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"\0" * 8),
        tensors({"w": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}, b"\0" * 8),
        tensors({"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}, b"\0" * 2),
        tensors({"w": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}}, b"\0" * 8),
        tensors(
            {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
            np.float32([np.nan]).tobytes(),
        ),
    ],
)
def test_malformed_weights_are_refused(data):
    refused("weights.safetensors", data)


def test_flags_that_are_neither_true_nor_false_are_refused():
    header = {"observed": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}
    assert "neither" in refused("arrays.safetensors", tensors(header, b"\x01\x02"))


def test_manifest_says_what_a_version_is_made_of():
    files = encode(contents())
    manifest = load_manifest(
        dump_manifest(files, "v", "2026-01-01T00:00:00+00:00"), "MANIFEST.json"
    )
    assert manifest.hash == artifact_hash(files)
    assert manifest.files["config.json"].sha256 == hashlib.sha256(files["config.json"]).hexdigest()
    assert manifest.packages["numpy"] == np.__version__
    assert "python" in manifest.packages
    assert manifest.needs == ">=" + __version__.rpartition(".")[0]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_older_format_is_refused_with_the_way_out(number):
    manifest = json.loads(dump_manifest(encode(contents()), "v", "2026-01-01T00:00:00+00:00"))
    older = json.dumps({**manifest, "format": number, "needs": ">=0.2"}).encode()
    with pytest.raises(ArtifactRefused, match="was made by an older forecast; move the store"):
        load_manifest(older, "MANIFEST.json")


@pytest.mark.parametrize(
    ("needs", "said"), [(">=2.1", "forecast>=2.1"), ("; rm -rf ~", "forecast, a newer one")]
)
def test_newer_format_is_refused_by_name_of_the_version_that_is_needed(needs, said):
    newer = artifact_format.FORMAT + 1
    manifest = json.dumps({"format": newer, "needs": needs, "unheard": "of"}).encode()
    with pytest.raises(ArtifactRefused, match=said) as caught:
        load_manifest(manifest, "store/v/MANIFEST.json")
    assert str(caught.value).startswith(f"store/v/MANIFEST.json: has format {newer}")
    assert "rm -rf" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 0},
        {"format": True},
        {"format": "1"},
        {"hash": "0" * 64},
        {"hash": 3},
        {"files": {}},
        {"files": {"../../x": {"size": 1, "sha256": "0" * 64}}},
        {"files": {"config.json": {"size": 2**60, "sha256": "0" * 64}}},
        {"files": {"MANIFEST.json": {"size": 1, "sha256": "0" * 64}}},
        {"packages": [1]},
        {"unknown": 1},
    ],
)
def test_manifest_that_contradicts_itself_is_refused(change):
    value = json.loads(dump_manifest(encode(contents()), "v", "2026-01-01T00:00:00+00:00"))
    with pytest.raises(ArtifactRefused, match=r"MANIFEST\.json: cannot be trusted"):
        load_manifest(json.dumps(value | change).encode(), "MANIFEST.json")
