package record

import (
	"time"
	"unicode/utf8"

	"sallyport"
)

// AppendInput puts on record what another system said, with the time at which it arrived, and returns its position of arrival once that is
// durable. Detection reads inputs off this stream and from nowhere else, so that it finds the same again from the same record. A text longer than
// sallyport.MostHeard is cut. Whoever calls MUST have taken out of it what the record never holds: values of protected columns, literals of
// statements, keys.
func (s *Stream) AppendInput(in sallyport.Heard, arrived time.Time) (uint64, error) {
	return s.Append(inputEvent(in, arrived))
}

// AppendInputs is AppendInput of many, in their order, with one wait for the disk. After an error any of them may be on record or not: give
// all of them again.
func (s *Stream) AppendInputs(list []sallyport.Heard, arrived time.Time) error {
	for _, in := range list {
		e := inputEvent(in, arrived)
		if _, err := s.Enqueue(e); err == nil {
			continue
		}
		// There is no room for more that waits: this one is waited for, and those before it with it.
		if _, err := s.Append(e); err != nil {
			return err
		}
	}
	return s.Sync()
}

func inputEvent(in sallyport.Heard, arrived time.Time) *sallyport.Event {
	if len(in.Text) > sallyport.MostHeard {
		cut := sallyport.MostHeard
		for cut > 0 && !utf8.RuneStart(in.Text[cut]) {
			cut--
		}
		in.Text, in.Cut = in.Text[:cut], true
	}
	return &sallyport.Event{Time: arrived, Kind: sallyport.InputKind, Order: &sallyport.Order{Input: &in}}
}
