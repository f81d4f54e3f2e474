package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sallyport"
)

func TestMain(m *testing.M) {
	if os.Getenv(crashEnv) != "" {
		appendUntilKilled(os.Getenv(crashEnv))
		return
	}
	if os.Getenv(eraseEnv) != "" {
		eraseUntilKilled(os.Getenv(eraseEnv))
		return
	}
	goleak.VerifyTestMain(m)
}

func mustOpen(t testing.TB, dir string, o Options) *Stream {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func readAll(t testing.TB, s *Stream, from uint64) []*sallyport.Event {
	t.Helper()
	var list []*sallyport.Event
	err := s.Read(from, func(e *sallyport.Event) error {
		list = append(list, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// fullEvent fills every field, so that a round trip shows each.
func fullEvent() *sallyport.Event {
	at := time.Date(2026, 3, 1, 12, 30, 15, 123456789, time.UTC)
	column := sallyport.Column{Schema: "support", Table: "customers", Name: "email"}
	portion := sallyport.Portion{Scope: "team", Name: "eu", Measure: "revealed", Units: 3, Subjects: []sallyport.Subject{"18"}, Digests: []sallyport.Digest{{9}}}
	return &sallyport.Event{
		Time: at, Kind: sallyport.RevealKind,
		Who: sallyport.Who{
			Staff: "s001", Login: "s001", Session: "a1", Application: "psql", Address: "127.0.0.1:1", Database: "support",
			Team: "eu", Via: "svc", Claimed: true, Device: "lap-017", Country: "DE",
		},
		Statement: &sallyport.Statement{
			ID: 7, Fingerprint: "f", Verb: "SELECT", Columns: []sallyport.Column{column},
			Purposes: []sallyport.Purpose{{Kind: "ticket", Ref: "ZQ-1"}}, Covers: []sallyport.Subject{"17"}, Refused: "x", Writes: true,
			Tables: []string{"support.customers"}, Shape: "select ?", Resolved: []uint64{1}, Trust: 81,
			Known: &sallyport.Known{Strength: "oidc", Proof: 4, Reasons: []sallyport.KnownReason{{Is: sallyport.FactCovers, State: "open", Team: "eu", Minutes: 9, Looks: 1, Lookers: 2, OwnLooks: 3, Assignee: "s001", OpenedBy: "s002", OpenedByProgram: "router", AssignedBy: "s003", AssignedByProgram: "router"}}},
		},
		Reveal: &sallyport.Revealed{
			Statement: 7, Columns: []sallyport.Column{column},
			Values:   sallyport.ValuesOf(sallyport.RevealedValue{Subject: "17", Column: 0, Digest: sallyport.Digest{1, 2, 3}}, sallyport.RevealedValue{Column: 300}),
			Purposes: []sallyport.Purpose{{Kind: "work", Ref: "mine"}}, Grant: "g1",
			Rulings: []sallyport.Ruled{{Column: column, Verdict: "reveal", Policy: "p1,p2", Purpose: 1, Grant: "g1"}}, Trust: 71,
		},
		Result: &sallyport.Result{Rows: 1, Bytes: 2, Failed: true, Revealed: 3, Left: 4, Masked: 5, Rulings: []sallyport.Ruled{{Column: column, Verdict: "mask", Policy: "default", Purpose: 2, Grant: "g2"}}, Trust: 61},
		Facts: []sallyport.Fact{{
			Table: "ticket", ID: "4", Customer: "17", Assignee: "s001", Open: true, Wrote: []string{"state"},
			Ticket: "4", Incoming: true, At: at,
		}},
		Limit:    &sallyport.Limit{Measure: "revealed", Window: "day", Budget: 200, Count: 200, Scope: "team", Name: "eu"},
		Counters: &sallyport.Counters{Statements: 1, Rows: 2, BytesIn: 3, BytesOut: 4},
		Order: &sallyport.Order{
			ID: "p1", Action: "unlock", By: "s002", About: "s001", Reason: "r",
			Limit: &sallyport.Limit{Measure: "reached", Window: "hour", Budget: -1, Count: 1, Scope: "device", Name: "d"}, Details: "d", Columns: map[string]string{"support.customers.email": "email"},
			Moving: []string{"support.customers.email"}, Leaving: []string{"support.customers.phone"}, Entering: []string{"support.payments.account"},
			Dead: []sallyport.Digest{{3}}, Buried: []sallyport.Digest{{4}}, Gone: []sallyport.GoneKeys{{Group: "name", Epoch: 2, Leaves: []uint64{1<<64 - 1, 5}}},
			Ring: &sallyport.Ring{Serial: 3, Keys: []sallyport.RingKey{{Tenant: "main", Group: "email", Epoch: 2, ID: []byte{5}}}}, Epoch: 2, Whole: true, Turned: []string{"support.kinds.account"},
			Grant: &sallyport.GrantTerms{
				For: "s001", Columns: []string{"support.customers.email"}, Customers: 5, Minutes: 60, Only: []sallyport.Subject{"17"}, Team: "eu", Incident: "INC-1",
				Rule: "small", Needs: [][]sallyport.Need{{{Of: 1, From: "leads"}}}, Person: "ada", Others: 3, Usual: sallyport.Usual{Median: 1, Most: 2, Days: 3}, From: 4,
			},
			Vote:       &sallyport.GrantVote{Person: "grace", Groups: []string{"leads"}, Line: sallyport.Above},
			Use:        &sallyport.GrantUse{Customers: 1, Values: 2, Statements: 3, Sessions: 4, First: at, Last: at, Columns: []string{"support.customers.email"}},
			Credential: &sallyport.Credential{Digest: []byte{1, 2}, Until: time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC), Proven: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), Factors: true},
			Password:   "hash", Code: []byte{3, 4}, Erased: &sallyport.Erasure{Record: "r", Runs: []uint64{1, 2}, Count: 2, Digest: []byte{5}, Kind: sallyport.RevealKind, Before: at},
			Copies: []sallyport.Copied{{Gateway: "gw1", Record: "s", Runs: []uint64{3, 4}}}, Of: "gw2",
			Unmask:  &sallyport.Unmasking{Pseudonym: "p-x4k9qcd27h", Lasts: time.Hour},
			Finding: []byte(`{"id":"s017-1"}`), Position: 4711, Taken: 12, Grown: true, Settled: []sallyport.Settled{{Finding: "s017-1", About: "s017"}}, Customer: "48211",
			Response:  &sallyport.Response{ID: "s017-1/hold", Finding: "s017-1", Step: "hold", State: "failed", Held: &sallyport.Held{From: 3, To: 9}, Attempts: 2, Trouble: "away"},
			Judged:    &sallyport.Judged{Report: "4711.2", Real: true, How: "call"},
			CasesFrom: 7,
			Assured: &sallyport.AssuredCall{
				Language: "de",
				ID:       "c1", Do: "schedule", Customer: "48211", Code: []byte{1, 2}, From: at, Until: at.Add(time.Hour),
				Caller: "s017", Name: "Ada", Team: "support-eu", About: "order", Reason: "ticket:48211",
			},
			Program: &sallyport.ProgramStep{
				Ends: true,
				Do:   "rotation_draw", Name: "queues", Digest: []byte{1}, Beacon: "drand:1", Secret: []byte{2}, Plan: []byte{3}, Of: []byte{4}, Until: at,
				Text: "drawn", Staff: "s017", Keeps: true, Items: []string{"a"},
			},
			Drilled: []byte(`{"drill":"snoop"}`),
			Training: &sallyport.TrainingStep{
				Do: "assigned", Source: "file", ID: "m1", Rows: []sallyport.TrainingFact{{Staff: "s017", Kind: "course", Name: "privacy", Time: at, Due: at, Done: at, Result: "passed"}},
				Staff: "s017", Lesson: "phishing", Due: at, Misses: []sallyport.TrainingCause{{Stream: "access", Entry: 4711, Time: at}}, From: at, Drawn: true,
			},
			Case: &sallyport.CaseStep{
				Case: 3, Do: "close", Text: "he admitted it", State: "closed", Task: 2, People: []sallyport.Staff{"s017"}, Customers: []sallyport.Subject{"48211"}, Finding: "s017-1",
				Link: &sallyport.CaseLink{Kind: "police", Ref: "AZ 1"}, Weighed: []sallyport.Hypothesis{{Staff: []sallyport.Staff{"s017"}, Type: "malicious", Probability: 0.97}}, Outcome: "confirmed",
				At: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), Source: "reports", Deadline: "gdpr-33", Countries: []string{"DE"},
			},
			Importing: &sallyport.Importing{Source: "billing", Format: "csvlog", Files: []string{"pg.csv"}},
			People: []sallyport.Listed{{
				Staff: "s017", Key: "k1", Name: "Ada Example", UserName: "ada", External: "x1", Mail: "ada@example.org", Number: "7", Given: "Ada", Family: "Example", Department: "d",
				Manager: "s050", Groups: []sallyport.Group{"g1"}, Said: []string{"agent"}, Place: sallyport.Place{Team: "t", Role: "agent"}, Want: sallyport.Place{Team: "t", Role: "lead"}, Placed: true, Firm: "northdesk",
				Employment: "notice", Inactive: true, Gone: true, Notice: time.Unix(7, 0).UTC(), Leaves: time.Unix(8, 0).UTC(), Version: 3, Created: time.Unix(5, 0).UTC(), Changed: time.Unix(6, 0).UTC(),
			}},
			Groups: []sallyport.ListedGroup{{Key: "g1", Name: "SG", External: "y1", Gone: true, Version: 2, Created: time.Unix(5, 0).UTC(), Changed: time.Unix(6, 0).UTC()}},
			Delay:  time.Hour, Base: "b", Diff: "~ a: 1 → 2", Subjects: []sallyport.Staff{"s001"}, Alone: true, Most: 50,
			Input: &sallyport.Heard{Source: "hr", Format: "hr", Text: "{}", Cut: true},
			Link:  &sallyport.CustomerLink{ID: "l", Do: "issue", Customer: "48211", Until: at}, Passkey: &sallyport.Passkey{ID: []byte{1}, Public: []byte{2}, Count: 3, Backup: true, Kind: []byte{4}, Label: "l"}, APIToken: &sallyport.APIToken{Scopes: []string{"reveal"}, Until: at}, Once: &sallyport.Once{Key: []byte{1}, Body: []byte{2}},
			Sealed: []byte{6}, Planting: &sallyport.Planting{Count: 3, Over: time.Hour, Drill: true},
			Drill: &sallyport.DrillRun{Name: "snoop", Ended: true, Accounts: []sallyport.Staff{"d1"}},
			CanaryHeard: &sallyport.CanaryHeard{
				ID: "m1", Scheme: sallyport.Phone, Digest: sallyport.Digest{8}, At: at, From: "mail.example", Own: true, Quoted: true,
				Suspects: []sallyport.CanarySuspect{{Staff: "s017", Shown: at, Millionth: 999_000, Grant: "g1", Session: "x9"}},
			},
		},
		Note:     "a sentence",
		Power:    &sallyport.PowerUse{Kinds: []sallyport.Power{sallyport.PowerGrant}, Refused: true},
		Decision: &sallyport.Decision{Action: "copy", Columns: []sallyport.Column{{Schema: "s", Table: "t", Name: "c"}}, Permitted: true, Policy: "copy.configured"},
		Ties:     []sallyport.Tie{{Handle: []byte{1, 2, 3}, Subject: "19"}},
		Imported: &sallyport.Imported{Source: "billing", Format: "csvlog", By: "s051", Import: "im-1", Access: sallyport.Access{
			UID: "pg:billing:1", Time: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), Activity: 1, Staff: "s017", Service: true, Via: "svc_desk", Session: "x9", Application: "desk",
			Address: "10.4.0.17", Device: "lap-017", Shape: "f3ab", Database: "support", Table: "customers", Columns: []string{"email"}, Bytes: 1, Rows: 2, Refused: true,
			Subjects: []sallyport.Subject{"48211"}, Count: 3, Purpose: sallyport.Purpose{Kind: "ticket", Ref: "4711"}, Verdict: "reveal", Statement: 4, Verb: "SELECT",
			Reached: []sallyport.Subject{"5"}, Reach: 6, Probes: 7, Powers: []string{"grant"}, Policy: "desk-1", Trust: 88,
		}},
		Origin: &sallyport.Origin{Gateway: "gw1", Seq: 3, Arrived: at},
		Charged: []sallyport.Charge{{
			Measure: "revealed", Accounts: []sallyport.Portion{portion}, Subjects: []sallyport.Subject{"17"}, Digests: []sallyport.Digest{{8}}, Telling: []int{1},
		}},
		Lent:     &sallyport.Lent{Gateway: "gw1", Life: "l", Start: 4, Record: "r", Portions: []sallyport.Portion{portion}},
		Canary:   &sallyport.CanaryShown{Statement: 7, Canary: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Scheme: sallyport.Email, Period: "grant", Grant: "g1", Digest: sallyport.Digest{9}},
		Restates: &sallyport.Restated{Entry: 7, Kind: sallyport.RevealKind, Time: time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)},
		Asserted: &sallyport.Asserted{ID: sallyport.Digest{1}, Source: "idp", Expires: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)},
		Touch: &sallyport.Touched{
			Statement: 7, Reached: []sallyport.Subject{"18"}, Values: []sallyport.Digest{{4}},
			Probes: []sallyport.Digest{{5}, {6}}, Dates: []sallyport.Digest{{7}},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	s := mustOpen(t, dir, Options{Now: func() time.Time { return now }})
	full := fullEvent()
	small := &sallyport.Event{Kind: sallyport.SessionStart, Who: sallyport.Who{Staff: "s002"}}
	for i, e := range []*sallyport.Event{full, small} {
		seq, err := s.Append(e)
		if err != nil || seq != uint64(i+1) {
			t.Fatalf("append: %d, %v", seq, err)
		}
	}
	if small.Seq != 0 || !small.Time.IsZero() {
		t.Error("append changed the caller's event")
	}
	if _, err := s.Enqueue(small); err != nil {
		t.Fatal(err)
	}
	id := s.ID()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(small); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}

	s = mustOpen(t, dir, Options{})
	if s.ID() != id || len(id) != 32 || s.Last() != 3 || s.Repaired() != "" {
		t.Errorf("reopened: id %s, was %s; last %d; repaired %q", s.ID(), id, s.Last(), s.Repaired())
	}
	got := readAll(t, s, 1)
	want := []*sallyport.Event{full, small, small}
	for i, e := range want {
		w := *e
		w.Seq = uint64(i + 1)
		if w.Time.IsZero() {
			w.Time = now
		}
		if diff := cmp.Diff(&w, got[i]); diff != "" {
			t.Errorf("entry %d: %s", i+1, diff)
		}
	}
	if rest := readAll(t, s, 3); len(rest) != 1 || rest[0].Seq != 3 {
		t.Errorf("read from 3: %v", rest)
	}
	if rest := readAll(t, s, 9); len(rest) != 0 {
		t.Errorf("read from beyond the end: %v", rest)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("second open: %v", err)
	}
}

