package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestGatewaysShred: two people agree at the controller, which shreds a customer while gateways serve: no gateway shows anything of his any more, and each destroys the keys
// of his names and texts in its own files, one that was away meanwhile, too. A token that a DBA puts back tells nobody anything.
func TestGatewaysShred(t *testing.T) {
	t.Parallel()
	s := newCampus(t, shredGrants+"detect: {off: true}\n")
	s.ownKeys(t)
	fatal(t, LetReaderShred(s.config, s.ctx, s.cluster.SuperDSN(s.database)))
	s.controls(Controller)
	s.awaits(severalNames...)
	_, _, victim := s.hasTicket(0)
	admin := s.direct()
	before, others := s.storedOf(t, admin, victim.ID), s.othersSum(t, admin, victim.ID)
	var plain []string
	for _, name := range severalNames {
		shown := s.shownOf(t, name, victim.ID)
		plain = append(plain, slices.DeleteFunc(shown, func(v string) bool { return slices.Contains(before, v) })...)
	}
	if len(plain) < 12 || !slices.Contains(plain, victim.FullName) {
		t.Fatalf("only %d values of the customer could be read before", len(plain))
	}
	showsNothing := func(when string) {
		t.Helper()
		for _, name := range severalNames {
			if s.processes[name] == nil {
				continue
			}
			for _, value := range s.shownOf(t, name, victim.ID) {
				if slices.Contains(plain, value) {
					t.Errorf("%s, %s shows %q", when, name, value)
				}
			}
		}
	}
	s.ends("gw2")
	s.shred(t, victim.ID)
	showsNothing("when he is shredded")
	for _, token := range s.storedOf(t, admin, victim.ID) {
		if slices.Contains(before, token) {
			t.Errorf("a token stands as it was: %s", token)
		}
	}
	if s.othersSum(t, admin, victim.ID) != others {
		t.Error("rows of other customers were changed")
	}
	s.awaits("gw2")
	s.keysAreGone(t)
	_, err := admin.Exec(t.Context(), "UPDATE support.customers SET full_name = $1, email = $2 WHERE id = $3", before[0], before[1], victim.ID)
	fatal(t, err)
	showsNothing("when a DBA puts his tokens back")
	for _, name := range severalNames {
		if ok, err := s.readsOf(name, 1); !ok {
			t.Errorf("%s shows nothing of others either: %v", name, err)
		}
	}
}

// ownKeys protects the database anew, names and texts with keys of their own.
func (s *campus) ownKeys(t *testing.T) {
	t.Helper()
	s.superExec("postgres", "DROP DATABASE "+s.database)
	s.superExec("postgres", "CREATE DATABASE "+s.database+" TEMPLATE "+plainTemplate)
	fatal(t, os.RemoveAll(s.options.Data))
	s.shredsCustomers()
	fatal(t, s.protect())
	for _, name := range severalNames {
		for _, file := range []string{"reader.password", "key.txt"} {
			b, err := os.ReadFile(filepath.Join(s.folder, file))
			fatal(t, err)
			fatal(t, os.WriteFile(filepath.Join(s.folderOf(name), file), b, 0o600))
		}
	}
}

// shownOf is what somebody with a grant is shown of a customer at a gateway.
func (s *campus) shownOf(t *testing.T, name string, id int64) (values []string) {
	t.Helper()
	conn, err := s.through(t.Context(), name, "s050")
	fatal(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, view := range shredViews {
		rows, err := conn.Query(t.Context(), fmt.Sprintf(view, id), pgx.QueryExecModeSimpleProtocol)
		fatal(t, err)
		for rows.Next() {
			for _, raw := range rows.RawValues()[1:] {
				if raw != nil {
					values = append(values, string(raw))
				}
			}
		}
		fatal(t, rows.Err())
	}
	return values
}

// keysAreGone opens each one's files as they are on disk: none has a key that the record says was destroyed.
func (s *campus) keysAreGone(t *testing.T) {
	t.Helper()
	gone := s.server.State.GoneKeys()
	if len(gone) == 0 {
		t.Fatal("no key was destroyed: this proves nothing")
	}
	for _, name := range append([]string{"localhost"}, severalNames...) {
		folder := s.folderOf(name)
		opened, err := OpenKeys(s.config, t.Context(), Keyring{Data: filepath.Join(folder, "data"), KeyFile: filepath.Join(folder, "key.txt"), Known: s.server.State.Ring(), Reads: true}, false)
		fatal(t, err)
		if left := opened.Standing(gone); len(left) > 0 {
			t.Errorf("%s still has %d keys of the customer's", name, len(left))
		}
		opened.Close()
	}
}
