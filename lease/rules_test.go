package lease

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport"
	"sallyport/exposure"
	"sallyport/record"
)

// The rules of the connection one by one, each in the fewest steps that break if it is broken (faults_test.go breaks them).

// alone is an end without a connection.
func aloneGateway(t *testing.T) (g *Gateway, applied *[]uint64) {
	t.Helper()
	applied = new([]uint64)
	g = &Gateway{Access: openStream(t, t.TempDir()), Control: openStream(t, t.TempDir()), Apply: func(e *sallyport.Event) { *applied = append(*applied, e.Seq) }}
	g.Open()
	g.beats = map[uint64]time.Duration{}
	return g, applied
}

// TestOrdersKeepTheirPlace: an order stands in the copy where it stands at the controller, also behind ones that were erased there, and takes effect once.
func TestOrdersKeepTheirPlace(t *testing.T) {
	g, applied := aloneGateway(t)
	for _, seq := range []uint64{1, 4, 4, 5} {
		if err := g.follow(&sallyport.Event{Seq: seq, Kind: sallyport.Locked, Order: &sallyport.Order{Action: "lock"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Control.Sync(); err != nil {
		t.Fatal(err)
	}
	if g.Control.Last() != 5 || !slices.Equal(*applied, []uint64{1, 4, 5}) {
		t.Errorf("the copy is %d long, and %v took effect", g.Control.Last(), *applied)
	}
}

// TestHeard: the controller is heard by a beat that came back when all orders of before it are applied and all parcels are here; and the
// gateway is ready when it also knows all news.
func TestHeard(t *testing.T) {
	g, _ := aloneGateway(t)
	g.orders = 1
	ready := func() bool {
		g.settled()
		select {
		case <-g.Ready():
			return true
		default:
			return false
		}
	}
	beats := func(n, order uint64) {
		g.mu.Lock()
		g.beats[n] = g.since()
		g.mu.Unlock()
		g.beaten(n, order)
	}
	beats(1, 0)
	if g.Heard() {
		t.Error("it is heard before all parcels are here")
	}
	if err := g.take(nil, &frame{Whole: true}); err != nil || !g.Heard() {
		t.Error("it is not heard though all is here", err)
	}
	g.heard = -time.Hour
	beats(2, 1)
	if g.Heard() {
		t.Error("it is heard before an order of before is applied")
	}
	if ready() {
		t.Error("it is ready before it knows all orders")
	}
	if err := g.follow(&sallyport.Event{Seq: 1, Kind: sallyport.Locked}); err != nil || !g.Heard() {
		t.Error("it is not heard though the order is applied", err)
	}
	if ready() {
		t.Error("it is ready before it knows all news")
	}
	if err := g.take(nil, &frame{Caught: true}); err != nil || !ready() {
		t.Error("it is not ready though it knows all", err)
	}
}

// TestMarksLast: a mark is remembered for longer than the assertion is good, since a clock may be set back.
func TestMarksLast(t *testing.T) {
	var m marks
	now := time.Now()
	a, other := &sallyport.Asserted{ID: sallyport.Digest{1}, Expires: now.Add(10 * time.Second)}, &sallyport.Asserted{ID: sallyport.Digest{2}, Expires: now.Add(time.Hour)}
	first := func(a *sallyport.Asserted, at time.Time) bool {
		ok, err := m.first(a, at)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !first(a, now) || !first(other, now.Add(100*time.Second)) || first(a, now) {
		t.Error("an assertion is taken twice, 100 s after it was marked")
	}
}

// TestNotAdmitted: what a hello must be besides what TestWhoMayCome tries.
func TestNotAdmitted(t *testing.T) {
	s := newStage(t)
	for what, h := range map[string]*hello{
		"another version":                {Version: version + 1, Life: "a"},
		"orders that are not here":       {Version: version, Life: "a", Control: 99},
		"no life":                        {Version: version},
		"another file than the approved": {Version: version, Life: "a", Files: "others"},
	} {
		if err := s.controller.admit(&guest{c: s.controller, name: "gw1"}, h); err == nil {
			t.Errorf("%s: it is admitted", what)
		} else if errors.Is(err, errOtherFiles) != (h.Files != "") {
			t.Errorf("%s: %v", what, err)
		}
	}
	g := &guest{c: s.controller, name: "gw1"}
	for what, e := range map[string]*sallyport.Event{
		"a copy of a copy": {Seq: 1, Kind: sallyport.RevealKind, Origin: &sallyport.Origin{Gateway: "gw2", Seq: 1}},
		"a loan":           {Seq: 1, Kind: sallyport.LentKind, Lent: &sallyport.Lent{Gateway: "gw1"}},
	} {
		if err := s.controller.copy(g, e); err == nil {
			t.Errorf("%s is taken from a gateway", what)
		}
	}
}

// TestLoanOnRecord: when a gateway has units, or is told that somebody is known, that is on the controller's disk; and who has come anew is lent nothing over
// the connection of before.
func TestLoanOnRecord(t *testing.T) {
	s := newStage(t)
	g, _ := s.gateway("gw1")
	within(t, "the controller is heard", g.Heard)
	most := exposure.Most{math.MaxInt / 2, math.MaxInt / 2, math.MaxInt}
	for i := range 30 {
		id := exposure.ID{Name: fmt.Sprint("s", i), Measure: exposure.Revealed}
		answers, err := g.Want([]exposure.Want{{ID: id, Most: most, Need: 3, Subjects: []sallyport.Subject{"1", "2", "3"}}})
		if err != nil || answers[0].Units < 3 {
			t.Fatal(answers, err)
		}
		onDisk := 0
		err = s.controller.Access.Read(1, func(e *sallyport.Event) error { // it reads what is durable
			if e.Lent != nil {
				for _, p := range e.Lent.Portions {
					if p.Name == id.Name {
						onDisk += p.Units
					}
				}
			}
			return nil
		})
		if err != nil || onDisk != answers[0].Units {
			t.Fatalf("the gateway has %d units, and %d are on disk, %v", answers[0].Units, onDisk, err)
		}
	}
	former := &guest{c: s.controller, name: "gw1", life: g.life}
	id := exposure.ID{Name: "late", Measure: exposure.Revealed}
	if err := s.controller.lend(former, &want{1, []exposure.Want{{ID: id, Most: most, Need: 1, Subjects: []sallyport.Subject{"1"}}}}); err == nil {
		t.Error("a connection that was replaced lends")
	}
	for _, d := range s.controller.Debts() {
		if d.ID == id {
			t.Errorf("lent over a connection that was replaced: %+v", d)
		}
	}
}

// TestLooksAreTold: of what one gateway shows the others are told what counts as a look; it itself is told of what its process of before showed.
func TestLooksAreTold(t *testing.T) {
	s := newStage(t)
	s.controller.Looks = func(e *sallyport.Event) *sallyport.Event {
		return &sallyport.Event{Seq: e.Seq, Kind: e.Kind, Origin: e.Origin, Note: "look"}
	}
	var mu sync.Mutex // guards told
	told := map[string][]string{}
	begin := func(name string) (*Gateway, func()) {
		return s.gateway(name, func(g *Gateway) {
			g.News = func(e *sallyport.Event) {
				mu.Lock()
				defer mu.Unlock()
				told[name] = append(told[name], e.Origin.Gateway+" "+e.Note)
			}
		})
	}
	of := func(name string) string {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprint(told[name])
	}
	g1, end := begin("gw1")
	g2, _ := begin("gw2")
	within(t, "the controller is heard", func() bool { return g1.Heard() && g2.Heard() })
	if why := show(t, g1, exposure.Most{100, 100, math.MaxInt}, 1); why != "" {
		t.Fatal(why)
	}
	within(t, "gw2 is told", func() bool { return of("gw2") == "[gw1 look]" })
	if _, err := g2.Access.Append(&sallyport.Event{Kind: sallyport.FactKind, Note: "fact"}); err != nil {
		t.Fatal(err)
	}
	within(t, "gw1 is told of the fact, and was not of its own look", func() bool { return of("gw1") == "[gw2 fact]" })
	end()
	mu.Lock()
	told["gw1"] = nil
	mu.Unlock()
	_, _ = begin("gw1")
	within(t, "its next process is told of all", func() bool { return of("gw1") == "[gw1 look gw2 fact]" })
}

// TestCalledBack: what one gateway holds and does not need, though it spends from the same budget all the while, another gets when it lacks.
func TestCalledBack(t *testing.T) {
	s := newStage(t)
	g1, _ := s.gateway("gw1")
	g2, _ := s.gateway("gw2")
	within(t, "the controller is heard", func() bool { return g1.Heard() && g2.Heard() })
	most := exposure.Most{40, 40, 40}
	id := exposure.ID{Name: "s1", Measure: exposure.Revealed}
	if answers, err := g1.Want([]exposure.Want{{ID: id, Most: most, Need: 15, Subjects: []sallyport.Subject{"1"}}}); err != nil || answers[0].Units < 15 {
		t.Fatal(answers, err)
	}
	if why := show(t, g1, most, 1); why != "" {
		t.Fatal(why)
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var key exposure.Key
		binary.BigEndian.PutUint64(key[8:], 1)
		for {
			g1.Borrower().Spend(g1.Since(), []exposure.Key{key}, []exposure.Loan{{ID: id, Most: most}}, make([]int, 1)) // he is paid for
			select {
			case <-over:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	defer func() {
		close(over)
		<-ended
	}()
	for customer := 2; customer <= 40; customer++ {
		if why := show(t, g2, most, customer); why != "" {
			t.Fatalf("customer %d of 40 is not shown: %s", customer, why)
		}
	}
	if why := show(t, g2, most, 41); why != "limit" {
		t.Errorf("beyond the budget: %q", why)
	}
}

// TestHush: what is done in silence is done when no gateway has heard the controller for longer than it goes on without; then all come back. Where it fails they do, too.
func TestHush(t *testing.T) {
	s := newStage(t)
	g1, _ := s.gateway("gw1")
	g2, _ := s.gateway("gw2")
	heard := func() bool { return g1.Heard() && g2.Heard() }
	for _, fails := range []error{nil, errors.New("it does not work")} {
		within(t, "the controller is heard", heard)
		began, done := time.Now(), false
		err := s.controller.Hush(t.Context(), func() error {
			done = true
			if g1.Heard() || g2.Heard() || len(s.controller.Here()) > 0 || time.Since(began) < 2*Patience {
				t.Error("somebody goes on")
			}
			return fails
		})
		if !done || !errors.Is(err, fails) {
			t.Errorf("%t, %v", done, err)
		}
	}
	within(t, "the controller is heard again", heard)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.controller.Hush(ended, func() error {
		t.Error("it is done though there was no silence")
		return nil
	}); err == nil {
		t.Error("it says that it was done")
	}
	within(t, "the controller is heard again", heard)
}

// TestShares: a share goes to the gateways that are here, once; who waits for some is told of.
func TestShares(t *testing.T) {
	s := newStage(t)
	var mu sync.Mutex // guards what follows
	missing, got := 2, []string{}
	g, _ := s.gateway("gw1", func(g *Gateway) {
		g.Sessions = func() Census {
			mu.Lock()
			defer mu.Unlock()
			return Census{Missing: missing}
		}
		g.Share = func(by sallyport.Staff, text string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, string(by)+" "+text)
			missing--
		}
	})
	within(t, "the controller is heard", g.Heard)
	if sealed := s.controller.Sealed(t.Context()); len(sealed) != 1 || sealed["gw1"] != 2 {
		t.Errorf("sealed: %v", sealed)
	}
	s.controller.Share("o1", "first")
	s.controller.Share("o2", "second")
	within(t, "nobody waits", func() bool { return len(s.controller.Sealed(t.Context())) == 0 })
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"o1 first", "o2 second"}; !slices.Equal(got, want) {
		t.Errorf("it got %q, want %q", got, want)
	}
}

// TestIdle: what lies idle comes back by itself.
func TestIdle(t *testing.T) {
	s := newStage(t)
	g, _ := s.gateway("gw1")
	within(t, "the controller is heard", g.Heard)
	if why := show(t, g, exposure.Most{100, 100, math.MaxInt}, 1); why != "" {
		t.Fatal(why)
	}
	within(t, "nothing is out", func() bool {
		return len(s.controller.Debts()) == 0 && s.controller.Count(time.Now(), exposure.ID{Name: "s1", Measure: exposure.Revealed})[0] == 1
	})
}

// TestParcels: what a gateway has to have comes before it is ready, and before the order that needs it, whole and as it is; not again when it has that; and
// anew when it has changed.
func TestParcels(t *testing.T) {
	s := newStage(t)
	ring := filepath.Join(t.TempDir(), "ring")
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(ring+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(ring+".new", ring); err != nil {
			t.Fatal(err)
		}
	}
	large := bytes.Repeat([]byte("sealed"), partSize/3) // of two parts
	write(large)
	s.controller.Parcels = func() ([]Parcel, error) {
		return []Parcel{{Name: "ring", Path: ring}, {Name: "files", Content: []byte("first")}}, nil
	}
	s.controller.Before = func(e *sallyport.Event) ([]Parcel, error) {
		if e.Kind != sallyport.Approved {
			return nil, nil
		}
		return []Parcel{{Name: "files", Content: []byte("second")}}, nil
	}
	s.controller.Runs = func() string { return "these" }
	var mu sync.Mutex // guards what follows
	var came []string
	has, parts := map[string]string{}, map[string][]byte{}
	note := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		came = append(came, text)
	}
	list := func() string {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprint(came)
	}
	begin := func() (*Gateway, context.CancelFunc) {
		g := &Gateway{
			Address: s.address, TLS: s.ca.tls("gw1"), Files: func() string { return "" },
			Access: openStream(t, filepath.Join(s.dir, "gw1", "access")), Control: openStream(t, filepath.Join(s.dir, "gw1", "control")),
			Apply: func(e *sallyport.Event) { note(string(e.Kind)) }, News: func(*sallyport.Event) {}, Pin: func(_, _ string) error { return nil },
			Holds: func() map[string]string {
				mu.Lock()
				defer mu.Unlock()
				return map[string]string{"ring": has["ring"], "files": has["files"]}
			},
			Put: func(name string, part []byte, last bool, digest string) error {
				mu.Lock()
				parts[name] = append(parts[name], part...)
				mu.Unlock()
				if last {
					sum := sha256.Sum256(parts[name])
					if hex.EncodeToString(sum[:]) != digest {
						t.Errorf("%s is not what its digest says", name)
					}
					note(fmt.Sprintf("%s of %d", name, len(parts[name])))
					mu.Lock()
					has[name], parts[name] = digest, nil
					mu.Unlock()
				}
				return nil
			},
			Sessions: func() Census { return Census{Known: true, Backends: []uint32{7}, Address: "10.0.0.1"} },
		}
		g.Open()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			g.Run(ctx)
		}()
		return g, func() {
			cancel()
			<-ended
			for _, stream := range []*record.Stream{g.Access, g.Control} {
				if err := stream.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	g, end := begin()
	<-g.Ready()
	if want := fmt.Sprintf("[ring of %d files of 5]", len(large)); list() != want || g.Runs() != "these" {
		t.Errorf("before it is ready came %s, want %s; it runs by %q", list(), want, g.Runs())
	}
	within(t, "the controller is heard", g.Heard)
	answers, missing := s.controller.Census(t.Context())
	if a := answers["gw1"]; a == nil || !slices.Equal(a.Backends, []uint32{7}) || a.Address != "10.0.0.1" || !slices.Equal(missing, []string{"gw2"}) {
		t.Errorf("the census: %+v, missing %v", a, missing)
	}
	if _, err := s.controller.Control.Append(&sallyport.Event{Kind: sallyport.Approved}); err != nil {
		t.Fatal(err)
	}
	within(t, "the order has come", func() bool {
		return g.Control.Last() == 1 && len(list()) > 0 && list()[len(list())-len("approve]"):] == "approve]"
	})
	if want := fmt.Sprintf("[ring of %d files of 5 files of 6 approve]", len(large)); list() != want {
		t.Errorf("with the order came %s, want %s", list(), want)
	}
	end()
	mu.Lock()
	came = nil
	has["files"] = "" // the first one is what the controller's list has
	mu.Unlock()
	within(t, "the gateway has gone", func() bool { return len(s.controller.Here()) == 0 })
	write([]byte("another"))
	g, end = begin()
	<-g.Ready()
	if want := "[ring of 7 files of 5]"; list() != want {
		t.Errorf("the second time came %s, want %s", list(), want)
	}
	end()
	mu.Lock()
	came = nil
	mu.Unlock()
	within(t, "the gateway has gone", func() bool { return len(s.controller.Here()) == 0 })
	g, end = begin()
	<-g.Ready()
	if list() != "[]" {
		t.Errorf("it has all, and %s came", list())
	}
	end()
}
