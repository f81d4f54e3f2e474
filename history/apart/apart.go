// Package apart keeps a history.Store in a process of its own, so that what it computes, takes of memory or breaks is not the gateway's: it
// runs at a lower priority, holds no key but that of pseudonyms, and when it dies it is begun anew while the record answers.
//
// It refuses to guess: a call whose process ended has failed with ErrGone, whatever it may have done, and the position says what was taken in.
//
// Invariant: to who calls, the Store of Start is the one that Serve was given, as package historytest has it.
//
// The two speak over one pair of sockets that nobody else can reach: messages of CBOR, one call after the other, each with a number that its answer
// carries; a call with Cancel ends the one of the same number. Who hears that the other side is gone, ends.
package apart

import (
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"sallyport"
	"sallyport/history"
)

// ErrGone says that the process that kept history has ended.
var ErrGone = history.ErrGone

// Opening is what the process is told to open.
type Opening struct {
	Folder   string            `cbor:"1,keyasint"`
	Record   string            `cbor:"2,keyasint"` // its id
	Tells    []string          `cbor:"3,keyasint"` // columns whose equal values mean the same customer, as sallyport.Column.String has them
	Programs []sallyport.Staff `cbor:"4,keyasint"` // who is no person, and keeps the name
	Memory   int               `cbor:"5,keyasint"` // MiB; 0: the store's default
}

// call is one request. Exactly one of the parts is there, or none to cancel.
type call struct {
	Number   uint64              `cbor:"1,keyasint"`
	Cancel   bool                `cbor:"2,keyasint,omitempty"`
	Open     *Opening            `cbor:"3,keyasint,omitempty"`
	Position bool                `cbor:"4,keyasint,omitempty"`
	Add      *adding             `cbor:"5,keyasint,omitempty"`
	Saw      *history.Question   `cbor:"6,keyasint,omitempty"`
	Select   *selecting          `cbor:"7,keyasint,omitempty"`
	Forget   *history.Forgetting `cbor:"8,keyasint,omitempty"`
	Close    bool                `cbor:"9,keyasint,omitempty"`
	Find     *history.Wanted     `cbor:"10,keyasint,omitempty"`
	Exposed  *history.Exposing   `cbor:"11,keyasint,omitempty"`
}

type adding struct {
	To      uint64             `cbor:"1,keyasint"`
	Entries []*sallyport.Event `cbor:"2,keyasint"`
}

type selecting struct {
	SQL    string         `cbor:"1,keyasint"`
	Bounds history.Bounds `cbor:"2,keyasint"`
}

// answer is what came of one call.
type answer struct {
	Number   uint64            `cbor:"1,keyasint"`
	Failed   *failure          `cbor:"2,keyasint,omitempty"`
	Position *history.Position `cbor:"3,keyasint,omitempty"`
	Saw      *history.Answer   `cbor:"4,keyasint,omitempty"`
	Rows     *history.Rows     `cbor:"5,keyasint,omitempty"`
	Found    *history.Found    `cbor:"6,keyasint,omitempty"`
	Exposed  *history.Exposed  `cbor:"7,keyasint,omitempty"`
}

// failure is an error on its way: its text, and which of history's it is.
type failure struct {
	Text string `cbor:"1,keyasint"`
	Kind int    `cbor:"2,keyasint,omitempty"` // place in kinds, from 1; 0: none of them
}

// kinds are the errors that who calls tells apart.
func kinds() []error { return []error{history.ErrBroken, history.ErrRefused} }

func failureOf(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Text: err.Error()}
	for i, kind := range kinds() {
		if errors.Is(err, kind) {
			f.Kind = i + 1
			break
		}
	}
	return f
}

// err is the error again, with its text as it was.
func (f *failure) err() error {
	if f == nil {
		return nil
	}
	if f.Kind < 1 || f.Kind > len(kinds()) {
		return errors.New(f.Text)
	}
	return &told{f.Text, kinds()[f.Kind-1]}
}

// told is an error of the other process.
type told struct {
	text string
	kind error
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.kind }

// modes of the wire. Integers that come into an any are int64, as history.Rows has them; what clients call themselves need not be UTF-8.
func modes() (cbor.EncMode, cbor.DecMode, error) {
	options := cbor.CoreDetEncOptions()
	options.Time = cbor.TimeRFC3339NanoUTC
	enc, err := options.EncMode()
	if err != nil {
		return nil, nil, fmt.Errorf("set up the encoder: %w", err)
	}
	dec, err := cbor.DecOptions{IntDec: cbor.IntDecConvertSignedOrFail, UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: 1 << 24, MaxMapPairs: 1 << 24}.DecMode()
	if err != nil {
		return nil, nil, fmt.Errorf("set up the decoder: %w", err)
	}
	return enc, dec, nil
}

// closeWithin is how long the process may take to end in order; then it is killed. What was added is on its disk in any case.
const closeWithin = 20 * time.Second
