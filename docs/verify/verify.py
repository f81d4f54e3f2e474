"""Checks a file of `sallyport ledger prove`: that one entry of a record stands in the ledger, under a signed checkpoint.

    python3 verify.py PROOF.json --key 'NAME+HASH+KEY'
    python3 verify.py --pack PACK.zip --key 'NAME+HASH+KEY'     an evidence pack (docs/evidence.md), with all of its proofs

Needs nothing but Python 3.8; event.py beside this reads entries, pack.py packs. The formats stand in docs/ledger.md. The public key must come
from the ledger's owner, or from whoever kept it, not from the proof. Exit status: 0 proven, 1 not proven, 2 wrong usage.
"""
import base64, hashlib, importlib, json, os, sys

# Ed25519 (RFC 8032), verification alone: slow, and short enough to be read.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    m = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + m, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - m, -1, P) % P


def times(k, point):
    if k == 0:
        return 0, 1
    even = times(k // 2, add(point, point))
    return add(even, point) if k % 2 else even


def decompress(b):
    y, sign = int.from_bytes(b, "little") & (2**255 - 1), b[31] >> 7
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if len(b) != 32 or y >= P or (x * x - x2) % P or (x == 0 and sign):
        raise ValueError("not a point of the curve")
    return P - x if x & 1 != sign else x, y


BASE = decompress(bytes([0x58]) + bytes([0x66]) * 31)


def signed(key, message, signature):
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    return times(s, BASE) == add(decompress(signature[:32]), times(k, decompress(key)))


def checkpoint(note, vkey):
    """The size and root that the key's owner signed."""
    name, digest, encoded = vkey.strip().split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    key_id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if raw[0] != 1 or len(raw) != 33 or key_id.hex() != digest:
        raise ValueError("not a public key of this kind")
    text, signatures = note.split("\n\n", 1)
    for line in signatures.splitlines():
        dash, signer, value = line.split(" ")
        value = base64.b64decode(value, validate=True)
        if dash == "\u2014" and signer == name and value[:4] == key_id and signed(raw[1:], (text + "\n").encode(), value[4:]):
            origin, size, root = text.splitlines()
            if origin != name:
                raise ValueError("a checkpoint of another log")
            return int(size), base64.b64decode(root, validate=True)
    raise ValueError("the checkpoint is not signed by this key")


def root_by(leaf_hash, index, size, path):
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3): of the half with the leaf by all but the last hash, of the other half the last one."""
    if not 0 <= index < size or (len(path) > 0) != (size > 1):
        raise ValueError("the leaf is not under the checkpoint, or the proof is too long or too short")
    if size == 1:
        return leaf_hash
    left = 1 << (size - 1).bit_length() - 1  # leaves of the first half: the largest power of two below size
    if index < left:
        return hashlib.sha256(b"\x01" + root_by(leaf_hash, index, left, path[:-1]) + path[-1]).digest()
    return hashlib.sha256(b"\x01" + path[-1] + root_by(leaf_hash, index - left, size - left, path[:-1])).digest()


def check(proof, vkey):
    """The size of the checkpoint that the proof leads to, and the entry's body."""
    stream, seq = proof["event"].split(":")
    salt, body = bytes.fromhex(proof["salt"]), base64.b64decode(proof["body"], validate=True)
    if proof["format"] != "sallyport proof 1" or stream not in ("access", "control") or int(seq) != proof["sequence"] or len(salt) != 16:
        raise ValueError("not a proof of this kind")
    kind, commitment = b"A1" if stream == "access" else b"C1", hashlib.sha256(salt + body).digest()
    leaf = b"SALLYL" + kind + bytes.fromhex(proof["record"]) + int(seq).to_bytes(8, "big") + commitment
    size, root = checkpoint(proof["checkpoint"], vkey)
    path = [base64.b64decode(h, validate=True) for h in proof["inclusion"] or []]
    if len(leaf) != 64 or root_by(hashlib.sha256(b"\x00" + leaf).digest(), proof["leaf"], size, path) != root:
        raise ValueError("the entry is not under the checkpoint")
    return size, body


def part(name):
    return importlib.import_module(name) if os.path.exists(os.path.join(sys.path[0], name + ".py")) else None


def main(args):
    sys.dont_write_bytecode = True  # the folder stays as it was handed over
    event = part("event")
    if len(args) == 4 and args[0] == "--pack" and args[2] == "--key":
        if not (event and part("pack")):
            sys.exit("NOT PROVEN: to check a pack, event.py and pack.py must be beside this program, as they are in docs/verify and in packs")
        return part("pack").main(args[1], args[3])
    if len(args) != 3 or args[1] != "--key":
        print(__doc__, file=sys.stderr)
        return 2
    try:
        proof = json.load(open(args[0], encoding="utf-8"))
        size, body = check(proof, args[2])
        says = event.sentence(proof, body) if event else "What it says, event.py beside this program would show; these are the bytes: " + body.hex()
    except Exception as why:
        print("NOT PROVEN:", why)
        return 1
    print(f"PROVEN: {proof['event']} of record {proof['record']} is leaf {proof['leaf']} of {size}, and was there when the checkpoint was signed.")
    print(says)
    print("Not checked: whether the holder of the ledger's key made another history as well; a checkpoint kept elsewhere, or a witness, says that.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
