package apart

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// A message is the length of its CBOR in four bytes, and that. Who hears it knows when all of it is there: a batch comes in dozens of pieces,
// and a decoder of a stream begins at its first byte with each.

// mostRoom is what a message's room may keep until the next one.
const mostRoom = 16 << 20

// speaker writes messages. It is used by one at a time.
type speaker struct {
	to   io.Writer
	enc  cbor.EncMode
	room bytes.Buffer
}

func (s *speaker) say(message any) error {
	if s.room.Cap() > mostRoom {
		s.room = bytes.Buffer{}
	}
	s.room.Reset()
	s.room.Write(make([]byte, 4))
	if err := s.enc.NewEncoder(&s.room).Encode(message); err != nil {
		return err
	}
	b := s.room.Bytes()
	binary.BigEndian.PutUint32(b, uint32(len(b)-4)) //nolint:gosec // a batch is bounded far below
	_, err := s.to.Write(b)
	return err
}

// listener reads messages.
type listener struct {
	from io.Reader
	dec  cbor.DecMode
	room []byte
}

// hear reads one; io.EOF where the other side has ended between two.
func (l *listener) hear(message any) error {
	var head [4]byte
	if _, err := io.ReadFull(l.from, head[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if cap(l.room) > mostRoom {
		l.room = nil
	}
	l.room = slices.Grow(l.room[:0], n)[:n]
	if _, err := io.ReadFull(l.from, l.room); err != nil {
		return err
	}
	return l.dec.Unmarshal(l.room, message) // copies what it takes of the room
}
