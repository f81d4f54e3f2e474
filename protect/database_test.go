package protect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/internal/refdb"
	"sallyport/internal/throwaway"
	"sallyport/protect"
	"sallyport/sim"
	"sallyport/token"
)

// emptyDatabase makes a database of its own for one test.
func emptyDatabase(tb testing.TB) string {
	tb.Helper()
	name := "t" + strings.ToLower(rand.Text()[:12])
	conn := connect(tb, cluster.SuperDSN("postgres"))
	defer conn.Close(tb.Context())
	if _, err := conn.Exec(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatal(err)
	}
	return name
}

// newDatabase loads a small organisation into one.
func newDatabase(tb testing.TB, customers int64) (string, *sim.Org) {
	tb.Helper()
	org, err := sim.New(1, customers, time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC))
	if err != nil {
		tb.Fatal(err)
	}
	name := emptyDatabase(tb)
	if _, err := refdb.Load(tb.Context(), refdb.Options{DSN: cluster.SuperDSN(name), Org: org, Random: rand.Reader}); err != nil {
		tb.Fatal(err)
	}
	waitAlone(tb, name)
	return name, org
}

func options(tb testing.TB, database string) protect.Options {
	tb.Helper()
	return protect.Options{
		DSN: cluster.SuperDSN(database), Columns: columns(tb, 1), RecordID: recordID, Position: 7, Random: rand.Reader,
		Reader: protect.Reader{
			User: "sallyport_reader", Password: protect.NewPassword("reader-password"),
			Tables: []protect.Table{{Schema: "support", Name: "contacts"}},
		},
	}
}

// columns are those of the reference configuration.
func columns(tb testing.TB, key byte) (list []protect.Column) {
	tb.Helper()
	ring := newRing(tb, key)
	for _, c := range []struct {
		name   string
		scheme sallyport.Scheme
	}{
		{"support.customers.full_name", sallyport.Name},
		{"support.customers.email", sallyport.Email},
		{"support.customers.phone", sallyport.Phone},
		{"support.customers.birth_date", sallyport.Date},
		{"support.customers.notes", sallyport.Text},
		{"support.tickets.ticket_no", sallyport.Number},
		{"support.tickets.subject", sallyport.Text},
		{"support.messages.body", sallyport.Text},
	} {
		list = append(list, newColumn(tb, ring, column(c.name), c.scheme))
	}
	return list
}

func newColumn(tb testing.TB, ring *token.Ring, c sallyport.Column, scheme sallyport.Scheme) protect.Column {
	tb.Helper()
	spec := token.Spec{Column: c, Scheme: scheme}
	if scheme == sallyport.Number {
		spec.Prefixes = map[string]string{"CS": "ZQ"}
	}
	codec, err := ring.Codec(spec)
	if err != nil {
		tb.Fatal(err)
	}
	return protect.Column{Column: c, Codec: codec}
}

func newRing(tb testing.TB, key byte) *token.Ring {
	tb.Helper()
	secret, err := token.NewSecret(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	ring, err := token.NewRing(secret, token.Settings{})
	if err != nil {
		tb.Fatal(err)
	}
	return ring
}

func column(name string) sallyport.Column {
	parts := strings.Split(name, ".")
	return sallyport.Column{Schema: parts[0], Table: parts[1], Name: parts[2]}
}

func connect(tb testing.TB, dsn string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// waitAlone waits until the server has noticed that everybody hung up.
func waitAlone(tb testing.TB, database string) {
	tb.Helper()
	waitAloneOn(tb, cluster, database)
}

func waitAloneOn(tb testing.TB, c *throwaway.Cluster, database string) {
	tb.Helper()
	conn := connect(tb, c.SuperDSN("template1"))
	defer conn.Close(tb.Context())
	waitFor(tb, func() bool {
		var n int
		err := conn.QueryRow(tb.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", database).Scan(&n)
		return err == nil && n == 0
	})
}

func waitFor(tb testing.TB, condition func() bool) {
	tb.Helper()
	deadline := time.After(20 * time.Second)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !condition() {
		select {
		case <-deadline:
			tb.Fatal("waited 20 s in vain")
		case <-look.C:
		}
	}
}

// dumpText is everything that the database holds.
func dumpText(t *testing.T, database string) string {
	t.Helper()
	dump, err := throwaway.Dump(t.Context(), cluster.SuperDSN(database))
	if err != nil {
		t.Fatal(err)
	}
	return dump
}

func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	unfit := (*protect.UnfitError)(nil)
	if !errors.As(err, &unfit) {
		t.Fatalf("got %v", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is missing in:\n%v", w, fmt.Sprint(err))
		}
	}
}
