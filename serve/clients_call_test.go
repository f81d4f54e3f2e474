package serve

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// TestClientLargeObjects runs a program of libpq's large objects, which are function calls by the protocol's own message.
func TestClientLargeObjects(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("there is no C compiler")
	}
	path := filepath.Join(t.TempDir(), "largeobject")
	said, err := installed(t, nil, "gcc", "-I/usr/include/postgresql", "-o", path, "testdata/libpq/largeobject.c", "-lpq")
	if err != nil {
		t.Skipf("libpq cannot be compiled against: %s", said)
	}
	var heard [2]string
	for i, dsn := range f.ways(who, f.passwords[who]) {
		if heard[i], err = installed(t, nil, path, dsn); err != nil {
			t.Fatalf("%v: %s", err, heard[i])
		}
	}
	if heard[0] != heard[1] || !strings.Contains(heard[0], "lo_read 5 large") {
		t.Errorf("directly:\n%s\nthrough the gateway:\n%s", heard[0], heard[1])
	}
}

// TestClientCalls calls functions by their OIDs: a large object's as PostgreSQL would answer, any other not at all, and the
// conversation goes on.
func TestClientCalls(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	call := func(function uint32, args ...string) pgproto3.FrontendMessage {
		m := &pgproto3.FunctionCall{Function: function, ResultFormatCode: 1, ArgFormatCodes: []uint16{1}}
		for _, a := range args {
			m.Arguments = append(m.Arguments, []byte(a))
		}
		return m
	}
	sync := &pgproto3.Sync{}
	object := "\x00\x47\xe4\x6f"
	f.compare(t, who, f.passwords[who],
		step(call(715, object)), step(call(964, object)), step(call(964, object)), step(sql("SELECT 1")),
		step(sql("BEGIN")), step(call(952, object, "\x00\x04\x00\x00")), step(sql("SELECT 1")), step(call(958, "\x00\x00\x00\x00")), step(sql("ROLLBACK")),
		step(call(952, object)), step(call(715, object), call(964, object), sql("SELECT 2")),
		step(parse("", "SELECT 1"), bind("", ""), execute("", 0), call(715, object), sync), step(call(964, object)),
		step(parse("", "SELECT nosuch"), sync, call(715, object)), step(call(964, object)), step(sql("SELECT 3")),
	)
	k := newTalk(t, f.dsn(who))
	for _, function := range []uint32{764, 765, 1598, 2078, 0} { // lo_import, lo_export, random, set_config, none
		if said := strings.Join(k.say(call(function, "x"), sql("SELECT 1")), "\n"); !strings.Contains(said, "0A000") || !strings.Contains(said, "SELECT 1") {
			t.Errorf("function %d: %s", function, said)
		}
	}
	// The OIDs are this server's, too.
	var n int
	err := f.direct().QueryRow(t.Context(), `SELECT count(*) FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND (oid, proname) IN (
		(952, 'lo_open'), (953, 'lo_close'), (954, 'loread'), (955, 'lowrite'), (956, 'lo_lseek'), (957, 'lo_creat'), (958, 'lo_tell'), (964, 'lo_unlink'), (715, 'lo_create'),
		(1004, 'lo_truncate'), (3170, 'lo_lseek64'), (3171, 'lo_tell64'), (3172, 'lo_truncate64'))`).Scan(&n)
	if err != nil || n != 13 {
		t.Errorf("%d of the functions have their OIDs, %v", n, err)
	}
}
