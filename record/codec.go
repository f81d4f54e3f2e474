package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"sallyport"
)

// codec encodes events as CBOR (RFC 8949) in its core deterministic form. Its modes are immutable and safe for many goroutines.
type codec struct {
	enc cbor.UserBufferEncMode
	dec cbor.DecMode
}

func newCodec() (codec, error) {
	opts := cbor.CoreDetEncOptions()
	opts.Time = cbor.TimeRFC3339NanoUTC
	enc, err := opts.UserBufferEncMode()
	if err != nil {
		return codec{}, fmt.Errorf("set up the encoder: %w", err)
	}
	dec, err := cbor.DecOptions{
		// What we wrote ourselves is within these; what is not was altered.
		MaxArrayElements: 1 << 24,
		MaxNestedLevels:  16,
		IndefLength:      cbor.IndefLengthForbidden,
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
	}.DecMode()
	if err != nil {
		return codec{}, fmt.Errorf("set up the decoder: %w", err)
	}
	return codec{enc: enc, dec: dec}, nil
}

// Decode reads the body of an entry that somebody was shown: it may be anybody's.
func Decode(body []byte) (*sallyport.Event, error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	e, err := c.decode(body)
	if err != nil {
		return nil, fmt.Errorf("read an event: %w", err)
	}
	return e, nil
}

// Keys of an Event's map, as in its tags. Key 1, the sequence, is not stored: the entry's frame has it, and the link binds it.
const (
	keyTime = iota + 2
	keyKind
	keyWho
	keyStatement
	keyReveal
	keyFacts
	keyLimit
	keyCounters
	keyOrder
	keyNote
	keyTouch
	keyPower
	keyDecision
	keyTies
	keyAsserted
	keyResult

	keyImported = 30

	keyOrigin   = 36
	keyCharged  = 37
	keyLent     = 38
	keyCanary   = 40
	keyRestates = 47
)

// append encodes e with the time at. The outermost map is written here field by field, because a Reveal or a Touch holds so many values
// that reflection over them would cost more than everything else together.
func (c codec) append(buf *bytes.Buffer, e *sallyport.Event, at time.Time) error {
	fields := [...]struct {
		key     byte
		present bool
		value   any
	}{
		{keyTime, true, at},
		{keyKind, true, e.Kind},
		{keyWho, true, &e.Who},
		{keyStatement, e.Statement != nil, e.Statement},
		{keyReveal, e.Reveal != nil, e.Reveal},
		{keyFacts, len(e.Facts) > 0, e.Facts},
		{keyLimit, e.Limit != nil, e.Limit},
		{keyCounters, e.Counters != nil, e.Counters},
		{keyOrder, e.Order != nil, e.Order},
		{keyNote, e.Note != "", e.Note},
		{keyTouch, e.Touch != nil, e.Touch},
		{keyPower, e.Power != nil, e.Power},
		{keyDecision, e.Decision != nil, e.Decision},
		{keyTies, len(e.Ties) > 0, e.Ties},
		{keyAsserted, e.Asserted != nil, e.Asserted},
		{keyResult, e.Result != nil, e.Result},
		{keyImported, e.Imported != nil, e.Imported},
		{keyOrigin, e.Origin != nil, e.Origin},
		{keyCharged, len(e.Charged) > 0, e.Charged},
		{keyLent, e.Lent != nil, e.Lent},
		{keyCanary, e.Canary != nil, e.Canary},
		{keyRestates, e.Restates != nil, e.Restates},
	}
	n := byte(0)
	for i := range fields {
		if fields[i].present {
			n++
		}
	}
	buf.WriteByte(majorMap | n) // at most 22 fields, and 23 fit
	for i := range fields {
		if !fields[i].present {
			continue
		}
		appendHead(buf, majorUint, uint64(fields[i].key))
		switch fields[i].key {
		case keyReveal:
			if err := c.appendReveal(buf, e.Reveal); err != nil {
				return err
			}
			continue
		case keyTouch:
			appendTouch(buf, e.Touch)
			continue
		}
		if err := c.enc.MarshalToBuffer(fields[i].value, buf); err != nil {
			return fmt.Errorf("encode field %d: %w", fields[i].key, err)
		}
	}
	return nil
}

