"""What an entry says: opens a body by the key that its proof carries, and reads the event in it. verify.py, which proves that the entry stands in the ledger, uses it.

Nothing but Python 3.8 and its standard library is needed. The formats stand in docs/record.md.
"""
import hashlib, json, struct

# AES-256 (FIPS 197) in counter mode, as GCM uses it, to open one body: it names its key by a digest, or by what the key makes of zeros, so no other key and no other text fits.
def aes_tables():
    box, p, q = [0] * 256, 1, 1
    while True:  # p runs through the field by 3, q by its inverse
        p = (p ^ p << 1 ^ (0x1B if p & 0x80 else 0)) & 0xFF
        q ^= q << 1
        q ^= q << 2
        q = (q ^ q << 4) & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        x = q
        for n in (1, 2, 3, 4):
            x ^= (q << n | q >> 8 - n) & 0xFF
        box[p] = x ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return box


BOX = aes_tables()


def double(b):
    return (b << 1 ^ 0x1B) & 0xFF if b & 0x80 else b << 1


def aes_keys(key):
    words, rcon = [list(key[i : i + 4]) for i in range(0, 32, 4)], 1
    for i in range(8, 60):
        w = list(words[i - 1])
        if i % 8 == 0:
            w = [BOX[b] for b in w[1:] + w[:1]]
            w[0], rcon = w[0] ^ rcon, double(rcon)
        elif i % 8 == 4:
            w = [BOX[b] for b in w]
        words.append([a ^ b for a, b in zip(words[i - 8], w)])
    return [sum(words[i : i + 4], []) for i in range(0, 60, 4)]


def aes_block(keys, block):
    s = [a ^ b for a, b in zip(block, keys[0])]
    for n in range(1, 15):
        s = [BOX[s[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if n < 14:
            mixed = []
            for c in range(0, 16, 4):
                a, b, d, e = s[c : c + 4]
                t = a ^ b ^ d ^ e
                mixed += [a ^ t ^ double(a ^ b), b ^ t ^ double(b ^ d), d ^ t ^ double(d ^ e), e ^ t ^ double(e ^ a)]
            s = mixed
        s = [a ^ b for a, b in zip(s, keys[n])]
    return bytes(s)


def opened(proof, body):
    """The event (CBOR) of a body: run 16, number 8, then of form 4 a digest of the key 32, ciphertext, of form 5 ciphertext of 32 zeros and the event; tag 16."""
    key, form = bytes.fromhex(proof["entry_key"]), proof["form"]
    if form not in (4, 5) or len(key) != 32 or len(body) < 72:
        raise ValueError("not a key and a body of this form")
    if form == 4 and hashlib.sha256(b"sallyport entry key check" + key).digest() != body[24:56]:
        raise ValueError("this is not the key of the entry")
    keys, text, plain = aes_keys(key), body[56 if form == 4 else 24 : -16], bytearray()
    for i in range(0, len(text), 16):
        pad = aes_block(keys, bytes(4) + body[16:24] + (i // 16 + 2).to_bytes(4, "big"))
        plain += bytes(a ^ b for a, b in zip(text[i : i + 16], pad))
    if form == 5 and plain[:32] != bytes(32):
        raise ValueError("this is not the key of the entry")
    return bytes(plain[32:] if form == 5 else plain)


def cbor(b, at=0):
    """One value of RFC 8949, as far as events have them, and where it ends."""
    kind, low, at = b[at] >> 5, b[at] & 31, at + 1
    if kind == 7 and low in (20, 21, 22):
        return {20: False, 21: True, 22: None}[low], at
    if low > 27:
        raise ValueError("not an event")
    n = low
    if low > 23:
        size = 1 << low - 24
        n, at = int.from_bytes(b[at : at + size], "big"), at + size
        if kind == 7:
            return struct.unpack({2: ">e", 4: ">f", 8: ">d"}[size], b[at - size : at])[0], at
    if kind in (0, 1):
        return (n if kind == 0 else -1 - n), at
    if kind in (2, 3):
        if at + n > len(b):
            raise ValueError("not an event")
        return (b[at : at + n].hex() if kind == 2 else b[at : at + n].decode()), at + n
    if kind == 4:
        out = []
        for _ in range(n):
            value, at = cbor(b, at)
            out.append(value)
        return out, at
    if kind == 5:
        out = {}
        for _ in range(n):
            key, at = cbor(b, at)
            out[key], at = cbor(b, at)
        return out, at
    raise ValueError("not an event")


def said(proof, body):
    """The event, where the proof shows it."""
    shown = opened(proof, body) if proof.get("entry_key") else None if proof["sealed"] else body
    return None if shown is None else cbor(shown)[0]


def sentence(proof, body):
    """For people."""
    event = said(proof, body)
    if event is None:
        return "Its body is sealed, and the proof holds no key of it; these are the encrypted bytes: " + body.hex()
    return "It says (keys as in docs/record.md): " + json.dumps(event, ensure_ascii=False)
