package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// The byte format stands in docs/record.md. This reader is another one than that of the record: it writes nothing, takes no lock, and
// every byte that does not read back as it must is a finding.
const (
	segmentMagic  = "SALLYLG1"
	segmentHeader = 64
	frameHeader   = 24

	formPlain  = 1
	formErased = 2
	formSealed = 3
	formKeyed  = 4 // by a key of its own, with a digest of it
	formOwn    = 5 // by a key of its own, with zeros before the event

	formAt = 32
	saltAt = 33
	bodyAt = 49
)

// item is one entry of a record, or, where it is lost, its place.
type item struct {
	seq        uint64
	lost       bool
	form       byte
	commitment [32]byte
	salt, body []byte // of a whole entry; valid until the next
}

// recordReader goes through the entries of one stream of a copy.
type recordReader struct {
	fs     fs.FS
	stream Stream
	report func(where, text string)

	id      [16]byte
	known   bool // id is
	names   []string
	at      int    // the segment that is open, of names
	data    []byte // its bytes
	name    string
	pos     int
	next    uint64 // the sequence that comes next
	last    uint64 // of the entry read last
	link    [32]byte
	linked  bool // link is that of the entry before next
	batch   uint64
	erased  bool // the open segment holds an erased entry
	ended   int  // where the segment before ended
	pending *item
}

// openRecord finds the segments of a stream. Its id is that of the first header that reads back.
func openRecord(fsys fs.FS, stream Stream, report func(where, text string)) (*recordReader, error) {
	r := &recordReader{fs: fsys, stream: stream, report: report, at: -1, next: 1}
	entries, err := fs.ReadDir(fsys, stream.String())
	if err != nil {
		return nil, fmt.Errorf("read the %s stream: %w", stream, err)
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".log") {
			r.names = append(r.names, name)
		} else if name != "lock" && name != "spare.tmp" && !strings.HasPrefix(name, "cursor") {
			r.report(r.stream.String()+"/"+name, "a file that does not belong here")
		}
	}
	slices.Sort(r.names)
	for _, name := range r.names {
		b, err := r.load(name)
		if err != nil {
			return nil, err
		}
		if len(b) >= segmentHeader && headerSum(b) == binary.LittleEndian.Uint32(b[60:]) {
			r.known = true
			copy(r.id[:], b[8:24])
			break
		}
	}
	if !r.known {
		r.report(r.stream.String(), "no segment has a header that reads back: all entries are lost")
		r.names = nil
	}
	r.link, r.linked = sha256.Sum256(r.id[:]), true
	return r, nil
}

func (r *recordReader) load(name string) ([]byte, error) {
	b, err := fs.ReadFile(r.fs, path.Join(r.stream.String(), name))
	if err != nil {
		return nil, fmt.Errorf("read the %s stream: %w", r.stream, err)
	}
	return b, nil
}

func castagnoli(seed uint32, b []byte) uint32 {
	return crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), b)
}

func headerSum(b []byte) uint32 { return castagnoli(0, b[:60]) }

func (r *recordReader) complain(format string, args ...any) {
	r.report(fmt.Sprintf("%s/%s at byte %d", r.stream, r.name, r.pos), fmt.Sprintf(format, args...))
}

// read is the next entry, lost ones included; nil at the end.
func (r *recordReader) read() (*item, error) {
	for {
		if r.pending != nil {
			if r.next < r.pending.seq { // what lies between was lost
				it := &item{seq: r.next, lost: true}
				r.next++
				return it, nil
			}
			it := r.pending
			r.pending = nil
			r.next = it.seq + 1
			r.last = it.seq
			return it, nil
		}
		if r.data == nil {
			more, err := r.open()
			if err != nil || !more {
				return nil, err
			}
		}
		if !r.frame() {
			r.finish()
		}
	}
}

// open begins with the next segment.
func (r *recordReader) open() (bool, error) {
	r.at++
	if r.at >= len(r.names) {
		return false, nil
	}
	before := r.name
	r.name, r.pos, r.erased = r.names[r.at], 0, false
	var err error
	if r.data, err = r.load(r.name); err != nil {
		return false, err
	}
	var first uint64
	if _, err := fmt.Sscanf(r.name, "%020d.log", &first); err != nil || fmt.Sprintf("%020d.log", first) != r.name || first == 0 {
		r.complain("a segment has no name of its own")
		r.data = nil
		return r.open()
	}
	r.header(first, before)
	r.pos = segmentHeader
	if first < r.next {
		r.complain("it should begin with entry %d: entries are there twice", r.next)
	}
	if first > r.next {
		r.linked = false // read tells of what is missing
	}
	r.batch = 0
	return true, nil
}

