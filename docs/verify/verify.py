#!/usr/bin/env python3
"""Checks a file of `sallyport ledger prove`: that one entry of a record stands in the ledger, under a signed checkpoint.

    python3 verify.py PROOF.json --key 'NAME+HASH+KEY'
    python3 verify.py --pack PACK.zip --key 'NAME+HASH+KEY'     an evidence pack (docs/evidence.md), with all of its proofs

Nothing but Python 3 and its standard library is needed. The formats stand in docs/ledger.md. The public key must come from the
ledger's owner, or from whoever kept it, not from the proof. Exit status: 0 proven, 1 not proven, 2 wrong usage.
"""
import base64, hashlib, json, struct, sys, zipfile

# Ed25519 (RFC 8032), verification alone: slow, and short enough to be read.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    m, n = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * D * t1 * t2 % P, 2 * z1 * z2 % P
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(k, point):
    result = (0, 1, 1, 0)
    while k:
        if k & 1:
            result = add(result, point)
        point, k = add(point, point), k >> 1
    return result


def decompress(b):
    y, sign = int.from_bytes(b, "little") & (2**255 - 1), b[31] >> 7
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - x2) % P or (x == 0 and sign):
        raise ValueError("not a point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decompress(bytes([0x58]) + bytes([0x66]) * 31)


def signed(key, message, signature):
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = times(s, BASE), add(decompress(signature[:32]), times(k, decompress(key)))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def checkpoint(note, vkey):
    """The size and root that the key's owner signed."""
    name, digest, encoded = vkey.strip().split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    key_id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if raw[0] != 1 or len(raw) != 33 or key_id.hex() != digest:
        raise ValueError("not a public key of this kind")
    text, signatures = note.split("\n\n", 1)
    text += "\n"
    for line in signatures.splitlines():
        dash, signer, value = line.split(" ")
        value = base64.b64decode(value, validate=True)
        if dash == "\u2014" and signer == name and value[:4] == key_id and signed(raw[1:], text.encode(), value[4:]):
            origin, size, root = text.splitlines()
            if origin != name:
                raise ValueError("a checkpoint of another log")
            return int(size), base64.b64decode(root, validate=True)
    raise ValueError("the checkpoint is not signed by this key")


def root_by(leaf_hash, index, size, path):
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2)."""
    if index >= size:
        raise ValueError("the leaf is not under the checkpoint")
    fn, sn, r = index, size - 1, leaf_hash
    for p in path:
        if sn == 0:
            raise ValueError("the proof is too long")
        if fn & 1 or fn == sn:
            r = hashlib.sha256(b"\x01" + p + r).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = hashlib.sha256(b"\x01" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ValueError("the proof is too short")
    return r


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


def check(proof, vkey):
    stream, seq = proof["event"].split(":")
    if proof["format"] != "sallyport proof 1" or stream not in ("access", "control") or int(seq) != proof["sequence"]:
        raise ValueError("not a proof of this kind")
    salt, body = bytes.fromhex(proof["salt"]), base64.b64decode(proof["body"], validate=True)
    if len(salt) != 16:
        raise ValueError("the salt is malformed")
    commitment = hashlib.sha256(salt + body).digest()
    leaf = b"SALLYL" + (b"A" if stream == "access" else b"C") + b"1" + bytes.fromhex(proof["record"]) + int(seq).to_bytes(8, "big") + commitment
    size, root = checkpoint(proof["checkpoint"], vkey)
    path = [base64.b64decode(h, validate=True) for h in proof["inclusion"] or []]
    if len(leaf) != 64 or root_by(hashlib.sha256(b"\x00" + leaf).digest(), proof["leaf"], size, path) != root:
        raise ValueError("the entry is not under the checkpoint")
    return size, body


def said(proof, body):
    """The event, where the proof shows it."""
    shown = opened(proof, body) if proof.get("entry_key") else None if proof["sealed"] else body
    return None if shown is None else cbor(shown)[0]


def check_pack(name, vkey):
    """Hashes, seal and proofs of an evidence pack."""
    with zipfile.ZipFile(name) as z:
        names = z.namelist()
        if len(set(names)) != len(names):
            raise ValueError("a file is there twice")
        files = {n: z.read(n) for n in names}
    if "seal.json" not in files or "SHA256SUMS" not in files:
        raise ValueError("no seal, or no list of hashes")
    rest = sorted((n for n in files if n not in ("SHA256SUMS", "seal.json")), key=lambda n: n.encode())
    sums = "".join(hashlib.sha256(files[n]).hexdigest() + "  " + n + "\n" for n in rest).encode()
    if sums != files["SHA256SUMS"]:
        raise ValueError("SHA256SUMS does not list these files: something was changed, added or removed")
    seal = json.loads(files["seal.json"])
    event = said(seal, check(seal, vkey)[1])
    step = event and event.get(10, {}).get(151, {})
    if not event or event.get(3) != "case" or step.get(2) != "exported" or event[10].get(7) != hashlib.sha256(sums).hexdigest():
        raise ValueError("seal.json is not the seal of these files")
    proven = shown = 0
    for n in rest:
        if n.startswith("events/"):
            proof = json.loads(files[n])
            try:
                shown += said(proof, check(proof, vkey)[1]) is not None
            except ValueError as why:
                raise ValueError(n + ": " + str(why))
            proven += 1
    return step.get(1), len(files), proven, shown


def pack(args):
    try:
        case, files, proven, shown = check_pack(args[1], args[3])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, OSError, zipfile.BadZipFile) as why:
        print("NOT PROVEN:", why)
        return 1
    print(f"PROVEN: case {case}, {files} files; {proven} entries stand in the ledger, of {shown} it is proven what they say.")
    print("Not checked: whether the holder of the ledger's key made another history as well; a checkpoint kept elsewhere, or a witness, says that.")
    return 0


def main(args):
    if len(args) == 4 and args[0] == "--pack" and args[2] == "--key":
        return pack(args)
    if len(args) != 3 or args[1] != "--key":
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(args[0], encoding="utf-8") as f:
            proof = json.load(f)
        size, body = check(proof, args[2])
        event = said(proof, body)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as why:
        print("NOT PROVEN:", why)
        return 1
    print(f"PROVEN: {proof['event']} of record {proof['record']} is leaf {proof['leaf']} of {size}, and was there when the checkpoint was signed.")
    if event is None:
        print("Its body is sealed, and the proof holds no key of it; these are the encrypted bytes:", body.hex())
    else:
        print("It says (keys as in docs/record.md):", json.dumps(event, ensure_ascii=False))
    print("Not checked: whether the holder of the ledger's key made another history as well; a checkpoint kept elsewhere, or a witness, says that.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
