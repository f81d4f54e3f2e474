package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/keys"
	"sallyport/record"
)

// TestSharesOnRecord opens the keys of a quorum by commands that only look: with which shares is on record, also where that is beside a serve.
func TestSharesOnRecord(t *testing.T) {
	f := newFort(t, "keys: {provider: quorum}\n", func(o *ServerOptions) {
		config := *o.Config
		config.Keys.Provider = ""
		o.Config = &config
	})
	f.stop()
	split, err := keys.NewSplit(2, []string{"anna", "ben", "carla"})
	fatal(t, err)
	_, err = keys.Rewrap(t.Context(), keys.Options{Dir: f.options.Data, Provider: &keys.KeyFile{Path: f.options.KeyFile, Dir: f.options.Data}}, split)
	fatal(t, err)
	args := []string{"scan", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data}
	for _, share := range split.Shares[:2] {
		file := filepath.Join(f.folder, share.Name+".share")
		fatal(t, os.WriteFile(file, []byte(share.Text()+"\n"), 0o600))
		args = append(args, "--share-file", file)
	}
	looks := func(more ...string) error {
		m := &Main{Stdin: strings.NewReader("nothing\n"), Stdout: io.Discard, Stderr: io.Discard, Getenv: func(name string) string {
			if name == passwordVariable {
				return "o1-password"
			}
			return ""
		}}
		return m.Run(f.ctx, append(append(args, more...), "-"))
	}
	fatal(t, looks())
	f.options.Config = f.config // sealed, with the data folder open
	s, err := StartServer(f.ctx, f.options)
	fatal(t, err)
	if err := looks(); err == nil || !strings.Contains(err.Error(), "log in to it") {
		t.Errorf("beside a serve, by nobody: %v", err)
	}
	fatal(t, looks("--as", "o1"))
	fatal(t, s.Close())
	stream, err := record.Open(filepath.Join(f.options.Data, "control"), record.Options{Now: time.Now})
	fatal(t, err)
	defer stream.Close()
	var got []string
	fatal(t, stream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.Unsealing {
			got = append(got, string(e.Order.By)+":"+e.Order.Details+" "+e.Note)
		}
		return nil
	}))
	if text := strings.Join(got, ", "); text != ":anna for scan, :ben for scan, o1:anna for scan, o1:ben for scan" {
		t.Errorf("on record: %s", text)
	}
}
