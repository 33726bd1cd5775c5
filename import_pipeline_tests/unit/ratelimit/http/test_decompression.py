"""Bodies are unpacked whole, whatever the server's chunks and members, and never beyond a bound."""

import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.ratelimit.http.decompression import CHUNK, TooManyLayers, Unpacker, UnpackError, encodings_of


def raw_deflate(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


PACKERS = {"gzip": gzip.compress, "zlib": zlib.compress, "raw": raw_deflate}
ENCODINGS = {"gzip": "gzip", "zlib": "deflate", "raw": "deflate"}


def in_chunks(packed: bytes, size: int) -> list[bytes]:
    return [packed[at : at + size] for at in range(0, len(packed), size)]


def unpack(encodings: list[str], chunks: list[bytes]) -> tuple[bytes, bool]:
    unpacker = Unpacker(encodings)
    text = b"".join(piece for chunk in chunks for piece in unpacker.feed(chunk))
    return text, unpacker.breaks_off


@given(
    text=st.binary(max_size=300),
    copies=st.integers(1, 2000),
    layers=st.lists(st.sampled_from(list(PACKERS)), min_size=1, max_size=2),
    size=st.integers(1, 5000),
)
def test_what_was_packed_is_unpacked_whatever_the_chunks(
    text: bytes, copies: int, layers: list[str], size: int
) -> None:
    whole = packed = text * copies
    for layer in layers:
        packed = PACKERS[layer](packed)
    assert unpack([ENCODINGS[layer] for layer in layers], in_chunks(packed, max(size, len(packed) // 100))) == (
        whole,
        False,
    )


@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=5), size=st.integers(1, 64))
def test_gzip_bodies_of_several_members_are_read_to_their_end(parts: list[bytes], size: int) -> None:
    packed = b"".join(map(gzip.compress, parts))
    assert unpack(["gzip"], in_chunks(packed, size)) == (b"".join(parts), False)
    assert unpack(["gzip"], in_chunks(packed + bytes(9), size)) == (b"".join(parts), False)  # padding of a block


@given(text=st.binary(min_size=1, max_size=200), data=st.data(), kind=st.sampled_from(list(PACKERS)))
def test_a_body_without_its_end_breaks_off(text: bytes, data: st.DataObject, kind: str) -> None:
    packed = PACKERS[kind](text)
    cut = packed[: data.draw(st.integers(1, len(packed) - 1))]
    try:
        assert unpack([ENCODINGS[kind]], [cut])[1]
    except UnpackError:
        assert kind == "raw"  # its first bytes may look like the other format's head


def test_no_byte_at_all_is_an_empty_body() -> None:
    assert unpack(["gzip"], []) == (b"", False)


@given(body=st.binary(max_size=400), encoding=st.sampled_from(["gzip", "deflate"]), size=st.integers(1, 400))
def test_any_bytes_are_unpacked_or_refused(body: bytes, encoding: str, size: int) -> None:
    with suppress(UnpackError):
        text, _ = unpack([encoding], in_chunks(body, size))
        assert len(text) <= 1032 * len(body) + CHUNK  # deflate's largest factor


@pytest.mark.parametrize("kind", list(PACKERS))
def test_a_bomb_comes_in_small_pieces(kind: str) -> None:
    """Each piece has at most CHUNK bytes, so a reader stops at most one piece over its bound."""
    bomb = gzip.compress(PACKERS[kind](bytes(50 * 1024 * 1024)))
    pieces = Unpacker([ENCODINGS[kind], "gzip"]).feed(bomb)
    sizes = [len(next(pieces)) for _ in range(20)]
    assert max(sizes) <= CHUNK


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", ["gzip"]),
        (" GZip ", ["gzip"]),
        ("x-gzip", ["gzip"]),
        ("deflate, gzip", ["deflate", "gzip"]),
        ("identity", []),
        ("gzip, identity,", ["gzip"]),
        ("", []),
        ("br", None),
        ("gzip, zstd", None),
        ("none", None),
        ("\u00e4;q=1", None),
    ],
)
def test_encodings(header: str, expected: list[str] | None) -> None:
    assert encodings_of(header) == expected


def test_too_many_encodings_are_refused() -> None:
    with pytest.raises(TooManyLayers, match="packed 3 times, expected at most 2"):
        encodings_of("gzip, gzip, br")
