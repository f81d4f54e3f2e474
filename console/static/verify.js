// Repeats in the browser what serve says of an entry: from its leaf by the hashes of the way to the root (RFC 9162, 2.1.3.2), that root in the
// checkpoint, and the checkpoint's signature by the key (Ed25519, C2SP signed-note).
(function () {
  "use strict";
  var say = document.getElementById("verify");
  if (!say || !window.crypto || !crypto.subtle) return;
  function fromHex(s) { return Uint8Array.from(s.match(/../g) || [], function (x) { return parseInt(x, 16); }); }
  function fromBase64(s) { return Uint8Array.from(atob(s), function (c) { return c.charCodeAt(0); }); }
  function join(list) {
    var out = new Uint8Array(list.reduce(function (n, x) { return n + x.length; }, 0)), at = 0;
    list.forEach(function (x) { out.set(x, at); at += x.length; });
    return out;
  }
  async function node(left, right) { return new Uint8Array(await crypto.subtle.digest("SHA-256", join([Uint8Array.of(1), left, right]))); }
  async function root(leaf, index, size, way) {
    var fn = index, sn = size - 1, hash = leaf;
    for (var i = 0; i < way.length; i++) {
      if (sn === 0) throw new Error("the way is too long");
      if (fn % 2 === 1 || fn === sn) {
        hash = await node(way[i], hash);
        while (fn % 2 === 0 && fn !== 0) { fn = fn / 2; sn = Math.floor(sn / 2); }
      } else {
        hash = await node(hash, way[i]);
      }
      fn = Math.floor(fn / 2); sn = Math.floor(sn / 2);
    }
    if (sn !== 0) throw new Error("the way is too short");
    return hash;
  }
  function same(a, b) { return a.length === b.length && a.every(function (x, i) { return x === b[i]; }); }
  async function signed(note, key) {
    var parts = key.split("+"), name = parts[0], raw = fromBase64(parts.slice(2).join("+"));
    if (raw[0] !== 1) throw new Error("the key is no Ed25519 key");
    var cut = note.indexOf("\n\n"), text = new TextEncoder().encode(note.slice(0, cut + 1));
    var line = note.slice(cut + 2).split("\n").find(function (l) { return l.indexOf("\u2014 " + name + " ") === 0; });
    if (!line) throw new Error("the checkpoint is not signed by " + name);
    var signature = fromBase64(line.split(" ")[2]).slice(4);
    var imported = await crypto.subtle.importKey("raw", raw.slice(1), { name: "Ed25519" }, false, ["verify"]);
    return crypto.subtle.verify({ name: "Ed25519" }, imported, signature, text);
  }
  (async function () {
    var d = say.dataset, note = document.getElementById("checkpoint").textContent, lines = note.split("\n");
    var way = Array.from(document.querySelectorAll("#way code"), function (x) { return fromHex(x.textContent.trim()); });
    if (lines[1] !== d.size) throw new Error("the checkpoint is of another size");
    if (!same(await root(fromHex(d.leaf), Number(d.index), Number(d.size), way), fromBase64(lines[2]))) throw new Error("the hashes do not lead to the checkpoint's root");
    if (!await signed(note, d.key)) throw new Error("the signature does not hold");
  })().then(function () {
    say.className = "notice good";
    say.textContent = "Verified in this browser: the hashes lead from this entry to the checkpoint's root, and its signature holds. The key must be one that you got elsewhere.";
  }).catch(function (e) {
    say.className = e.name === "NotSupportedError" ? "notice warn" : "notice bad";
    say.textContent = e.name === "NotSupportedError" ? "This browser knows no Ed25519, so it could not repeat the signature." : "Not verified in this browser: " + e.message + ".";
  });
})();
