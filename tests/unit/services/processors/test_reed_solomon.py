"""The code of CCSDS 131.0-B, its randomiser, the frame error control: against standards and another implementation."""

import numpy as np
import pytest
import reedsolo
from hypothesis import given, settings
from hypothesis import strategies as st

from refsys.services.processors.level0 import reed_solomon
from refsys.services.processors.level0.framing import Framing, error_control, error_control_holds, pseudo_noise
from refsys.services.processors.level0.reed_solomon import Bytes

DEPTH = 5
_FIELD = 0x187


def power(exponent: int) -> int:
    """A power of a, by shifting."""
    value = 1
    for _ in range(exponent % 255):
        value <<= 1
        value ^= _FIELD if value & 0x100 else 0
    return value


def random_blocks(seed: int, frames: int = 1, depth: int = DEPTH) -> Bytes:
    blocks = np.random.default_rng(seed).integers(0, 256, (frames, 255 * depth), dtype=np.uint8)
    reed_solomon.encode(blocks, depth)
    return blocks


def test_the_generator_polynomial_of_the_standard() -> None:
    exponents = [0, 249, 59, 66, 4, 43, 126, 251, 97, 30, 3, 213, 50, 66, 170, 5, 24]  # 131.0-B, annex on coefficients
    wanted = [power(exponent) for exponent in exponents]
    assert reed_solomon.generator().tolist() == wanted + wanted[-2::-1]


def test_the_dual_basis_is_what_its_definition_says() -> None:
    """Component i of a symbol is the trace of it times a^(117 i) (131.0-B, annex F)."""

    def product(a: int, b: int) -> int:
        return int(reed_solomon.multiply(np.array([a], np.uint8), np.array([b], np.uint8))[0])

    def trace(value: int) -> int:
        total, term = 0, value
        for _ in range(8):
            total, term = total ^ term, product(term, term)
        assert total in (0, 1)
        return total

    for symbol in range(256):
        bits = [trace(product(symbol, power(117 * index))) for index in range(8)]
        assert int("".join(map(str, bits)), 2) == reed_solomon._TO_DUAL[symbol]


@pytest.mark.parametrize("depth", [1, 4, 5, 8])
def test_codewords_are_those_of_another_implementation(depth: int) -> None:
    codec = reedsolo.RSCodec(32, nsize=255, fcr=112, prim=_FIELD, generator=power(11))
    words = random_blocks(1, 2, depth).reshape(2, 255, depth)
    for block in words:
        for word in range(depth):
            plain = reed_solomon._FROM_DUAL[block[:, word]].tobytes()
            assert bytes(codec.encode(plain[:223])) == plain


def test_a_codeword_of_zeros() -> None:
    zeros = np.zeros((1, 1275), np.uint8)
    reed_solomon.encode(zeros, DEPTH)
    assert not zeros.any()


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(0, 2**32))
def test_up_to_16_symbols_of_each_codeword_are_corrected(data: st.DataObject, seed: int) -> None:
    sent = random_blocks(seed)
    received, errors = sent.copy(), 0
    for word in range(DEPTH):
        places = data.draw(st.sets(st.integers(0, 254), max_size=16))
        for place in places:
            received[0, place * DEPTH + word] ^= data.draw(st.integers(1, 255))
        errors += len(places)
    assert reed_solomon.failed(received, DEPTH).any() == (errors > 0)
    symbols, mended = reed_solomon.correct(received, DEPTH)
    assert mended.all()
    assert symbols.tolist() == [errors]
    assert (received == sent).all()


def test_more_than_16_are_told_apart() -> None:
    random = np.random.default_rng(3)
    received = random_blocks(2, 200)
    for frame in range(0, 200, 2):
        places = random.choice(255, int(random.integers(17, 200)), replace=False)
        received[frame, places * DEPTH + frame % DEPTH] ^= random.integers(1, 256, len(places), dtype=np.uint8)
    before = received.copy()
    _, mended = reed_solomon.correct(received, DEPTH)
    assert mended.tolist() == [frame % 2 == 1 for frame in range(200)]
    assert (received == before).all()


def test_the_sequence_of_the_randomiser() -> None:
    noise = pseudo_noise(1275)
    assert noise[:5].tobytes().hex() == "ff480ec09a"  # 131.0-B §10.4.2
    assert (noise[255:510] == noise[:255]).all()


def test_the_frame_error_control_field() -> None:
    message = np.frombuffer(b"123456789", np.uint8)[None]
    assert error_control(message).tolist() == [0x29B1]  # the well-known check value of this CRC
    whole = np.concatenate((message, [[0x29, 0xB1]]), axis=1).astype(np.uint8)
    assert error_control_holds(whole).all()
    whole[0, 3] ^= 1
    assert not error_control_holds(whole).any()


def test_sizes() -> None:
    plain, full = Framing(), Framing(ocf=True, fecf=True)
    assert (plain.cadu_bytes, plain.frame_bytes, plain.zone_bytes, full.zone_bytes) == (1279, 1115, 1107, 1101)