// The major types of RFC 8949, section 3.1, in their place.
const (
	majorUint  = 0 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5
	majorMap   = 5 << 5
)

// Keys of a Revealed's map, as in its tags.
const (
	keyRevealStatement = iota + 1
	keyRevealColumns
	keyRevealValues
	keyRevealPurposes
	keyRevealGrant
	keyRevealRulings
	keyRevealTrust
)

// appendReveal writes the same bytes as the encoder would.
func (c codec) appendReveal(buf *bytes.Buffer, r *sallyport.Revealed) error {
	n := byte(3)
	for _, present := range [...]bool{len(r.Purposes) > 0, r.Grant != "", len(r.Rulings) > 0, r.Trust != 0} {
		if present {
			n++
		}
	}
	buf.Write([]byte{majorMap | n, keyRevealStatement})
	appendHead(buf, majorUint, r.Statement)
	buf.WriteByte(keyRevealColumns)
	if err := c.enc.MarshalToBuffer(r.Columns, buf); err != nil {
		return fmt.Errorf("encode columns: %w", err)
	}
	buf.WriteByte(keyRevealValues)
	appendHead(buf, majorBytes, uint64(len(r.Values.Packed())))
	buf.Write(r.Values.Packed())
	if len(r.Purposes) > 0 {
		buf.WriteByte(keyRevealPurposes)
		if err := c.enc.MarshalToBuffer(r.Purposes, buf); err != nil {
			return fmt.Errorf("encode purposes: %w", err)
		}
	}
	if r.Grant != "" {
		buf.WriteByte(keyRevealGrant)
		appendHead(buf, majorText, uint64(len(r.Grant)))
		buf.WriteString(r.Grant)
	}
	if len(r.Rulings) > 0 {
		buf.WriteByte(keyRevealRulings)
		if err := c.enc.MarshalToBuffer(r.Rulings, buf); err != nil {
			return fmt.Errorf("encode rulings: %w", err)
		}
	}
	if r.Trust != 0 {
		buf.WriteByte(keyRevealTrust)
		if err := c.enc.MarshalToBuffer(r.Trust, buf); err != nil {
			return fmt.Errorf("encode trust: %w", err)
		}
	}
	return nil
}

// Keys of a Touched's map, as in its tags.
const (
	keyTouchStatement = iota + 1
	keyTouchReached
	keyTouchValues
	keyTouchProbes
	keyTouchDates
)

// appendTouch writes the same bytes as the encoder would.
func appendTouch(buf *bytes.Buffer, t *sallyport.Touched) {
	n := byte(1)
	for _, present := range []bool{len(t.Reached) > 0, len(t.Values) > 0, len(t.Probes) > 0, len(t.Dates) > 0} {
		if present {
			n++
		}
	}
	buf.Write([]byte{majorMap | n, keyTouchStatement})
	appendHead(buf, majorUint, t.Statement)
	if len(t.Reached) > 0 {
		buf.WriteByte(keyTouchReached)
		appendHead(buf, majorArray, uint64(len(t.Reached)))
		for _, who := range t.Reached {
			buf.Write(append(head(buf.AvailableBuffer(), majorText, uint64(len(who))), who...))
		}
	}
	appendDigests(buf, keyTouchValues, t.Values)
	appendDigests(buf, keyTouchProbes, t.Probes)
	appendDigests(buf, keyTouchDates, t.Dates)
}

func appendDigests(buf *bytes.Buffer, key byte, digests []sallyport.Digest) {
	if len(digests) == 0 {
		return
	}
	buf.WriteByte(key)
	appendHead(buf, majorArray, uint64(len(digests)))
	for i := range digests {
		buf.Write(append(append(buf.AvailableBuffer(), majorBytes|byte(len(digests[i]))), digests[i][:]...))
	}
}

func appendHead(buf *bytes.Buffer, major byte, n uint64) {
	buf.Write(head(buf.AvailableBuffer(), major, n))
}

// head appends the shortest head, RFC 8949, section 4.2.1.
func head(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= 0xff:
		return append(b, major|24, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= 0xffff_ffff:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func (c codec) decode(body []byte) (*sallyport.Event, error) {
	e := new(sallyport.Event)
	if err := c.dec.Unmarshal(body, e); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	return e, nil
}
