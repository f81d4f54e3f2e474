package lease

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport"
	"sallyport/exposure"
	"sallyport/record"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.key, a.cert = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent, by = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

func (a *authority) tls(name string) *tls.Config {
	key, cert := a.sign(&x509.Certificate{
		DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.cert, a.key)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return Config(tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, pool, "controller")
}

// stage is a controller and its gateways.
type stage struct {
	t          *testing.T
	ca         *authority
	dir        string
	address    string
	controller *Controller
	stop       func() // of the controller
}

func openStream(t *testing.T, dir string) *record.Stream {
	t.Helper()
	s, err := record.Open(dir, record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, ca: newAuthority(t), dir: t.TempDir(), address: "127.0.0.1:0"}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// start starts the controller where it was before.
func (s *stage) start() {
	s.t.Helper()
	c := &Controller{
		Access: openStream(s.t, filepath.Join(s.dir, "access")), Control: openStream(s.t, filepath.Join(s.dir, "control")),
		Names: []string{"gw1", "gw2"}, Files: func() string { return "files" }, Clock: time.Now,
	}
	c.Order = func(_ string, e *sallyport.Event) error {
		_, err := c.Control.Append(e)
		return err
	}
	if err := c.Open(); err != nil {
		s.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = ln.Addr().String()
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(ctx, tls.NewListener(ln, s.ca.tls("controller"))) }()
	s.controller = c
	s.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
		_ = c.Access.Close()
		_ = c.Control.Close()
		s.stop = func() {}
	}
}

// gateway starts one; its result ends it.
func (s *stage) gateway(name string, change ...func(*Gateway)) (*Gateway, func()) {
	s.t.Helper()
	g := &Gateway{
		Address: s.address, TLS: s.ca.tls(name), Files: func() string { return "files" },
		Access: openStream(s.t, filepath.Join(s.dir, name, "access")), Control: openStream(s.t, filepath.Join(s.dir, name, "control")),
		Apply: func(*sallyport.Event) {}, News: func(*sallyport.Event) {}, Pin: func(_, _ string) error { return nil },
	}
	for _, set := range change {
		set(g)
	}
	g.Open()
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Run(ctx)
	}()
	end := sync.OnceFunc(func() {
		cancel()
		<-ended
		_ = g.Access.Close()
		_ = g.Control.Close()
	})
	s.t.Cleanup(end)
	return g, end
}

func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// show shows a customer at a gateway as a session does, or says why not.
func show(t *testing.T, g *Gateway, most exposure.Most, customer int) string {
	who := sallyport.Subject(fmt.Sprint(customer))
	loans := []exposure.Loan{{ID: exposure.ID{Name: "s1", Measure: exposure.Revealed}, Most: most}}
	var key exposure.Key
	binary.BigEndian.PutUint64(key[8:], uint64(customer))
	paid := make([]int, 1)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		lacks := g.Borrower().Spend(g.Since(), []exposure.Key{key}, loans, paid)
		if lacks == nil {
			if !g.Heard() {
				return "silent"
			}
			e := &sallyport.Event{Kind: sallyport.RevealKind, Reveal: &sallyport.Revealed{}, Charged: []sallyport.Charge{{
				Measure: "revealed", Accounts: []sallyport.Portion{{Name: "s1", Units: paid[0]}}, Subjects: []sallyport.Subject{who},
			}}}
			e.Reveal.Values.Add(sallyport.RevealedValue{Subject: who})
			if _, err := g.Access.Append(e); err != nil {
				t.Error(err)
			}
			return ""
		}
		answers, err := g.Want([]exposure.Want{{ID: loans[0].ID, Most: most, Need: lacks[0].Units, Subjects: []sallyport.Subject{who}}})
		switch {
		case err != nil:
			return "silent"
		case answers[0].Limit != nil:
			return "limit"
		}
		loans[0].Free = answers[0].Known
	}
	return "busy"
}

