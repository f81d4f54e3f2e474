package serve

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport"
	"sallyport/keys"
)

// TestSharesOnRecord opens the keys of a quorum by commands that only look: with which shares is on record, also where that is beside a serve.
func TestSharesOnRecord(t *testing.T) {
	f := newFort(t, "keys: {provider: quorum}\n", func(o *Options) {
		config := *o.Config
		config.Keys.Provider = ""
		o.Config = &config
	})
	f.stop()
	split, err := keys.NewSplit(2, []string{"anna", "ben", "carla"})
	fatal(t, err)
	_, err = keys.Rewrap(t.Context(), keys.Options{Dir: f.options.Data, Provider: &keys.KeyFile{Path: f.options.KeyFile, Dir: f.options.Data}}, split)
	fatal(t, err)
	args := []string{"scan", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, "--key-file", f.options.KeyFile}
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
	s, err := Start(f.ctx, f.options)
	fatal(t, err)
	if err := looks(); err == nil || !strings.Contains(err.Error(), "log in to it") {
		t.Errorf("beside a serve, by nobody: %v", err)
	}
	fatal(t, looks("--as", "o1"))
	fatal(t, s.Close())
	stream := f.openStream(t, "control")
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

// TestSharesOfMoving moves columns out and in beside a serve whose keys are split: with which shares protect opened them is on record, by whom and what for,
// before anything changes.
func TestSharesOfMoving(t *testing.T) {
	f := newPlainFort(t)
	_, err := f.moveIn()
	fatal(t, err)
	began := f.server.ControlStream.Last()
	f.stop()
	split, err := keys.NewSplit(2, []string{"anna", "ben", "carla"})
	fatal(t, err)
	_, err = keys.Rewrap(t.Context(), keys.Options{Dir: f.options.Data, Provider: &keys.KeyFile{Path: f.options.KeyFile, Dir: f.options.Data}}, split)
	fatal(t, err)
	f.edit("people:\n", "keys: {provider: quorum}\npeople:\n")
	var files []string
	for _, share := range split.Shares[:2] {
		files = append(files, filepath.Join(f.folder, share.Name+".share"))
		fatal(t, os.WriteFile(files[len(files)-1], []byte(share.Text()+"\n"), 0o600))
	}
	f.server, err = Start(t.Context(), f.options)
	fatal(t, err)
	for i, who := range []sallyport.Staff{"o2", "o3"} {
		_, err := f.officer(who).Unseal(f.ctx, split.Shares[i+1].Text())
		fatal(t, err)
	}
	await(t, "serve opens its keys", f.server.Ready())
	with := func(o *LiveOptions) { o.ShareFiles = files }

	id, err := f.officer("o1").Undo(f.ctx, "moving out")
	fatal(t, err)
	if _, err := f.moveIn(func(o *LiveOptions) { o.Undo, o.Proposal, o.ShareFiles = true, id, files[:1] }); err == nil {
		t.Error("keys were opened by one share")
	}
	if _, err := f.moveIn(with, func(o *LiveOptions) { o.Undo, o.Proposal = true, id }); err == nil || !strings.Contains(err.Error(), "Two people") {
		t.Errorf("undone by one: %v", err)
	}
	_, err = f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
	if _, err := f.moveIn(with, func(o *LiveOptions) { o.Undo, o.Proposal = true, id }); err != nil {
		t.Fatal(err)
	}
	if _, err := f.moveIn(with); err != nil {
		t.Fatal(err)
	}
	f.stop()
	stream := f.openStream(t, "control")
	defer stream.Close()
	var got []string
	moved := 0
	fatal(t, stream.Read(1, func(e *sallyport.Event) error {
		switch {
		case e.Seq <= began:
		case e.Kind == sallyport.Unsealing && e.Order.By == "o1":
			got = append(got, e.Order.Details+" "+e.Note)
		case e.Kind == sallyport.Protecting && e.Order.By == "o1" && len(e.Order.Leaving)+len(e.Order.Moving) > 0:
			if moved++; len(got) < 2*moved {
				t.Errorf("columns move after %d shares were on record", len(got))
			}
		}
		return nil
	}))
	want := "anna for protect --undo, anna for protect --undo, ben for protect --undo, anna for protect --undo, ben for protect --undo, anna for protect --online, ben for protect --online"
	if text := strings.Join(got, ", "); text != want || moved < 2 {
		t.Errorf("on record, with %d moves: %s", moved, text)
	}
}
