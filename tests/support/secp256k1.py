"""Who signed, with secp256k1 as Skywire has them, for tests: slow."""

import hashlib

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, point):
    total = None
    while k:
        if k & 1:
            total = add(total, point)
        point = add(point, point)
        k >>= 1
    return total


def lift(x, odd):
    y = pow(x**3 + 7, (P + 1) // 4, P)
    if x >= P or y * y % P != (x**3 + 7) % P:
        raise ValueError("no point")
    return x, y if y & 1 == odd else P - y


def hashed(text):
    return int.from_bytes(hashlib.sha256(text).digest(), "big")


def key_text(point):
    return f"{2 + (point[1] & 1):02x}{point[0]:064x}"


def signer(signature, text):
    """The key that signed the text, in hex."""
    raw = bytes.fromhex(signature)
    r, s, odd = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64]
    if len(raw) != 65 or odd > 1 or not (0 < r < N and 0 < s < 1 << 255):
        raise ValueError("no signature")
    inverse = pow(r, -1, N)
    return key_text(add(times(s * inverse % N, lift(r, odd)), times(-hashed(text) * inverse % N, G)))
