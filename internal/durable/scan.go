package durable

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// window is how much of a file is read at once.
const window = 256 << 10

// scanner decodes the frames of one segment.
type scanner struct {
	f     File
	seed  uint32
	pos   int64 // of the frame to read next
	limit int64 // nothing beyond is looked at
	buf   []byte
	at    int64 // position of buf in the file
}

// peek is up to n bytes from off on, fewer at the limit or the end of the file, valid until the next peek.
func (s *scanner) peek(off int64, n int) ([]byte, error) {
	if off >= s.limit {
		return nil, nil
	}
	n = int(min(int64(n), s.limit-off))
	if off < s.at || off+int64(n) > s.at+int64(len(s.buf)) {
		want := int(min(int64(max(n, window)), s.limit-off))
		if cap(s.buf) < want {
			s.buf = make([]byte, want)
		}
		got, err := s.f.ReadAt(s.buf[:want], off)
		if err != nil && !errors.Is(err, io.EOF) {
			s.buf = s.buf[:0]
			return nil, err
		}
		s.buf, s.at = s.buf[:got], off
		n = min(n, got)
	}
	start := off - s.at
	return s.buf[start : start+int64(n)], nil
}

// frame decodes the frame at off. It is false where no valid frame stands.
func (s *scanner) frame(off int64) (frame, bool, error) {
	b, err := s.peek(off, frameBytes)
	if err != nil {
		return frame{}, false, err
	}
	size, ok := frameSize(b)
	if !ok || allZero(b) || int64(size) > s.limit-off {
		return frame{}, false, nil
	}
	if b, err = s.peek(off, size); err != nil {
		return frame{}, false, err
	}
	f, ok := decodeFrame(b, s.seed)
	return f, ok, nil
}

// find moves to the first valid frame from pos on that can follow where the entry next was expected; where there is none it
// stays. With durable it looks for a frame that proves that next had been durable: one of a later batch, since a batch is only
// written after the sync of the one before it.
func (s *scanner) find(next uint64, durable bool) (frame, bool, error) {
	most := uint64(s.limit / frameBytes) // no more entries than this can have been lost
	for off := s.pos; off+frameBytes <= s.limit; {
		b, err := s.peek(off, frameBytes)
		if err != nil || len(b) < frameBytes {
			return frame{}, false, err
		}
		seq, batch := binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
		if batch == 0 {
			off += s.noFrames(off)
			continue
		}
		if seq < next || seq-next > most || batch > seq {
			off += alignment
			continue
		}
		f, ok, err := s.frame(off)
		switch {
		case err != nil:
			return frame{}, false, err
		case !ok:
			off += alignment
		case durable && f.batch <= next && f.seq != next:
			off += int64(f.size)
		default:
			s.pos = off
			return f, true, nil
		}
	}
	return frame{}, false, nil
}

// noFrames is how far to go on from off, where no frame stands since its batch is zero: past all of what is read that is zero too, as most
// of a segment is.
func (s *scanner) noFrames(off int64) int64 {
	zeros := zeroPrefix(s.buf[off-s.at:])
	if zeros < frameBytes {
		return alignment
	}
	return int64(zeros-frameBytes)&^(alignment-1) + alignment
}

// zeroFrom is the position from which on everything up to the limit is zero.
func (s *scanner) zeroFrom(off int64) (int64, error) {
	end := off
	for off < s.limit {
		b, err := s.peek(off, window)
		if err != nil || len(b) == 0 {
			return end, err
		}
		if !allZero(b) {
			for i, c := range slices.Backward(b) {
				if c != 0 {
					end = off + int64(i) + 1
					break
				}
			}
		}
		off += int64(len(b))
	}
	return end, nil
}
