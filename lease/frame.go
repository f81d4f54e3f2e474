// Package lease lets several gateways share what one controller counts: budgets, of which it lends them shares (exposure.Lender and
// exposure.Borrower), assertions that are good once, and the orders that hold. Controller and Gateway are the two ends of one TLS
// connection; what passes on it stands here.
//
// It refuses to judge: it carries entries, orders and shares, and what they mean is for those who fold them. A gateway gives no orders
// by it but those that its controller lets it give, and sees nothing but what its own certificate's name is for.
//
// Invariant: what is lent or marked is on the controller's disk before a gateway has it, and a gateway that has not heard from its
// controller for a second says so (Gateway.Heard).
package lease

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"sallyport"
	"sallyport/exposure"
)

// frame is one message: four bytes of length, then this as CBOR. One of its fields is filled.
type frame struct {
	Hello    *hello             `cbor:"1,keyasint,omitempty"` // the first of a gateway
	Welcome  *welcome           `cbor:"2,keyasint,omitempty"` // the first of the controller
	Refused  string             `cbor:"3,keyasint,omitempty"` // instead: why not
	Entry    *sallyport.Event   `cbor:"4,keyasint,omitempty"` // of the gateway's stream, in order
	Order    *sallyport.Event   `cbor:"5,keyasint,omitempty"` // of the control stream, in order
	News     *sallyport.Event   `cbor:"6,keyasint,omitempty"` // of the controller's access stream: what every gateway has to know
	Caught   bool               `cbor:"7,keyasint,omitempty"` // all news of before the welcome were sent
	Want     *want              `cbor:"8,keyasint,omitempty"`
	Answer   *answer            `cbor:"9,keyasint,omitempty"`
	Returned []exposure.Holding `cbor:"10,keyasint,omitempty"`
	Recall   []exposure.ID      `cbor:"11,keyasint,omitempty"` // give these back
	Mark     *mark              `cbor:"12,keyasint,omitempty"`
	Give     *give              `cbor:"13,keyasint,omitempty"`
	Done     *done              `cbor:"14,keyasint,omitempty"` // the answer to mark and give
	Beat     uint64             `cbor:"15,keyasint,omitempty"` // each 200 ms, and back
	Control  uint64             `cbor:"16,keyasint,omitempty"` // with a beat that comes back: how far the control stream is
	Parcel   *parcel            `cbor:"17,keyasint,omitempty"` // part of a file that the gateway has to have
	Whole    bool               `cbor:"18,keyasint,omitempty"` // all parcels of before the orders were sent
	Afresh   bool               `cbor:"19,keyasint,omitempty"` // with Refused: it has to begin anew, by other files
	Census   *Census            `cbor:"20,keyasint,omitempty"` // which sessions in the database are the gateway's; and the answer
	Share    *share             `cbor:"21,keyasint,omitempty"` // of what opens the gateway's keys: somebody brought it just now
	Call     *call              `cbor:"22,keyasint,omitempty"` // a question for the gateway, or its answer; it may hold values
}

// hello says who comes. His name stands in his certificate.
type hello struct {
	Version int                `cbor:"1,keyasint"`
	Record  string             `cbor:"2,keyasint"` // id of the gateway's access stream
	Life    string             `cbor:"3,keyasint"` // of its process
	Last    uint64             `cbor:"4,keyasint"` // how far its stream was when that began
	Files   string             `cbor:"5,keyasint"` // hash of the configuration that it runs by; empty: it has to learn which
	Control uint64             `cbor:"6,keyasint"` // how far its copy of the control stream is
	News    uint64             `cbor:"7,keyasint"` // the last entry of the controller's access stream that it was told of
	Had     []exposure.Holding `cbor:"8,keyasint,omitempty"`
	Holds   map[string]string  `cbor:"9,keyasint,omitempty"` // parcels that it has: name → SHA-256 of what the controller sent
}