func TestFollow(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{SegmentBytes: 4096})
	note := func(i int) *sallyport.Event {
		return &sallyport.Event{Kind: sallyport.FactKind, Note: fmt.Sprint("n", i)}
	}
	const n = 300
	for i := range n / 3 {
		if _, err := s.Append(note(i)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	result := make([]error, 3)
	for k := range result {
		wg.Go(func() {
			next := uint64(1 + 40*k)
			result[k] = s.Follow(ctx, next, func(e *sallyport.Event) error {
				if e.Seq != next || e.Note != fmt.Sprint("n", e.Seq-1) {
					return fmt.Errorf("got %d %q, want %d", e.Seq, e.Note, next)
				}
				if e.Seq > s.Last() {
					return fmt.Errorf("saw %d before it was durable", e.Seq)
				}
				next++
				if e.Seq == n {
					return errors.ErrUnsupported // a known end
				}
				return nil
			})
		})
	}
	for i := n / 3; i < n; i++ {
		put := s.Append
		if i%5 == 0 {
			put = s.Enqueue
		}
		if seq, err := put(note(i)); err != nil || seq != uint64(i+1) {
			t.Fatalf("put %d: seq %d, %v", i, seq, err)
		}
	}
	wg.Wait()
	cancel()
	for k, err := range result {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("follower %d: %v", k, err)
		}
	}
	if err := s.Follow(ctx, 1, func(*sallyport.Event) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("follow with a done context: %v", err)
	}
}

