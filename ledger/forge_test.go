package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/fstest"

	"golang.org/x/mod/sumdb/note"
)

// forged is one stream taken apart, by somebody who knows the format.
type forged struct {
	stream   Stream
	id       [16]byte
	payloads [][]byte
}

func (s *stage) takeApart(files fstest.MapFS, stream Stream) *forged {
	r, err := openRecord(files, stream, func(where, text string) { s.t.Errorf("%s: %s", where, text) })
	if err != nil {
		s.t.Fatal(err)
	}
	f := &forged{stream: stream, id: r.id}
	for {
		it, err := r.read()
		if err != nil {
			s.t.Fatal(err)
		}
		if it == nil {
			return f
		}
		b := append(make([]byte, 32), it.form)
		if it.form == formErased {
			b = append(b, it.commitment[:]...)
		} else {
			b = append(append(b, it.salt...), it.body...)
		}
		copy(b, r.link[:])
		f.payloads = append(f.payloads, b)
	}
}

// chain computes all links anew.
func (f *forged) chain() {
	link := sha256.Sum256(f.id[:])
	for i, b := range f.payloads {
		b = slices.Clone(b)
		var msg [72]byte
		copy(msg[:], link[:])
		binary.BigEndian.PutUint64(msg[32:], uint64(i+1))
		c := f.commitment(i)
		copy(msg[40:], c[:])
		link = sha256.Sum256(msg[:])
		copy(b, link[:])
		f.payloads[i] = b
	}
}

func (f *forged) commitment(i int) [32]byte {
	b := f.payloads[i]
	if b[formAt] == formErased {
		return [32]byte(b[saltAt:])
	}
	return sha256.Sum256(b[saltAt:])
}

// put writes the stream as segments with right checksums.
func (f *forged) put(files fstest.MapFS) {
	maps.DeleteFunc(files, func(name string, _ *fstest.MapFile) bool {
		return strings.HasPrefix(name, f.stream.String()+"/") && strings.HasSuffix(name, ".log")
	})
	const perSegment = 30
	prevFirst, prevEnd := 0, 0
	for first := 0; first < len(f.payloads); first += perSegment {
		b := append([]byte(segmentMagic), f.id[:]...)
		b = binary.LittleEndian.AppendUint64(b, uint64(first+1))
		b = binary.LittleEndian.AppendUint64(b, uint64(prevFirst))
		b = binary.LittleEndian.AppendUint64(b, uint64(prevEnd))
		b = append(b, make([]byte, 12)...)
		b = binary.LittleEndian.AppendUint32(b, castagnoli(0, b))
		for i := first; i < min(first+perSegment, len(f.payloads)); i++ {
			b = append(b, frameOf(f.id, uint64(i+1), f.payloads[i])...)
		}
		files[fmt.Sprintf("%s/%020d.log", f.stream, first+1)] = &fstest.MapFile{Data: b, Mode: 0o600}
		prevFirst, prevEnd = first+1, len(b)
	}
}

func frameOf(id [16]byte, seq uint64, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b[4:], castagnoli(castagnoli(castagnoli(0, id[:]), b[:4]), b[8:]))
	return append(b, make([]byte, -len(payload)&7)...)
}

// rewrite makes a whole ledger anew for what the streams are now. With the key it signs it, too.
func (s *stage) rewrite(files fstest.MapFS, key note.Signer) {
	maps.DeleteFunc(files, func(name string, _ *fstest.MapFile) bool { return strings.HasPrefix(name, "ledger/tile/") })
	var leaves []Leaf
	p := position{Records: map[string]uint64{}}
	for _, stream := range []Stream{Access, Control} {
		f := s.takeApart(files, stream)
		for i := range f.payloads {
			leaves = append(leaves, Leaf{stream, f.id, uint64(i + 1), f.commitment(i)})
		}
		p.Records[fmt.Sprintf("%x", f.id)] = uint64(len(f.payloads))
	}
	for name, b := range logFiles(s.t, leaves) {
		files["ledger/"+name] = &fstest.MapFile{Data: b, Mode: 0o600}
	}
	var state treeState
	if err := json.Unmarshal(files["ledger/"+stateName].Data, &state); err != nil {
		s.t.Fatal(err)
	}
	p.Size, p.Root = state.Size, state.Root
	b, err := json.Marshal(p)
	if err != nil {
		s.t.Fatal(err)
	}
	files["ledger/"+positionName] = &fstest.MapFile{Data: b, Mode: 0o600}
	if key == nil {
		return
	}
	signed, err := note.Sign(&note.Note{Text: checkpointText(s.key.Name(), state.Size, state.Root)}, key)
	if err != nil {
		s.t.Fatal(err)
	}
	files["ledger/checkpoint"] = &fstest.MapFile{Data: signed, Mode: 0o600}
	delete(files, "ledger/cosigned")
}
