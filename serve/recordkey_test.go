package serve

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/keys"
	"sallyport/record"
)

// openStream opens a stream of a fort that does not run, as a command does.
func (f *fort) openStream(t *testing.T, name string) *record.Stream {
	t.Helper()
	key, err := RecordKey(f.config, f.ctx, Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, false)
	fatal(t, err)
	stream, err := record.Open(filepath.Join(f.options.Data, name), record.Options{Now: time.Now, Key: key})
	fatal(t, err)
	t.Cleanup(func() { _ = stream.Close() })
	return stream
}

// TestRecordAtRest: who copies the data folder reads nothing of the record: no person, no customer, no order. Without the key file, with another
// one, and without the wrapped key serve does not start, and makes nothing new.
func TestRecordAtRest(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must("SET sallyport.purpose = 'ticket:" + ticket.No + "'")
	if got := c.one("SELECT email FROM support.customers WHERE phone = '" + customer.Phone + "'"); got != customer.Email {
		t.Fatalf("read %q", got)
	}
	f.lock(f.org.Agents()[5].ID)
	f.stop()
	words := []string{string(who), string(f.org.Agents()[5].ID), "support.customers", `customers`, "session_start", "psql", "lock", customer.Email, customer.Phone}
	fatal(t, filepath.WalkDir(f.options.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) != ".log" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, word := range words {
			if bytes.Contains(content, []byte(word)) {
				t.Errorf("%q stands in %s", word, path)
			}
		}
		return nil
	}))

	starts := func(change func(*Options)) error {
		o := f.options
		o.Config = f.config
		change(&o)
		s, err := Start(f.ctx, o)
		if err == nil {
			_ = s.Close()
		}
		return err
	}
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"without a key file", func(o *Options) { o.KeyFile = "" }, "is encrypted, and age opens its key; expected --key-file"},
		{"with one that is missing", func(o *Options) { o.KeyFile = filepath.Join(t.TempDir(), "no.txt") }, "is missing"},
		{"with another one", func(o *Options) { o.KeyFile = otherKeyFile(t) }, "not wrapped for the identity"},
	} {
		if err := starts(c.change); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	wrapped := filepath.Join(f.options.Data, keys.RecordKeyName)
	content, err := os.ReadFile(wrapped)
	fatal(t, err)
	fatal(t, os.Remove(wrapped))
	if err := starts(func(*Options) {}); err == nil || !strings.Contains(err.Error(), "record.key is missing: bring it back") {
		t.Errorf("without the wrapped key: %v", err)
	}
	if _, err := os.Stat(wrapped); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a new key was made for a record that has one")
	}
	fatal(t, os.WriteFile(wrapped, content, 0o600))
	f.start()
	if got := f.connect(who); got == nil || !f.server.AccessStream.Sealed() {
		t.Error("with everything back it does not go on")
	}
}

// TestQuorumEncryptsRecord: shares cannot open the record, so who splits the keys says who does. Nothing protected goes by in front of a record
// that anybody who copies it could read.
func TestQuorumEncryptsRecord(t *testing.T) {
	f := newFort(t, "")
	f.stop()
	split, err := keys.NewSplit(2, []string{"anna", "ben", "carla"})
	fatal(t, err)
	_, err = keys.Rewrap(t.Context(), keys.Options{Dir: f.options.Data, Provider: &keys.KeyFile{Path: f.options.KeyFile, Dir: f.options.Data}}, split)
	fatal(t, err)
	f.edit("demonstration: true", "demonstration: true\nkeys: {provider: quorum}")
	o := f.options
	o.Config, o.KeyFile = f.config, ""
	for _, name := range []string{keys.RecordKeyName, "control", "access"} { // as where a quorum was there from the beginning
		fatal(t, os.RemoveAll(filepath.Join(o.Data, name)))
	}
	s, err := Start(f.ctx, o)
	if err == nil {
		_ = s.Close()
	}
	if exitCode(err) != ExitUsage || !strings.Contains(err.Error(), "would not be encrypted") || !strings.Contains(err.Error(), "record.provider") {
		t.Fatalf("without anybody who opens the record: %v", err)
	}
	if _, err := os.Stat(filepath.Join(o.Data, "control")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a plain record was begun")
	}
}

func otherKeyFile(t *testing.T) string {
	t.Helper()
	file, dir := filepath.Join(t.TempDir(), "other.txt"), t.TempDir()
	_, err := keys.MakeRecord(t.Context(), dir, &keys.KeyFile{Path: file, Dir: dir}, time.Now())
	fatal(t, err)
	return file
}

// TestRecordUpgrades: a record from before there was encryption is read as it is, and goes on encrypted.
func TestRecordUpgrades(t *testing.T) {
	data, keyFile := shortDir(t), filepath.Join(t.TempDir(), "key.txt")
	fatal(t, os.MkdirAll(data, 0o700))
	former, err := record.Open(filepath.Join(data, "control"), record.Options{})
	fatal(t, err)
	_, err = former.Append(&sallyport.Event{Kind: sallyport.Locked, Time: time.Now(), Order: &sallyport.Order{Action: "lock", About: "s003", Reason: "before"}})
	fatal(t, err)
	fatal(t, former.Close())
	s, err := Start(t.Context(), Options{Upstream: "127.0.0.1:1", Listen: "127.0.0.1:0", Data: data, KeyFile: keyFile})
	fatal(t, err)
	defer s.Close()
	if !s.State.Standing("s003").Locked || !s.ControlStream.Sealed() || !s.AccessStream.Sealed() {
		t.Errorf("the former lock holds: %v; encrypted from now on: %v", s.State.Standing("s003").Locked, s.ControlStream.Sealed())
	}
	for _, line := range s.status(t.Context()) {
		if line.What == "at rest" && !strings.Contains(line.How, "encrypted, its key is opened by age") {
			t.Errorf("status: %s", line.How)
		}
	}
}