// header holds the first 64 bytes of a segment to what they must be.
func (r *recordReader) header(first uint64, before string) {
	b := r.data
	if len(b) < segmentHeader {
		r.complain("shorter than a header")
		r.data = make([]byte, segmentHeader)
		return
	}
	var prevFirst uint64
	if before != "" {
		_, _ = fmt.Sscanf(before, "%020d.log", &prevFirst) // it was read before
	}
	switch {
	case string(b[:8]) != segmentMagic || headerSum(b) != binary.LittleEndian.Uint32(b[60:]):
		r.complain("the header was altered")
	case !bytes.Equal(b[8:24], r.id[:]):
		r.complain("a segment of another record")
	case binary.LittleEndian.Uint64(b[24:]) != first:
		r.complain("the header names entry %d as its first", binary.LittleEndian.Uint64(b[24:]))
	case binary.LittleEndian.Uint64(b[32:]) != prevFirst:
		r.complain("the segment before it should begin with entry %d", binary.LittleEndian.Uint64(b[32:]))
	case !bytes.Equal(b[48:60], make([]byte, 12)):
		r.complain("the header was altered")
	case r.ended > 0 && binary.LittleEndian.Uint64(b[40:]) != uint64(r.ended): //nolint:gosec // a length
		r.complain("the segment before it should end at byte %d, and ends at %d", binary.LittleEndian.Uint64(b[40:]), r.ended)
	}
}

// frame reads one frame at pos; false where none stands there.
func (r *recordReader) frame() bool {
	seq, batch, payload, size, ok := r.decode(r.pos)
	if !ok {
		return false
	}
	if seq < r.next || batch < r.batch {
		r.complain("an entry with the number %d stands where %d is expected: inserted, or there twice", seq, r.next)
		r.pos += size
		return true
	}
	if seq > r.next {
		r.linked = false
		if payload == nil {
			r.complain("a seal says that entry %d comes next, and %d is expected", seq, r.next)
			r.pos += size
			return true
		}
		r.complain("entry %d stands where %d is expected: entries were removed", seq, r.next)
	}
	r.batch = batch
	if payload == nil {
		r.pos += size
		return true
	}
	r.entry(seq, payload)
	r.pos += size
	return true
}

// decode reads the frame at an offset.
func (r *recordReader) decode(at int) (seq, batch uint64, payload []byte, size int, ok bool) {
	if at+frameHeader > len(r.data) {
		return 0, 0, nil, 0, false
	}
	b := r.data[at:]
	length := int(binary.LittleEndian.Uint32(b))
	seq, batch = binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	size = frameHeader + length + -length&7
	if batch == 0 || batch > seq || size > len(b) || length == 0 && batch != seq {
		return 0, 0, nil, 0, false
	}
	sum := castagnoli(castagnoli(castagnoli(0, r.id[:]), b[:4]), b[8:frameHeader+length])
	if sum != binary.LittleEndian.Uint32(b[4:]) || !zeros(b[frameHeader+length:size]) {
		return 0, 0, nil, 0, false
	}
	if length > 0 {
		payload = b[frameHeader : frameHeader+length]
	}
	return seq, batch, payload, size, true
}

// sealedForm says whether entries of a form are encrypted.
func sealedForm(form byte) bool { return form == formSealed || form == formKeyed || form == formOwn }

// entry holds a payload to its form and to the chain.
func (r *recordReader) entry(seq uint64, b []byte) {
	it := &item{seq: seq}
	switch {
	case len(b) > bodyAt && (b[formAt] == formPlain || sealedForm(b[formAt])):
		it.form, it.salt, it.body = b[formAt], b[saltAt:bodyAt], b[bodyAt:]
		it.commitment = sha256.Sum256(b[saltAt:])
	case len(b) == saltAt+32 && b[formAt] == formErased:
		it.form = formErased
		copy(it.commitment[:], b[saltAt:])
		r.erased = true
	default:
		r.complain("entry %d has no form that there is", seq)
		r.linked = false
		it.lost = true
		r.pending = it
		return
	}
	var msg [72]byte
	copy(msg[:], r.link[:])
	binary.BigEndian.PutUint64(msg[32:], seq)
	copy(msg[40:], it.commitment[:])
	if link := sha256.Sum256(msg[:]); r.linked && !bytes.Equal(link[:], b[:32]) {
		r.complain("entry %d does not fit the hash chain: altered", seq)
	}
	copy(r.link[:], b)
	r.linked = true
	r.pending = it
}

// finish looks at what stands where no frame does: the unused rest, or damage, behind which it goes on.
func (r *recordReader) finish() {
	rest := r.data[r.pos:]
	if zeros(rest) {
		r.end()
		return
	}
	for at := r.pos + 8 - r.pos%8; at+frameHeader <= len(r.data); at += 8 {
		seq, _, payload, _, ok := r.decode(at)
		if ok && seq >= r.next && payload != nil {
			r.complain("%d bytes do not read back", at-r.pos)
			r.pos, r.linked = at, false
			return
		}
	}
	if r.at == len(r.names)-1 {
		r.complain("what follows the last entry does not read back: cut off by a crash, or altered")
	} else {
		r.complain("what follows does not read back: altered")
	}
	r.linked = r.linked && r.at == len(r.names)-1
	r.end()
}

// end leaves the segment.
func (r *recordReader) end() {
	r.ended = r.pos
	if r.erased { // it is shorter than it was when the next one was begun
		r.ended = 0
	}
	r.data = nil
}

func zeros(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
