package gateway

import "testing"

// TestKeyText reads customers' keys of every type in both formats: a key is the same customer in both, and a text of four or eight
// letters is no number.
func TestKeyText(t *testing.T) {
	for _, k := range []struct {
		typ           uint32
		text          string
		binary        []byte
		wholeAndKnown bool
	}{
		{typeInt8, "4711", []byte{0, 0, 0, 0, 0, 0, 0x12, 0x67}, true},
		{typeInt8, "-1", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false},
		{typeInt4, "4711", []byte{0, 0, 0x12, 0x67}, true},
		{typeInt2, "4711", []byte{0x12, 0x67}, true},
		{typeOID, "4294967295", []byte{0xff, 0xff, 0xff, 0xff}, true},
		{typeText, "C-471100", []byte("C-471100"), false},
		{typeVarchar, "DE12", []byte("DE12"), false},
		{typeText, "4711", []byte("4711"), true},
		{typeUUID, "0a1b2c3d-0011-2233-4455-66778899aabb", []byte{0x0a, 0x1b, 0x2c, 0x3d, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb}, false},
	} {
		inText, inBinary := rowKey(&column{typ: k.typ}, []byte(k.text)), rowKey(&column{typ: k.typ, binary: true}, k.binary)
		if string(inText.subject()) != k.text || inBinary.subject() != inText.subject() || inBinary.key() != inText.key() {
			t.Errorf("type %d, %s: %q in text, %q in binary", k.typ, k.text, inText.subject(), inBinary.subject())
		}
		if inBinary.numbered != k.wholeAndKnown {
			t.Errorf("type %d, %s: taken for a number: %t", k.typ, k.text, inBinary.numbered)
		}
	}
}

// TestKeyType says by which types of parameters a row is pinned.
func TestKeyType(t *testing.T) {
	const float8, numeric = 701, 1700
	for _, k := range []struct {
		key, declared uint32
		ok            bool
	}{
		{typeInt8, 0, true},
		{typeInt8, typeInt8, true},
		{typeInt8, typeInt4, true},
		{typeInt4, typeInt8, true},
		{typeText, 0, true},
		{typeText, typeVarchar, true},
		{typeVarchar, typeText, true},
		{typeUUID, typeUUID, true},
		{typeInt8, float8, false},
		{typeInt4, float8, false},
		{typeInt8, numeric, false},
		{typeInt8, typeText, false},
		{typeText, typeBpchar, false},
		{typeText, typeName, false},
		{typeText, typeInt8, false},
		{typeUUID, typeText, false},
	} {
		if _, ok := keyType(k.key, k.declared); ok != k.ok {
			t.Errorf("a key of type %d by a parameter of type %d: %t", k.key, k.declared, ok)
		}
	}
}
