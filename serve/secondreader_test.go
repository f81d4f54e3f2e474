package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/throwaway"
)

// TestSecondReader makes the reader ready for a database of a server that holds another one which is protected: the role is there, and may nothing here.
func TestSecondReader(t *testing.T) {
	s, err := theStage()
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	fatal(t, err)
	f := &fort{stage: s, t: t, ctx: t.Context(), database: fmt.Sprintf("support%d", s.made.Add(1)), folder: t.TempDir(), log: &lockedBuffer{}}
	f.superExec("postgres", "CREATE DATABASE "+f.database+" TEMPLATE "+plainTemplate)
	password := filepath.Join(f.folder, "reader.password")
	fatal(t, os.WriteFile(password, []byte("another-secret\n"), 0o600))
	f.config, err = s.config(f.folder, f.database, rich)
	fatal(t, err)
	owner, o := f.cluster.SuperDSN(f.database), Options{Config: f.config, MovingIn: true}
	const may = "SELECT (has_table_privilege('sallyport_reader', 'support.customers', 'SELECT') AND has_table_privilege('sallyport_reader', 'support.tickets', 'SELECT'))::text"
	if f.ask(may) != "false" {
		t.Fatal("the reader may read it already: this test proves nothing")
	}
	if err := PrepareReader(f.ctx, o, owner); err == nil || !strings.Contains(err.Error(), "with another password than the one in") {
		t.Errorf("the reader of another database would get another password: %v", err)
	}
	fatal(t, os.WriteFile(password, []byte("reader-secret\n"), 0o600))
	for range 2 {
		fatal(t, PrepareReader(f.ctx, o, owner))
	}
	if f.ask(may) != "true" {
		t.Error("the reader may not read the second database")
	}
	if err := PrepareReader(f.ctx, o, "postgres://nobody:x@127.0.0.1:1/none"); err == nil || strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("an owner who is not let in: %v", err)
	}
}