type welcome struct {
	Control string `cbor:"1,keyasint"` // id of the control stream
	Access  string `cbor:"2,keyasint"` // id of the controller's access stream, which the database's mark names
	Last    uint64 `cbor:"3,keyasint"` // how far that is
	Orders  uint64 `cbor:"4,keyasint"` // how far the control stream is
	Seen    uint64 `cbor:"5,keyasint"` // how far the gateway's stream is here
	Runs    string `cbor:"6,keyasint"` // which approved files the controller runs by
}

type want struct {
	ID    uint64          `cbor:"1,keyasint"`
	Wants []exposure.Want `cbor:"2,keyasint"`
}

type answer struct {
	ID      uint64            `cbor:"1,keyasint"`
	Answers []exposure.Answer `cbor:"2,keyasint"`
}

type mark struct {
	ID       uint64             `cbor:"1,keyasint"`
	Who      sallyport.Who      `cbor:"2,keyasint"`
	Asserted sallyport.Asserted `cbor:"3,keyasint"`
}

// share is never kept: neither by who sends it nor by who takes it, but in what opens the keys.
type share struct {
	By   sallyport.Staff `cbor:"1,keyasint"`
	Text string          `cbor:"2,keyasint"`
}

type give struct {
	ID    uint64           `cbor:"1,keyasint"`
	Event *sallyport.Event `cbor:"2,keyasint"`
}

type done struct {
	ID    uint64 `cbor:"1,keyasint"`
	First bool   `cbor:"2,keyasint,omitempty"` // of a mark: nobody had it before
	Error string `cbor:"3,keyasint,omitempty"`
}

// version is that of the protocol: both ends must have the same.
const version = 4

// mostFrame bounds a frame: an entry holds a batch of at most a mebibyte of a result, and its values take less than that.
const mostFrame = 16 << 20

// silence is how long either end waits for the other, which sends something each beatEvery.
const (
	silence   = 3 * time.Second
	beatEvery = 200 * time.Millisecond
)

// wire is one connection. Several may send on it; one reads.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	enc  cbor.EncMode
	dec  cbor.DecMode

	mu  sync.Mutex // guards out
	out []byte
}

func newWire(conn net.Conn) (*wire, error) {
	options := cbor.CoreDetEncOptions()
	options.Time = cbor.TimeRFC3339NanoUTC
	enc, err := options.EncMode()
	if err != nil {
		return nil, fmt.Errorf("set up the encoder: %w", err)
	}
	dec, err := decoder()
	if err != nil {
		return nil, err
	}
	return &wire{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), enc: enc, dec: dec}, nil
}

func decoder() (cbor.DecMode, error) {
	dec, err := cbor.DecOptions{
		MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 16, MaxNestedLevels: 20,
		IndefLength: cbor.IndefLengthForbidden, DupMapKey: cbor.DupMapKeyEnforcedAPF,
	}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("set up the decoder: %w", err)
	}
	return dec, nil
}

func (w *wire) send(f *frame) error {
	body, err := w.enc.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	if len(body) > mostFrame {
		return fmt.Errorf("send a message: it is %d bytes long, and may be %d", len(body), mostFrame)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = append(binary.BigEndian.AppendUint32(w.out[:0], uint32(len(body))), body...) //nolint:gosec // bounded above
	if err := w.conn.SetWriteDeadline(time.Now().Add(silence)); err != nil {
		return err
	}
	_, err = w.conn.Write(w.out)
	if f.Share != nil || f.Call != nil {
		clear(w.out)
		clear(body)
	}
	return err
}

func (w *wire) receive() (*frame, error) {
	if err := w.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return nil, err
	}
	return readFrame(w.in, w.dec)
}

var errFrame = errors.New("not a message of this protocol") //nolint:gochecknoglobals // a sentinel

func readFrame(in io.Reader, dec cbor.DecMode) (*frame, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > mostFrame {
		return nil, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	var body []byte
	for len(body) < int(n) { // room is made for what comes, and not for what somebody says will come
		part := min(int(n)-len(body), 64<<10)
		body = append(body, make([]byte, part)...)
		if _, err := io.ReadFull(in, body[len(body)-part:]); err != nil {
			return nil, err
		}
	}
	f := new(frame)
	if err := dec.Unmarshal(body, f); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	return f, nil
}
