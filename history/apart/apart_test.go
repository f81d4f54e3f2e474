package apart_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/history"
	"sallyport/history/apart"
	"sallyport/history/duck"
	"sallyport/history/historytest"
)

// TestMain is the process that keeps history where it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "store" {
		os.Exit(m.Run())
	}
	conn, err := net.FileConn(os.Stdin)
	if err == nil {
		err = apart.Serve(conn, open)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func open(o apart.Opening) (history.Store, error) {
	if o.Folder == "a fault" {
		panic("a fault that is asked for")
	}
	names := historytest.Names()
	names.Service = func(who sallyport.Staff) bool { return slices.Contains(o.Programs, who) }
	s, err := duck.Open(o.Folder, duck.Options{
		Record: o.Record, Names: names, Memory: o.Memory, Threads: 2,
		Tells: func(c sallyport.Column) bool { return slices.Contains(o.Tells, c.String()) },
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func start(folder string) (*apart.Store, error) { return startFor(folder, historytest.Record, 256) }

// startFor starts a process that keeps the history of a record.
func startFor(folder, id string, memory int) (*apart.Store, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return apart.Start(exec.Command(self, "store"), apart.Opening{
		Folder: folder, Record: id, Tells: []string{historytest.Email.String()}, Programs: []sallyport.Staff{"svc_desk"}, Memory: memory,
	})
}

func begin(t *testing.T, folder string) *apart.Store {
	t.Helper()
	s, err := start(folder)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	historytest.Conform(t, func(t *testing.T) historytest.Opener {
		folder := t.TempDir()
		return func(t *testing.T) history.Store { return begin(t, folder) }
	})
}

// TestGone kills the process: who waits is told at once, everything after it too, and the next one has what was added.
func TestGone(t *testing.T) {
	folder := t.TempDir()
	s := begin(t, folder)
	j := &historytest.Journal{}
	j.Statement(historytest.Start, historytest.Who("s001", "x1"), 1, "1", historytest.Value("7", 0, 1))
	if err := s.Add(t.Context(), j.Last(), j.Events); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	go func() {
		_, err := s.Select(context.Background(), "SELECT count(*) FROM "+strings.TrimSuffix(strings.Repeat("accesses, ", 40), ", "), history.Bounds{Time: time.Hour, Rows: 1, Bytes: 100})
		waits <- err
	}()
	apart.Kill(s)
	if err := <-waits; err != nil && !errors.Is(err, history.ErrGone) {
		t.Errorf("who waited was told %v", err)
	}
	if _, err := s.Position(t.Context()); !errors.Is(err, history.ErrGone) || !strings.Contains(fmt.Sprint(err), "killed") {
		t.Errorf("afterwards: %v; want it told as gone, with how", err)
	}
	<-s.Gone()
	if err := s.Close(); err == nil {
		t.Error("closed in order, and it was killed")
	}
	s = begin(t, folder)
	at, err := s.Position(t.Context())
	if err != nil || at.Entry != j.Last() {
		t.Errorf("the next one is at %v, %v; want %d", at, err, j.Last())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestCancel: a question whose time is over is ended over there too, and says so.
func TestCancel(t *testing.T) {
	s := begin(t, t.TempDir())
	defer s.Close()
	j := &historytest.Journal{}
	for i := range 60 {
		j.Statement(historytest.Start, historytest.Who("s001", "x1"), uint64(i), "1", historytest.Value("7", 0, 1))
	}
	if err := s.Add(t.Context(), j.Last(), j.Events); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Select(ctx, "SELECT count(*) FROM accesses a, accesses b, accesses c, accesses d, accesses e, accesses f", history.Bounds{Time: time.Hour, Rows: 1, Bytes: 100})
	if err == nil {
		t.Error("60^6 rows counted within 50 ms")
	}
	if _, err := s.Position(t.Context()); err != nil {
		t.Errorf("after a question that was cancelled: %v", err)
	}
}

// TestBroken: what is wrong with the store is told as such by the other process, too.
func TestBroken(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(folder+"/history.duckdb", []byte(strings.Repeat("no database ", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := start(folder); !errors.Is(err, history.ErrBroken) {
		t.Errorf("%v; want it told as broken", err)
	}
}

// TestFault: the cause of a fault over there stands in the error here.
func TestFault(t *testing.T) {
	_, err := start("a fault")
	if !errors.Is(err, history.ErrGone) || !strings.Contains(err.Error(), "a fault that is asked for") {
		t.Errorf("%v; want it told as gone, with the cause", err)
	}
}