// shown are the distinct customers in the streams of gateways.
func shown(t *testing.T, streams ...*record.Stream) map[sallyport.Subject]bool {
	t.Helper()
	all := map[sallyport.Subject]bool{}
	for _, s := range streams {
		err := s.Read(1, func(e *sallyport.Event) error {
			if e.Reveal != nil {
				for v := range e.Reveal.Values.All() {
					all[v.Subject] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	return all
}

// TestTogether: two gateways show as many customers as they can, some of them the same, and together exactly as many as the budget says.
func TestTogether(t *testing.T) {
	s := newStage(t)
	const budget = 100
	most := exposure.Most{budget, budget, math.MaxInt}
	g1, _ := s.gateway("gw1")
	g2, _ := s.gateway("gw2")
	var wg sync.WaitGroup
	for i, g := range []*Gateway{g1, g2} {
		<-g.Ready()
		within(t, "the controller is heard", g.Heard)
		wg.Go(func() {
			for n := range 3 * budget {
				why := ""
				within(t, "an answer", func() bool { why = show(t, g, most, 1+i*budget/2+n); return why != "silent" })
				if why == "limit" {
					return
				}
				if why != "" {
					t.Error(why)
				}
			}
			t.Error("the budget is never reached")
		})
	}
	wg.Wait()
	if n := len(shown(t, g1.Access, g2.Access)); n != budget {
		t.Errorf("%d customers were shown; the budget is %d", n, budget)
	}
	for customer := range 3 { // who was shown is shown again, also at the other one
		for _, g := range []*Gateway{g1, g2} {
			if why := show(t, g, most, 1+customer); why != "" {
				t.Errorf("a known customer: %s", why)
			}
		}
	}
	within(t, "the controller has a copy of all", func() bool {
		return len(shown(t, s.controller.Access)) == budget && s.controller.lender.Seen("gw1") == g1.Access.Last() && s.controller.lender.Seen("gw2") == g2.Access.Last()
	})
}

// TestFaults: controller and gateways end and come back in the middle, and the budget holds.
func TestFaults(t *testing.T) {
	s := newStage(t)
	const budget = 60
	most := exposure.Most{budget, budget, budget}
	for round := range 4 {
		var wg sync.WaitGroup
		var ends []func()
		for i, name := range []string{"gw1", "gw2"} {
			g, end := s.gateway(name)
			ends = append(ends, end)
			within(t, "the controller is heard", g.Heard)
			wg.Go(func() {
				for n := range 12 {
					_ = show(t, g, most, 1000*(i+1)+100*round+n)
				}
			})
		}
		if round%2 == 1 {
			s.stop()
			s.start()
		}
		wg.Wait()
		ends[0]()
		ends[1]()
	}
	streams := []*record.Stream{openStream(t, filepath.Join(s.dir, "gw1", "access")), openStream(t, filepath.Join(s.dir, "gw2", "access"))}
	if n := len(shown(t, streams...)); n > budget || n < budget/4 {
		t.Errorf("%d customers were shown; the budget is %d", n, budget)
	}
}

// TestSilence: without its controller a gateway is silent after a second, and heard again when that is back, with every order of meanwhile.
func TestSilence(t *testing.T) {
	s := newStage(t)
	g, _ := s.gateway("gw1")
	<-g.Ready()
	within(t, "the controller is heard", g.Heard)
	if err := g.Give(&sallyport.Event{Kind: sallyport.Suspended, Note: "one"}); err != nil {
		t.Fatal(err)
	}
	within(t, "the order has come", func() bool { return g.Control.Last() == 1 })
	s.stop()
	within(t, "nothing is heard", func() bool { return !g.Heard() })
	if _, err := g.Want(nil); err == nil {
		t.Error("an answer from nobody")
	}
	s.start()
	if _, err := s.controller.Control.Append(&sallyport.Event{Kind: sallyport.Locked, Note: "two"}); err != nil {
		t.Fatal(err)
	}
	within(t, "the controller is heard", func() bool { return g.Heard() && g.Control.Last() == 2 })
}

// TestMarks: an assertion is one gateway's, also behind a restart of the controller.
func TestMarks(t *testing.T) {
	s := newStage(t)
	g1, _ := s.gateway("gw1")
	g2, _ := s.gateway("gw2")
	within(t, "the controller is heard", func() bool { return g1.Heard() && g2.Heard() })
	a := sallyport.Asserted{ID: sallyport.Digest{1}, Source: "desk", Expires: time.Now().Add(time.Minute)}
	if first, err := g1.Mark(sallyport.Who{Staff: "s1"}, a); err != nil || !first {
		t.Fatal(first, err)
	}
	if first, err := g2.Mark(sallyport.Who{Staff: "s1"}, a); err != nil || first {
		t.Fatal("it is taken twice", err)
	}
	s.stop()
	s.start()
	within(t, "the controller is heard", func() bool {
		first, err := g2.Mark(sallyport.Who{Staff: "s1"}, a)
		if err == nil && first {
			t.Fatal("it is taken twice behind a restart")
		}
		return err == nil
	})
}

// TestWhoMayCome: a certificate of another authority, another name, other files and another record are refused, and say why.
func TestWhoMayCome(t *testing.T) {
	s := newStage(t)
	for name, change := range map[string]func(*Gateway){
		"no gateway may come":   func(g *Gateway) { g.TLS = s.ca.tls("gw9") },
		"another configuration": func(g *Gateway) { g.Files = func() string { return "others" } },
	} {
		g := &Gateway{
			Address: s.address, TLS: s.ca.tls("gw1"), Files: func() string { return "files" }, Access: openStream(t, t.TempDir()), Control: openStream(t, t.TempDir()),
			Apply: func(*sallyport.Event) {}, News: func(*sallyport.Event) {}, Pin: func(_, _ string) error { return nil },
		}
		change(g)
		g.Open()
		if err := g.connect(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("expected %q: %v", name, err)
		}
	}
	stranger := newAuthority(t).tls("gw1")
	stranger.RootCAs = s.ca.tls("gw1").RootCAs
	conn, err := tls.Dial("tcp", s.address, stranger)
	if err == nil { // TLS 1.3: the client hears of it with the first read
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if err == nil {
		t.Error("a certificate of another authority is taken")
	}
	old := s.ca.tls("gw1")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, err := tls.Dial("tcp", s.address, old); err == nil {
		t.Error("TLS 1.2 is taken")
	}
	if _, err := tls.Dial("tcp", s.address, func() *tls.Config { c := s.ca.tls("gw1"); c.ServerName = "gw1"; return c }()); err == nil {
		t.Error("a gateway is taken for the controller")
	}
	g, end := s.gateway("gw1")
	within(t, "the controller is heard", g.Heard)
	end()
	other := &Gateway{
		Address: s.address, TLS: s.ca.tls("gw1"), Files: func() string { return "" }, Access: openStream(t, t.TempDir()), Control: openStream(t, t.TempDir()),
		Apply: func(*sallyport.Event) {}, News: func(*sallyport.Event) {}, Pin: func(_, _ string) error { return nil },
	}
	other.Open()
	if err := other.connect(t.Context()); err == nil || !strings.Contains(err.Error(), "forget gw1") {
		t.Errorf("another record under the same name: %v", err)
	}
	within(t, "the gateway has gone", func() bool { return len(s.controller.Here()) == 0 })
	if err := s.controller.Forget("gw1", "p1"); err != nil || !s.controller.Forgotten("p1") || s.controller.Knows("gw1") {
		t.Errorf("forget it: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		other.Run(ctx)
	}()
	within(t, "it comes with its new record", other.Heard)
	cancel()
	<-ended
	s.stop()
	s.start()
	if !s.controller.Forgotten("p1") {
		t.Error("a restart forgot that it was forgotten")
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 3, 0xa1, 15, 1})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	dec, err := decoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		in := bytes.NewReader(b)
		for {
			if _, err := readFrame(in, dec); err != nil {
				return
			}
		}
	})
}
