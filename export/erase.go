package export

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Erase takes messages out of the present file and out of those that were rotated. Who has copied or read them has them: what was sent
// cannot be taken back. It returns how many lines went. A crash leaves each file as it was or as it will be; the same call ends it.
func (f *File) Erase(gone func(uid string) bool) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget() // the next Deliver opens the new file
	names, err := f.rotated()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("erase from %s: %w", f.Path, err)
	}
	removed := 0
	for _, name := range append(names, f.Path) {
		n, err := eraseLines(name, lineUID, gone)
		if removed += n; err != nil {
			return removed, fmt.Errorf("erase from %s: %w", name, err)
		}
	}
	return removed, nil
}

// idMarks stand before the id of a message, in each format.
func idMarks() [3]string { return [...]string{`"metadata":{"uid":"`, ` externalId=`, `"event.id":"`} }

// lineUID is the id of the message in a line; empty where it is none of ours.
func lineUID(line []byte) string {
	for _, mark := range idMarks() {
		_, rest, ok := bytes.Cut(line, []byte(mark))
		if end := bytes.IndexAny(rest, "\" \r\n"); ok && end > 0 {
			return string(rest[:end])
		}
	}
	return ""
}

// eraseLines writes a file anew without some lines, where it holds any. What stands behind the last end of a line stays.
func eraseLines(name string, id func(line []byte) string, gone func(uid string) bool) (removed int, err error) {
	in, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer in.Close()
	temporary := name + ".erasing"
	out, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	if strings.HasSuffix(name, ".gz") {
		removed, err = copyPacked(out, in, id, gone)
	} else {
		removed, err = copyLines(out, in, id, gone)
	}
	if err == nil && removed > 0 {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil || removed == 0 {
		return 0, errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, name); err != nil {
		return 0, errors.Join(err, os.Remove(temporary))
	}
	return removed, syncFolder(filepath.Dir(name))
}

func copyPacked(to io.Writer, from io.Reader, id func([]byte) string, gone func(string) bool) (int, error) {
	unpacked, err := gzip.NewReader(from)
	if err != nil {
		return 0, err
	}
	packed := gzip.NewWriter(to)
	removed, err := copyLines(packed, unpacked, id, gone)
	return removed, errors.Join(err, packed.Close())
}

func copyLines(to io.Writer, from io.Reader, id func([]byte) string, gone func(string) bool) (removed int, err error) {
	in, out := bufio.NewReaderSize(from, 1<<20), bufio.NewWriterSize(to, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return removed, err
		}
		if uid := id(line); err == nil && uid != "" && gone(uid) {
			removed++
			continue
		}
		if _, err := out.Write(line); err != nil {
			return removed, err
		}
		if err != nil {
			return removed, out.Flush()
		}
	}
}
