package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"sallyport/internal/durable"
)

// sweep forgets messages that cannot come again: their time is over. m.mu is held.
func (m *mirror) sweep() {
	now := m.now()
	if now.Sub(m.swept) < time.Minute {
		return
	}
	m.swept = now
	for id, at := range m.messages {
		if at.Before(now.Add(-2 * window)) {
			delete(m.messages, id)
		}
	}
}

// Bounds on what is kept.
const (
	renewAfter = 20_000              // entries, before a log is written anew; or four times what is known, if that is more
	keepOver   = 31 * 24 * time.Hour // the version of a thing that is over: what is late by more is taken for new
	copyItems  = 500                 // in one entry
)

// renew writes the log anew where most of it is history. m.mu is held.
func (m *mirror) renew() error {
	if m.entries < renewAfter || m.entries < 4*len(m.items) {
		return nil
	}
	old, number := m.log, m.number
	log, err := durable.Open(m.path(number+1), durable.Options{SegmentBytes: 1 << 20})
	if err != nil {
		return fmt.Errorf("write the mirror anew: %w", err)
	}
	m.log, m.entries = log, 0
	if err := m.copy(); err != nil { // the old one is still whole
		m.log, m.entries, m.failing = old, 0, false                          // it is tried again after as many entries
		return errors.Join(err, log.Close(), os.RemoveAll(m.path(number+1))) //nolint:gosec // a number below our own folder
	}
	m.number = number + 1
	return errors.Join(old.Close(), os.RemoveAll(m.path(number))) //nolint:gosec // likewise
}

// copy appends all that is known. m.mu is held.
func (m *mirror) copy() error {
	e := &entry{At: m.heard}
	for _, item := range m.items {
		if (item.Gone || !m.live(item.State)) && item.Seen.Before(m.now().Add(-keepOver)) {
			m.drop(item)
			continue
		}
		e.Items = append(e.Items, *item)
		if len(e.Items) == copyItems {
			if err := m.append(e); err != nil {
				return err
			}
			e.Items = nil
		}
	}
	if err := m.append(e); err != nil {
		return err
	}
	for id, at := range m.messages {
		if err := m.enqueue(&entry{ID: id, At: at}); err != nil {
			return err
		}
	}
	return m.append(&entry{At: m.heard, Note: m.note, Whole: true})
}

func (m *mirror) enqueue(e *entry) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write the mirror anew: %w", err)
	}
	if _, err := m.log.Enqueue(payload); err != nil {
		return m.append(e) // too many wait
	}
	m.entries++
	return nil
}