func TestFollowEndsWithClose(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	started, end := make(chan bool, 1), make(chan error)
	go func() {
		end <- s.Follow(context.Background(), 1, func(*sallyport.Event) error { started <- true; return nil })
	}()
	if _, err := s.Append(&sallyport.Event{Kind: sallyport.FactKind}); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-end; !errors.Is(err, ErrClosed) {
		t.Errorf("follow ended with %v", err)
	}
}

// TestTamper flips each byte of a finished segment in turn: it is named, and the rest is there.
func TestTamper(t *testing.T) {
	t.Run("plain", func(t *testing.T) { tamper(t, nil) })
	t.Run("sealed", func(t *testing.T) { tamper(t, testKey(t, 1)) })
}

func tamper(t *testing.T, key *Key) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{SegmentBytes: 4096, Key: key})
	for i := 0; s.Last() == 0 || len(segments(t, dir)) < 3; i++ {
		if _, err := s.Append(&sallyport.Event{Kind: sallyport.FactKind, Note: strings.Repeat("x", i%7)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, Options{SegmentBytes: 4096, Key: key})
	whole := readCount(s)
	if whole.err != nil {
		t.Fatal(whole.err)
	}
	name := segments(t, dir)[0]
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	set := func(i int, b byte) {
		if _, err := f.WriteAt([]byte{b}, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range data {
		set(i, data[i]^(1<<(i%8)))
		got := readCount(s)
		if got.err == nil || !strings.Contains(got.err.Error(), filepath.Base(name)) {
			t.Fatalf("byte %d flipped: %v", i, got.err)
		}
		if got.n < whole.n-1 {
			t.Fatalf("byte %d flipped: %d of %d entries are readable: %v", i, got.n, whole.n, got.err)
		}
		set(i, data[i])
	}
	if again := readCount(s); again != whole {
		t.Errorf("restored: %v", again)
	}
}

type counted struct {
	n   int
	err error
}

func readCount(s *Stream) (c counted) {
	c.err = s.Read(1, func(*sallyport.Event) error { c.n++; return nil })
	return c
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}
