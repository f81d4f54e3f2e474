package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/internal/throwaway"
	"sallyport/keys"
)

// TestRecover dumps a protected database with PostgreSQL's own tool, turns the dump back with two of three shares, loads it, and compares
// every row with what the organisation has; with one share it does nothing.
func TestRecover(t *testing.T) {
	f := newFort(t, "")
	f.stop()
	split, err := keys.NewSplit(2, []string{"anna", "ben", "carla"})
	fatal(t, err)
	_, err = keys.Rewrap(t.Context(), keys.Options{Dir: f.options.Data, Provider: &keys.KeyFile{Path: f.options.KeyFile, Dir: f.options.Data}}, split)
	fatal(t, err)
	shares := filepath.Join(f.folder, "shares")
	fatal(t, WriteShares(shares, f.options.Data, split.Shares))
	f.config, err = f.stage.config(f.folder, f.database, "keys: {provider: quorum}\n")
	fatal(t, err)
	f.superExec(f.database, `UPDATE support.customers SET notes = NULL WHERE id = 7`)

	dump := f.dump(t)
	recoverWith := func(names ...string) (string, error) {
		args := []string{"keys", "recover", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, "--key-file", f.options.KeyFile, "--reason", "the test"}
		for _, name := range names {
			args = append(args, "--share-file", filepath.Join(shares, name+".share"))
		}
		var out, told bytes.Buffer
		m := &Main{Stdin: bytes.NewReader(dump), Stdout: &out, Stderr: &told, Getenv: func(string) string { return "" }}
		err := m.Run(t.Context(), args)
		if err == nil && !strings.Contains(told.String(), " 0 stood there in plain; 0 tokens could not be read") {
			t.Errorf("told: %s", told.String())
		}
		return out.String(), err
	}
	if out, err := recoverWith("anna"); err == nil || out != "" {
		t.Errorf("one share recovered %d bytes: %v", len(out), err)
	}
	if out, err := recoverWith("anna", "anna"); err == nil || out != "" {
		t.Errorf("one share twice recovered %d bytes: %v", len(out), err)
	}
	plain, err := recoverWith("carla", "ben")
	fatal(t, err)
	f.comparePlain(t, plain)
	expectRecovery(t, f, "carla, ben, recover: the test")
}

// dump runs pg_dump on the fort's database.
func (f *fort) dump(t *testing.T) []byte {
	t.Helper()
	bin, err := throwaway.FindBin()
	fatal(t, err)
	tool := filepath.Join(bin, "pg_dump")
	if _, err := os.Stat(tool); errors.Is(err, os.ErrNotExist) {
		t.Skip("there is no pg_dump beside the server")
	}
	out, err := exec.CommandContext(t.Context(), tool, "--data-only", "--schema=support", "--dbname="+f.cluster.SuperDSN(f.database)).Output()
	fatal(t, err)
	return out
}

