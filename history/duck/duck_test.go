package duck_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sallyport"
	"sallyport/history"
	"sallyport/history/duck"
	"sallyport/history/historytest"
	"sallyport/record"
)

// TestMain runs the tests or, where it is told to, is the process that is killed in them.
func TestMain(m *testing.M) {
	if folder := os.Getenv("SALLYPORT_TEST_WRITER"); folder != "" {
		write(folder)
		return
	}
	if folder := os.Getenv("SALLYPORT_TEST_LOADER"); folder != "" {
		load(folder)
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, folder string) history.Store {
	t.Helper()
	s, err := duck.Open(folder, duck.Options{Record: historytest.Record, Names: historytest.Names(), Tells: historytest.Identifies, Memory: 256, Threads: 2, ExposedRows: 4, CompactRows: 8})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	historytest.Conform(t, func(t *testing.T) historytest.Opener {
		folder := t.TempDir()
		return func(t *testing.T) history.Store { return open(t, folder) }
	})
}

// TestFileHoldsNoNames reads the bytes on disk: neither a name nor a purpose stands there, compacted or not.
func TestFileHoldsNoNames(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	j := &historytest.Journal{}
	for i := range 3 {
		at := historytest.Start.AddDate(0, 0, i)
		j.Statement(at, historytest.Who("staff-zebra-77", "xsession-lynx"), uint64(i), "TICKET-OTTER-4711", historytest.Value("7", 0, byte(10+i)))
	}
	if err := s.Add(t.Context(), j.Last(), j.Events); err != nil {
		t.Fatal(err)
	}
	look := func(when string) {
		t.Helper()
		files, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		for _, f := range files {
			if f.IsDir() {
				continue
			}
			b, err := os.ReadFile(filepath.Join(folder, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			read += len(b)
			for _, secret := range []string{"zebra", "lynx", "OTTER", "10.4.0.17", "support-eu", "_login"} {
				if bytes.Contains(b, []byte(secret)) {
					t.Errorf("%s: %s holds %q", when, f.Name(), secret)
				}
			}
		}
		if read < 10_000 {
			t.Errorf("only %d bytes were looked through", read)
		}
	}
	look("open")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	look("closed")
}

// TestDamaged: a file that cannot be used is told as broken, whatever broke it; another record's and another key's, too.
func TestDamaged(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	j := &historytest.Journal{}
	j.Statement(historytest.Start, historytest.Who("s001", "x1"), 1, "1", historytest.Value("7", 0, 1))
	if err := s.Add(t.Context(), j.Last(), j.Events); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "history.duckdb")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other, err := history.NewNames([]byte("another key, of the next epoch!!"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil   func() []byte
		options duck.Options
	}{
		"another record": {func() []byte { return whole }, duck.Options{Record: "another", Names: historytest.Names()}},
		"another epoch":  {func() []byte { return whole }, duck.Options{Record: historytest.Record, Names: other}},
		"cut short":      {func() []byte { return whole[:len(whole)/2] }, duck.Options{Record: historytest.Record, Names: historytest.Names()}},
		"not DuckDB's":   {func() []byte { return bytes.Repeat([]byte("no database "), 5000) }, duck.Options{Record: historytest.Record, Names: historytest.Names()}},
		"zeros":          {func() []byte { return make([]byte, len(whole)) }, duck.Options{Record: historytest.Record, Names: historytest.Names()}},
		"flipped header": {func() []byte { b := bytes.Clone(whole); b[100] ^= 1; b[4096+20] ^= 1; b[8192+20] ^= 1; return b }, duck.Options{Record: historytest.Record, Names: historytest.Names()}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(file, c.spoil(), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := duck.Open(folder, c.options)
			if err == nil {
				_, err = s.Saw(t.Context(), history.Question{Customer: "7"})
				_ = s.Close()
			}
			if !errors.Is(err, history.ErrBroken) {
				t.Errorf("%v; want it told as broken", err)
			}
		})
	}
}

// TestHalfMade: whoever is killed while DuckDB makes its file leaves the beginning of one, which is no damage.
func TestHalfMade(t *testing.T) {
	folder := t.TempDir()
	if err := open(t, folder).Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "history.duckdb")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1000, 4096, 8192, 3*4096 - 1} {
		if err := os.WriteFile(file, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, folder)
		at, err := s.Position(t.Context())
		if err != nil || at.Entry != 0 {
			t.Errorf("of the first %d bytes: entry %d, %v", n, at.Entry, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// keeper is one over a real record.
func keeper(t testing.TB, folder string, stream *record.Stream, tell func(string, error)) *history.Keeper {
	names, err := history.OpenNames(filepath.Join(folder, "pseudonyms.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &history.Keeper{
		Record: stream, Now: time.Now, Every: 50 * time.Millisecond, Tell: tell,
		Open: func() (history.Store, error) {
			return duck.Open(folder, duck.Options{Record: stream.ID(), Names: names, Tells: historytest.Identifies, Memory: 256})
		},
		Wipe: func() error { return duck.Wipe(folder) },
	}
}

func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// position is how far a keeper's store is; 0 while there is none.
func position(k *history.Keeper) uint64 {
	store, release := k.Lend()
	defer release()
	if store == nil {
		return 0
	}
	at, err := store.Position(context.Background())
	if err != nil {
		return 0
	}
	return at.Entry
}

// TestKeeper: what is appended stands in history soon; a file that is lost or damaged while nobody looked is made again and told of, and so
// is one that somebody asks to have made again.
func TestKeeper(t *testing.T) {
	folder := t.TempDir()
	stream, err := record.Open(filepath.Join(folder, "access"), record.Options{SegmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	past := filepath.Join(folder, "history")
	if err := os.Mkdir(past, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		visit(t, stream, i)
	}
	var told []string
	run := func(do func(k *history.Keeper)) {
		t.Helper()
		told = nil
		k := keeper(t, past, stream, func(what string, cause error) { told = append(told, fmt.Sprint(what, ": ", cause)) })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); k.Run(ctx) }()
		do(k)
		within(t, 20*time.Second, "everything is taken in", func() bool { return position(k) == stream.Last() })
		same(t, stream, k)
		stop()
		<-done
	}
	run(func(k *history.Keeper) {
		within(t, 20*time.Second, "what was there is taken in", func() bool { return position(k) == stream.Last() })
		began := time.Now()
		visit(t, stream, 50)
		within(t, 20*time.Second, "a fresh entry is taken in", func() bool { return position(k) == stream.Last() })
		t.Logf("a fresh entry stood in history after %s", time.Since(began).Round(time.Millisecond))
		k.Rebuild()
		within(t, 20*time.Second, "it begins anew", func() bool { return position(k) < stream.Last() || strings.Contains(k.Status(), "has") })
	})
	if len(told) != 0 {
		t.Errorf("told: %s", told)
	}
	file := filepath.Join(past, "history.duckdb")
	for name, spoil := range map[string]func() error{
		"lost":    func() error { return os.Remove(file) },
		"damaged": func() error { return os.WriteFile(file, bytes.Repeat([]byte("no database "), 5000), 0o600) },
		"key":     func() error { return os.Remove(filepath.Join(past, "pseudonyms.key")) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		visit(t, stream, 60)
		run(func(*history.Keeper) {})
		if (name != "lost") != (len(told) > 0) {
			t.Errorf("%s: told %q", name, told)
		}
	}
}

// visit is one statement with values of a customer.
func visit(t testing.TB, stream *record.Stream, i int) {
	t.Helper()
	for _, e := range visitEvents(i) {
		if _, err := stream.Append(e); err != nil {
			t.Fatal(err)
		}
	}
}

func visitEvents(i int) []*sallyport.Event {
	j := &historytest.Journal{}
	subject := sallyport.Subject(strconv.Itoa(i % 17))
	j.Statement(historytest.Start.Add(time.Duration(i)*time.Minute), historytest.Who(sallyport.Staff(fmt.Sprintf("s%03d", i%11)), fmt.Sprintf("x%d", i%23)), uint64(i), strconv.Itoa(i%13), //nolint:gosec // small
		historytest.Value(subject, 0, byte(i%17)), historytest.Value(subject, 1, byte(100+i%5)))
	return j.Events
}

// same compares who-saw of each customer with what the record alone says.
func same(t *testing.T, stream *record.Stream, k *history.Keeper) {
	t.Helper()
	alone := &history.Past{Record: stream, Tells: historytest.Identifies}
	with := &history.Past{Record: stream, Tells: historytest.Identifies, Lend: k.Lend}
	for i := range 17 {
		customer := sallyport.Subject(strconv.Itoa(i))
		want, err := alone.WhoSaw(t.Context(), customer)
		if err != nil {
			t.Fatal(err)
		}
		got, err := with.WhoSaw(t.Context(), customer)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("customer %s: the record alone (-) and with history (+) differ:\n%s", customer, diff)
		}
	}
}

// write appends until it is killed, with history beside.
func write(folder string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
	}
	stream, err := record.Open(filepath.Join(folder, "access"), record.Options{SegmentBytes: 1 << 20})
	fail(err)
	names, err := history.OpenNames(filepath.Join(folder, "pseudonyms.key"))
	fail(err)
	k := &history.Keeper{
		Record: stream, Now: time.Now, Every: 5 * time.Millisecond, Tell: func(what string, cause error) { fmt.Println("TOLD", what, cause) },
		Open: func() (history.Store, error) {
			return duck.Open(folder, duck.Options{Record: stream.ID(), Names: names, Tells: historytest.Identifies, Memory: 256, CompactRows: 64})
		},
		Wipe: func() error { return duck.Wipe(folder) },
	}
	go k.Run(context.Background())
	for i := int(stream.Last()); ; i++ { //nolint:gosec // small
		for _, e := range visitEvents(i) {
			if _, err := stream.Append(e); err != nil {
				fail(err)
			}
		}
		if i%50 == 0 {
			fmt.Println("AT", position(k))
		}
	}
}

// TestKilled kills a process that takes in and compacts, again and again, and compares with the record what it finds: nothing that the
// record has may be missing, and nothing may stand twice.
func TestKilled(t *testing.T) {
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dice := rand.New(rand.NewPCG(1, 2))
	rounds, again := 8, 0
	if os.Getenv("SALLYPORT_SIEGE") != "" {
		rounds = 100
	}
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), "SALLYPORT_TEST_WRITER="+folder)
		out := &bytes.Buffer{}
		cmd.Stdout = out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(200+dice.IntN(500)) * time.Millisecond) // the moment is what is tried
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		switch told := out.String(); {
		case strings.Contains(told, "TOLD history cannot be used and is made again from the record") && strings.Count(told, "TOLD") == 1:
			again++ // a kill may tear a block of the store's own file
			t.Logf("round %d: %s", round, told[strings.Index(told, "TOLD"):])
		case strings.Contains(told, "TOLD"):
			t.Errorf("round %d: %s", round, out)
		}
	}
	if t.Logf("made again from the record after %d of %d kills", again, rounds); again > max(1, rounds/20) {
		t.Error("that is too often")
	}
	stream, err := record.Open(filepath.Join(folder, "access"), record.Options{SegmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	k := keeper(t, folder, stream, func(what string, cause error) { t.Errorf("%s: %v", what, cause) })
	taken := ^uint64(0)
	opened := k.Open
	k.Open = func() (history.Store, error) {
		s, err := opened()
		if err == nil {
			at, err := s.Position(t.Context())
			if err != nil {
				t.Error(err)
			}
			taken = at.Entry
		}
		return s, err
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); k.Run(ctx) }()
	within(t, 30*time.Second, "everything is taken in", func() bool { return position(k) == stream.Last() })
	same(t, stream, k)
	values := int64(0)
	err = stream.Read(1, func(e *sallyport.Event) error {
		if e.Reveal != nil {
			values += int64(e.Reveal.Values.Len())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	store, release := k.Lend()
	rows, err := store.Select(t.Context(), "SELECT count(*), count(DISTINCT entry) FROM reveals", history.Bounds{Time: time.Minute, Rows: 1, Bytes: 1000})
	release()
	if err != nil || rows.Rows[0][0] != values {
		t.Errorf("%v rows, %v; the record has %d values", rows, err, values)
	}
	t.Logf("%d entries, of which history had %d after the last of %d kills; %d values", stream.Last(), taken, rounds, values)
	if taken == 0 || taken == ^uint64(0) {
		t.Error("history had taken in nothing: nothing was tried")
	}
	stop()
	<-done
}
