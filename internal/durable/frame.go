package durable

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// The byte format stands in docs/record.md. All numbers are little-endian.
const (
	magic       = "SALLYLG1"
	headerBytes = 64
	frameBytes  = 24 // length 4, checksum 4, sequence 8, batch 8
	alignment   = 8  // so that a frame's length and checksum never lie in two sectors
	suffix      = ".log"
	spareName   = "spare.tmp"
)

// header opens each segment.
type header struct {
	id        [16]byte
	first     uint64 // sequence of the segment's first entry
	prevFirst uint64 // the same of the segment before it; 0 for the first
	prevEnd   int64  // where that segment ends; what lies beyond was never acknowledged
}

func (h header) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = append(dst, h.id[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, h.first)
	dst = binary.LittleEndian.AppendUint64(dst, h.prevFirst)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.prevEnd))
	dst = append(dst, make([]byte, headerBytes-4-(len(dst)-start))...)
	return binary.LittleEndian.AppendUint32(dst, checksum(0, dst[start:]))
}

func decodeHeader(b []byte) (header, bool) {
	var h header
	if len(b) < headerBytes || string(b[:8]) != magic {
		return h, false
	}
	body, sum := b[:headerBytes-4], binary.LittleEndian.Uint32(b[headerBytes-4:])
	if checksum(0, body) != sum {
		return h, false
	}
	copy(h.id[:], b[8:24])
	h.first = binary.LittleEndian.Uint64(b[24:])
	h.prevFirst = binary.LittleEndian.Uint64(b[32:])
	h.prevEnd = int64(binary.LittleEndian.Uint64(b[40:]))
	return h, h.first > 0 && h.prevEnd >= 0
}

// frame is one decoded frame. A frame without payload is a seal: it holds no entry, and says that everything before it was
// durable when it was written. Its sequence is that of the entry that will follow.
type frame struct {
	seq     uint64
	batch   uint64 // sequence of the first entry that was written and synced together with this one
	payload []byte // aliases the bytes decoded
	size    int    // with header and padding
}

// appendFrame leaves the checksum for sealFrame, since the payload may still be completed in place.
func appendFrame(dst []byte, seq, batch uint64, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = binary.LittleEndian.AppendUint64(dst, batch)
	dst = append(dst, payload...)
	for range padding(len(payload)) {
		dst = append(dst, 0)
	}
	return dst
}

// sealFrame computes the checksum of the one frame that b holds.
func sealFrame(b []byte, seed uint32) {
	length := binary.LittleEndian.Uint32(b)
	binary.LittleEndian.PutUint32(b[4:], frameSum(b[:frameBytes+int(length)], seed))
}

// decodeFrame reads the frame at the start of b, which must reach at least to the frame's end.
func decodeFrame(b []byte, seed uint32) (frame, bool) {
	size, ok := frameSize(b)
	if !ok || size > len(b) {
		return frame{}, false
	}
	end := frameBytes + int(binary.LittleEndian.Uint32(b))
	if frameSum(b[:end], seed) != binary.LittleEndian.Uint32(b[4:]) || !allZero(b[end:size]) {
		return frame{}, false
	}
	f := frame{
		seq:   binary.LittleEndian.Uint64(b[8:]),
		batch: binary.LittleEndian.Uint64(b[16:]),
		size:  size,
	}
	if f.batch == 0 || f.batch > f.seq {
		return frame{}, false
	}
	if end > frameBytes {
		f.payload = b[frameBytes:end:end]
	}
	return f, true
}

// frameSize is the whole size that a frame's header claims.
func frameSize(b []byte) (int, bool) {
	if len(b) < frameBytes {
		return 0, false
	}
	length := binary.LittleEndian.Uint32(b)
	if length > maxPayload {
		return 0, false
	}
	return sizeOf(int(length)), true
}

// sizeOf is the space that a payload of n bytes takes in a segment.
func sizeOf(n int) int { return frameBytes + n + padding(n) }

func padding(n int) int { return -n & (alignment - 1) }

// frameSum covers everything but the checksum itself and the padding, which must be zero.
func frameSum(b []byte, seed uint32) uint32 {
	return checksum(checksum(seed, b[:4]), b[8:])
}

func checksum(seed uint32, b []byte) uint32 {
	return crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), b)
}

func seedOf(id [16]byte) uint32 { return checksum(0, id[:]) }

func allZero(b []byte) bool { return zeroPrefix(b) == len(b) }

var zeros [4096]byte //nolint:gochecknoglobals // constant

// zeroPrefix is how many zeros b begins with.
func zeroPrefix(b []byte) int {
	n := 0
	for ; len(b)-n >= len(zeros); n += len(zeros) { // the processor compares many at once
		if !bytes.Equal(b[n:n+len(zeros)], zeros[:]) {
			break
		}
	}
	for ; len(b)-n >= 8 && binary.LittleEndian.Uint64(b[n:]) == 0; n += 8 {
	}
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n
}

// segmentName makes names that sort as their sequences do.
func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, suffix) }

func parseSegmentName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && first > 0
}
