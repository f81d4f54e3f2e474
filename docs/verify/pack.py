"""Checks an evidence pack (docs/evidence.md): hashes, seal and all proofs. Called by `verify.py --pack PACK.zip --key KEY`, with event.py beside it.

Nothing but Python 3.8 and its standard library is needed.
"""
import functools, hashlib, json, zipfile

import verify
from event import said

checkpoint = functools.lru_cache(maxsize=None)(verify.checkpoint)  # the proofs of a pack share one


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
    event = said(seal, verify.check(seal, vkey)[1])
    step = event and event.get(10, {}).get(151, {})
    if not event or event.get(3) != "case" or step.get(2) != "exported" or event[10].get(7) != hashlib.sha256(sums).hexdigest():
        raise ValueError("seal.json is not the seal of these files")
    proven = shown = 0
    for n in rest:
        if n.startswith("events/"):
            proof = json.loads(files[n])
            try:
                shown += said(proof, verify.check(proof, vkey)[1]) is not None
            except Exception as why:
                raise ValueError(n + ": " + str(why))
            proven += 1
    return step.get(1), len(files), proven, shown


def main(name, vkey):
    verify.checkpoint = checkpoint
    try:
        case, files, proven, shown = check_pack(name, vkey)
    except Exception as why:
        print("NOT PROVEN:", why)
        return 1
    print(f"PROVEN: case {case}, {files} files; {proven} entries stand in the ledger, of {shown} it is proven what they say.")
    print("Not checked: whether the holder of the ledger's key made another history as well; a checkpoint kept elsewhere, or a witness, says that.")
    return 0