// TestRecoverTurned turns integers back whose keys were rotated: only where the dump says of which key they are, and never into other numbers.
func TestRecoverTurned(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newTurningFort(t, 20_000)
	f.stop()
	before := f.dump(t)
	f.start()
	f.turnOver(t, "int4")
	f.stop()
	now := f.dump(t)
	bin, err := throwaway.FindBin()
	fatal(t, err)
	says, err := exec.CommandContext(t.Context(), filepath.Join(bin, "pg_dump"), "--data-only", "--table=sallyport.turning", "--dbname="+f.cluster.SuperDSN(f.database)).Output()
	fatal(t, err)
	for name, c := range map[string]struct {
		dump []byte
		back bool
	}{
		"what says it in front": {append(slices.Clone(says), now...), true}, "what says nothing": {now, false}, "what says it behind": {append(slices.Clone(now), says...), false},
		"one of before": {before, false}, "one of before with what says it wrongly": {append([]byte(strings.Replace(string(says), "\t2\t", "\t1\t", 1)), before...), false},
	} {
		var out, trouble strings.Builder
		m := &Main{Stdin: bytes.NewReader(c.dump), Stdout: &out, Stderr: &trouble, Getenv: os.Getenv}
		err := m.Run(f.ctx, []string{"keys", "recover", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, "--key-file", f.options.KeyFile, "--reason", "x"})
		if err != nil && !errors.Is(err, errFound) {
			t.Fatalf("%s: %v", name, err)
		}
		if left := strings.Contains(trouble.String(), "support.kinds.tax: left as they are"); left == c.back {
			t.Errorf("%s: it says %q", name, trouble.String())
		}
		for _, id := range []int{7, 11, 1199} { // id, customer_id, account, tax, …
			_, row, _ := strings.Cut(out.String(), fmt.Sprintf("\n%d\t%[1]d\t%d\t", id, id*7919-1_000_000))
			tax, _, _ := strings.Cut(row, "\t")
			_, row, _ = strings.Cut(string(c.dump), fmt.Sprintf("\n%d\t%[1]d\t", id))
			stored := strings.Split(row, "\t")[1]
			want := stored
			if c.back {
				want = fmt.Sprint(id % 97)
			}
			if tax != want {
				t.Errorf("%s: the integer of row %d came back as %q, want %q", name, id, tax, want)
			}
		}
	}
}

// comparePlain loads the rows of a recovered dump into empty copies of the tables and compares them with the organisation's.
func (f *fort) comparePlain(t *testing.T, dump string) {
	t.Helper()
	name := f.database + "_plain"
	f.superExec("postgres", "CREATE DATABASE "+name)
	conn, err := pgx.Connect(t.Context(), f.cluster.SuperDSN(name))
	fatal(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, found := strings.CutPrefix(dump[strings.Index(dump, "COPY support.customers ("):], "COPY support.customers (")
	if !found {
		t.Fatal("no customers in the dump")
	}
	list, rows, _ := strings.Cut(rows, ") FROM stdin;\n")
	rows, _, _ = strings.Cut(rows, "\\.\n")
	_, err = conn.Exec(t.Context(), "CREATE TABLE customers ("+strings.ReplaceAll(list, ",", " text,")+" text)")
	fatal(t, err)
	_, err = conn.PgConn().CopyFrom(t.Context(), strings.NewReader(rows), "COPY customers FROM STDIN")
	fatal(t, err)
	got, err := conn.Query(t.Context(), "SELECT id::bigint, full_name, email, coalesce(phone, ''), coalesce(birth_date, ''), coalesce(notes, '') FROM customers ORDER BY 1")
	fatal(t, err)
	n := 0
	for got.Next() {
		var id int64
		var full, email, phone, birth, notes string
		fatal(t, got.Scan(&id, &full, &email, &phone, &birth, &notes))
		c := f.org.Customer(id)
		wantNotes, wantBirth := c.Notes, ""
		if id == 7 {
			wantNotes = ""
		}
		if !c.BirthDate.IsZero() {
			wantBirth = c.BirthDate.Format(time.DateOnly)
		}
		if full != c.FullName || email != strings.ToLower(c.Email) || phone != c.Phone || birth != wantBirth || notes != wantNotes {
			t.Errorf("customer %d is not what he was", id)
		}
		n++
	}
	if got.Err() != nil || n != fortCustomers {
		t.Errorf("%d customers, want %d (%v)", n, fortCustomers, got.Err())
	}
}

// expectRecovery holds the control stream to the last recovery and the shares before it.
func expectRecovery(t *testing.T, f *fort, want string) {
	t.Helper()
	stream := f.openStream(t, "control")
	defer stream.Close()
	var got []string
	fatal(t, stream.Read(1, func(e *sallyport.Event) error {
		switch e.Kind {
		case sallyport.Unsealing:
			got = append(got, e.Order.Details)
		case sallyport.Recovering:
			got = append(got, fmt.Sprintf("%s: %s", e.Kind, e.Order.Reason))
		default:
		}
		return nil
	}))
	if text := strings.Join(got[max(0, len(got)-3):], ", "); text != want {
		t.Errorf("on record: %s, want %s", text, want)
	}
}
