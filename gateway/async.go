package gateway

import (
	"context"
	"slices"

	"sallyport/wire/pg"
)

// What the server says of its own accord is a result too: NOTIFY and application_name carry any text from one session to
// another, so that a token in it is looked at, counted and recorded as one in a row is.

// answerNotification passes a notification on through the doors: process, channel and payload.
func (s *session) answerNotification(ctx context.Context, m []byte) error {
	process, channel, payload, err := pg.ParseNotification(m)
	if err != nil {
		return err
	}
	texts, err := s.aside(ctx, channel, payload)
	if err != nil {
		return err
	}
	s.out = pg.AppendNotification(s.out, process, texts[0], texts[1])
	return nil
}

// answerParameter passes the report of a setting on in the same way.
func (s *session) answerParameter(ctx context.Context, m []byte) error {
	if err := s.noteParameter(m); err != nil {
		return err
	}
	name, value, err := pg.ParseParameterStatus(m)
	if err != nil {
		return err
	}
	texts, err := s.aside(ctx, value)
	if err != nil {
		return err
	}
	s.out = pg.Append(s.out, pg.ParameterStatus, string(name), "\x00", string(texts[0]), "\x00")
	return nil
}

// aside takes texts through the doors that belong to no statement.
func (s *session) aside(ctx context.Context, texts ...[]byte) ([][]byte, error) {
	if !slices.ContainsFunc(texts, s.holdsToken) {
		return texts, nil
	}
	if err := s.record(); err != nil { // of the statement that is under way
		return nil, err
	}
	r := &run{}
	out := make([][]byte, len(texts))
	for i, text := range texts {
		out[i] = s.throughDoors(ctx, r, text)
	}
	if err := s.record(); err != nil {
		return nil, err
	}
	s.of = nil
	return out, nil
}

// noteParameter follows the settings that change how statements and values read.
func (s *session) noteParameter(m []byte) error {
	name, value, err := pg.ParseParameterStatus(m)
	if err != nil {
		return err
	}
	if string(name) == "client_encoding" && shifts(string(value)) {
		s.end(fatal(codeUnsupported, "client_encoding "+string(value)+" cannot be read safely", "Connect with client_encoding=UTF8."))
		return errEnded
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(name) {
	case "standard_conforming_strings":
		s.unread = string(value) != "on"
	case "client_encoding":
		s.foreign = string(value) != "UTF8" && string(value) != "SQL_ASCII"
	case "DateStyle":
		s.style = parseDateStyle(string(value))
	}
	return nil
}

// shifts says whether the second byte of a letter may be a backslash: the encodings that only clients have (table 24.3).
// The server would find other ends of strings than we do, and a session that began so could come back to it at any time.
func shifts(encoding string) bool {
	switch encoding {
	case "BIG5", "GB18030", "GBK", "JOHAB", "SJIS", "SHIFT_JIS_2004", "UHC":
		return true
	}
	return false
}
