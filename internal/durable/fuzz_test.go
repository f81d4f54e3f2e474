package durable

import (
	"bytes"
	"testing"
)

func FuzzDecodeFrame(f *testing.F) {
	const seed = 99
	good := appendFrame(nil, 7, 5, []byte("payload"))
	sealFrame(good, seed)
	f.Add(good)
	f.Add(make([]byte, frameBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := decodeFrame(b, seed)
		if !ok {
			return
		}
		again := appendFrame(nil, got.seq, got.batch, got.payload)
		sealFrame(again, seed)
		if !bytes.Equal(again, b[:got.size]) {
			t.Errorf("%x decodes as %+v, which encodes as %x", b, got, again)
		}
	})
}

// FuzzOpen lets the rest of a segment be anything: it opens, reads to an end, and takes new entries.
func FuzzOpen(f *testing.F) {
	id := [16]byte{1}
	var whole []byte
	for seq := range uint64(4) {
		start := len(whole)
		whole = appendFrame(whole, seq+1, seq/2*2+1, []byte(payloadOf(int(seq))))
		sealFrame(whole[start:], seedOf(id))
	}
	f.Add(whole, -1)
	f.Add(whole, 30)
	f.Add(append(make([]byte, 100), whole...), 5)
	f.Fuzz(func(t *testing.T, b []byte, flip int) {
		if flip >= 0 && flip < len(b) {
			b[flip] ^= 0x40
		}
		d := newSimDisk(1)
		file, err := d.Create(segmentName(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(append(header{id: id, first: 1}.append(nil), b...), 0); err != nil {
			t.Fatal(err)
		}
		l := mustOpen(t, "sim", Options{Disk: d, SegmentBytes: minSegmentBytes})
		before, _ := entries(t, l, 1)
		seq := mustAppend(t, l, "next")
		after, _ := entries(t, l, 1)
		if after[seq] != "next" || len(after) != len(before)+1 || seq <= uint64(len(before)) {
			t.Errorf("%d entries, then %d, the new one is %d", len(before), len(after), seq)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
