package export

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// DeadFile keeps what a receiver did not take: one JSON object a line, {"uid":…,"time":…,"severity":…,"body":…}.
type DeadFile struct {
	Path string

	mu sync.Mutex // one at a time
}

type deadLetter struct {
	UID      string    `json:"uid"`
	Time     time.Time `json:"time"`
	Severity int       `json:"severity"`
	Body     string    `json:"body"`
}

// Keep is DeadLetters': the messages are on stable storage when it returns nil.
func (d *DeadFile) Keep(batch []Message) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.keep(batch); err != nil {
		return fmt.Errorf("keep dead letters in %s: %w", d.Path, err)
	}
	return nil
}

func (d *DeadFile) keep(batch []Message) error {
	if err := os.MkdirAll(filepath.Dir(d.Path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(d.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for i := range batch {
		m := &batch[i]
		err = errors.Join(err, encoder.Encode(deadLetter{m.UID, m.Time, m.Severity, string(m.Body)}))
	}
	if _, torn := cutTorn(file); torn != nil {
		err = errors.Join(err, torn)
	}
	if err == nil {
		_, err = file.Write(lines.Bytes())
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close(), syncFolder(filepath.Dir(d.Path)))
}

// Erase takes away letters by their ids, also those that a replay left.
func (d *DeadFile) Erase(gone func(uid string) bool) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	removed := 0
	for _, name := range []string{d.Path, d.Path + ".replaying"} {
		n, err := eraseLines(name, func(line []byte) string {
			var l deadLetter
			_ = json.Unmarshal(line, &l) // what is none has no id
			return l.UID
		}, gone)
		if removed += n; err != nil {
			return removed, fmt.Errorf("erase dead letters in %s: %w", name, err)
		}
	}
	return removed, nil
}

// Replay delivers what is kept, in order, and removes what was taken. A serve that keeps further letters meanwhile is not disturbed: the file
// is renamed first. It stops at the first error; what is left is tried first the next time.
func (d *DeadFile) Replay(ctx context.Context, sink Sink) (delivered int, err error) {
	working := d.Path + ".replaying"
	for range 2 { // what a former replay left, then the present file
		if _, err := os.Stat(working); errors.Is(err, fs.ErrNotExist) {
			if err := os.Rename(d.Path, working); errors.Is(err, fs.ErrNotExist) {
				return delivered, nil
			} else if err != nil {
				return delivered, fmt.Errorf("replay dead letters: %w", err)
			}
		}
		n, err := replayFile(ctx, working, sink)
		delivered += n
		if err != nil {
			return delivered, fmt.Errorf("replay dead letters of %s: %w", working, err)
		}
	}
	return delivered, nil
}

// replayFile delivers a file's letters and rewrites it without them.
func replayFile(ctx context.Context, name string, sink Sink) (delivered int, err error) {
	letters, err := readDead(name)
	if err != nil {
		return 0, err
	}
	for delivered < len(letters) && err == nil {
		var taken int
		taken, err = sink.Deliver(ctx, letters[delivered:min(delivered+mostMessages, len(letters))])
		delivered += taken
		if err == nil && taken == 0 {
			err = errors.New("the receiver took nothing")
		}
	}
	if delivered == len(letters) {
		return delivered, os.Remove(name)
	}
	if delivered == 0 {
		return 0, err
	}
	rest := &DeadFile{Path: name + ".tmp"}
	if e := os.Remove(rest.Path); e != nil && !errors.Is(e, fs.ErrNotExist) {
		return delivered, errors.Join(err, e)
	}
	if e := rest.Keep(letters[delivered:]); e != nil {
		return delivered, errors.Join(err, e)
	}
	return delivered, errors.Join(err, os.Rename(rest.Path, name))
}

func readDead(name string) (list []Message, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := bufio.NewReader(file)
	for line := 1; ; line++ {
		text, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return list, nil // what stands behind the last end of a line was not kept
		}
		if err != nil {
			return nil, err
		}
		var l deadLetter
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("%s:%d: no dead letter", name, line)
		}
		list = append(list, Message{l.UID, l.Time, l.Severity, []byte(l.Body)})
	}
}
