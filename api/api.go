// Package api lets people give orders to a running serve and ask its record, as JSON over HTTP on a socket in the data folder.
//
// Everybody logs in with name and password; the operating system's user counts for nothing. It refuses to change or read
// anything that has not been recorded first, to let somebody decide about himself, and to obey whoever is locked or suspended.
// Invariant: an order is on stable storage before it takes effect and before it is answered; the one exception is a lock
// whose record cannot be written: it bites all the same, and the answer says so.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/history"
	"sallyport/record"
)

// Config is what a Server needs; every field without a word about zero is required.
type Config struct {
	People     map[sallyport.Staff]Person
	Known      func(sallyport.Staff) bool      // whom an order may be about, besides people
	Access     *record.Stream                  // what gateways wrote
	Orders     *Orders                         // the one writer of the control stream
	Identifies func(sallyport.Column) bool     // equal values of this column mean the same customer; nil: none does
	Now        func() time.Time                // the clock of events
	Named      func(sallyport.Staff) string    // what people call somebody; nil: nobody knows
	Delay      func() time.Time                // the clock of log-in delays; nil: Now
	Status     func(context.Context) []Standby // what else a status tells; nil: nothing
	// TicketID finds the id of a ticket whose number stands in the record as its token; nil: none is found.
	TicketID  func(ctx context.Context, number string) (id string, ok bool)
	Unseal    Unsealer          // takes shares of the keys; nil: the keys are not opened by shares
	Rotate    KeyChange         // nil: there are no keys
	Destroy   KeyChange         // likewise
	Rotations func() []Rotation // nil: there are none
	Shred     KeyChange         // of a customer; likewise
	// Erase lists entries of a stream that may be erased, by runs of their sequences; its error is a sentence for people. nil: none may.
	Erase func(stream string, runs []uint64) (*sallyport.Erasure, error)
	// EraseCustomer lists what the streams, by their names, say of one customer alone, and what of him stays.
	EraseCustomer func(ctx context.Context, customer sallyport.Subject) (map[string]*sallyport.Erasure, Owed, error)
	Locks         int                                     // that one person may give in an hour; more wait for a second person. 0: DefaultLocks
	Observing     bool                                    // serve bars and masks nothing, see Status
	Moving        *Moving                                 // nil: serve protects nothing, so nothing moves
	Mark          func() string                           // the database's mark that does not fit this record, empty: it fits; nil: always
	Waiting       func(sallyport.Staff) []Waiting         // what waits at the second door for somebody; nil: nothing ever
	LogIns        *LogIns                                 // by the identity provider; nil: by password alone
	Role          func(sallyport.Staff) string            // somebody's role right now; nil: that of People
	Directory     *Directory                              // nil: there is none to ask
	Files         func(FilesRequest) (FilesChange, error) // holds files that are to be proposed to sense; nil: there are none
	Desk          *Desk                                   // nil: nothing can be asked for
	Names         *history.Names                          // by which those are called whom nobody unmasked
	History       *History                                // nil: the record itself answers
	Rules         func(Act) Ruling                        // of policies; nil: leads and security may do everything, and nobody else anything
	Forgets       func(gateway string) error              // why one cannot be forgotten; nil: there are none
	Traffic       *Traffic                                // exports and imports; nil: there are none
	Drills        *Drills                                 // thefts that are played; nil: none are
	Canaries      *Canaries                               // customers who do not exist; nil: there are none
	Reports       *Reports                                // of scam calls; nil: nobody takes any
	Blast         *Blast                                  // what somebody's access came to; nil: nobody answers that
	Cases         *Cases                                  // nil: none are kept
	Classes       map[string]string                       // column → class of data
	Calls         *Calls                                  // to customers, that are scheduled; nil: none are
	// Prove shows that an entry stands in the ledger; its error is a sentence for people. nil: there is none.
	Prove   func(ctx context.Context, stream string, seq uint64) (Proven, error)
	Program *Program // nil: there is none
	Work    *Work    // how people work; nil: nobody looks
	// Holdings are what is protected; nil: nothing is.
	Holdings func(context.Context) Holdings
	// DataTables are those of Holdings with how far they are at this moment; nil where that is.
	DataTables func(context.Context) []DataTable
	Rulebook   *Rulebook // nil: there are no policies to show
	// Find is whose rows hold one of some tokens of a column of the customers' table, of two at most; nil: nobody is looked for by a value.
	Find func(ctx context.Context, column string, tokens []string) ([]sallyport.Subject, error)
	// FindBy are the columns by which customers are found: of those whose equal values mean the same customer, in the customers' table.
	FindBy   []string
	Values   *Values   // the gateway's doors without SQL; nil: they are not here
	Passkeys *Passkeys // nil: nobody proves by one who he is
	Links    *Links    // nil: customers get none
}

// Standby is one more line of a status: what, and how it is.
type Standby struct {
	What string `json:"what"`
	How  string `json:"how"`
}

// Person may log in if he has a password.
type Person struct {
	Role     string // agent, lead, engineer, dba, security
	Password PasswordHash
	Logins   []string // database roles that are his
}

// Server answers on the control socket.
type Server struct {
	c     Config
	door  *door
	http  *http.Server
	state *control.State
	past  *history.Past

	asking    sync.Mutex // held while a question in SQL is answered
	today     today
	replaying sync.Mutex // held while the record is replayed
	once      once
	unsealing sync.Mutex // held from the check of a share until it is taken
	repeating sync.Mutex // held while a draw is repeated
}

// New checks the configuration of a server.
func New(c Config) (*Server, error) {
	if c.Access == nil || c.Orders == nil || c.Now == nil || c.Names == nil {
		return nil, errors.New("make control api: Access, Orders, Now and Names are required")
	}
	if c.Delay == nil {
		c.Delay = c.Now
	}
	s := &Server{c: c, state: c.Orders.state, door: newDoor(c.People, c.Delay)}
	s.today.wanted = make(chan struct{}, 1)
	s.past = &history.Past{Record: c.Access, Tells: c.Identifies}
	if c.History != nil {
		s.past.Lend = c.History.Lend
	}
	if err := s.restoreOnce(); err != nil {
		return nil, fmt.Errorf("make control api: %w", err)
	}
	s.door.own = s.state.Password
	if c.LogIns != nil {
		s.door.counts = c.LogIns.passwordCounts
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(quiet{os.Stderr}, "", log.LstdFlags),
	}
	return s, nil
}

// quiet passes on what a server logs but for handshakes that failed: whoever knocks could fill a log with them.
type quiet struct{ to io.Writer }

// Write is io.Writer's.
func (q quiet) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("TLS handshake error")) {
		return len(p), nil
	}
	return q.to.Write(p)
}

// Serve answers on the listeners until ctx ends or one of them fails, then lets answers that are being written finish.
func (s *Server) Serve(ctx context.Context, on ...net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	var ahead sync.WaitGroup
	ahead.Go(func() { s.keepToday(ctx) })
	defer ahead.Wait()
	defer stop()
	done := make(chan error, len(on))
	for _, l := range on {
		go func() { done <- s.http.Serve(l) }()
	}
	left, failed := len(on), error(nil)
	select {
	case failed = <-done:
		left--
		stop()
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := s.http.Shutdown(grace); err != nil {
		failed = errors.Join(failed, err, s.http.Close())
	}
	for range left {
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			failed = errors.Join(failed, err)
		}
	}
	if failed != nil {
		return fmt.Errorf("serve control socket: %w", failed)
	}
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+lockPath, s.as(administrators, s.lock))
	mux.Handle("POST /v1/unlock", s.as(administrators, s.unlock))
	mux.Handle("POST /v1/accept-mark", s.as(administrators, s.acceptMark))
	mux.Handle("POST /v1/proposals/{id}/approve", s.as(everybody, s.approve))
	mux.Handle("POST /v1/proposals/{id}/decline", s.as(everybody, s.decline))
	mux.Handle("POST /v1/keys/rotate", s.as(administrators, s.rotateKey))
	mux.Handle("POST /v1/keys/destroy", s.as(administrators, s.destroyKey))
	mux.Handle("POST /v1/keys/opening", s.as(administrators, s.opening))
	mux.Handle("POST /v1/keys/shred", s.as(administrators, s.shred))
	mux.Handle("GET /v1/keys/shredded", s.as(administrators, s.shreddedTokens))
	mux.Handle("POST /v1/confirm", s.as(everybody, s.confirm))
	mux.Handle("POST /v1/trust", s.as(administrators, s.trust))
	mux.Handle("POST /v1/unseal", s.as(everybody, s.unseal))
	s.movingRoutes(mux)
	s.grantRoutes(mux)
	s.loginRoutes(mux)
	s.passwordRoutes(mux)
	s.directoryRoutes(mux)
	s.filesRoutes(mux)
	s.findingRoutes(mux)
	s.trafficRoutes(mux)
	s.canaryRoutes(mux)
	s.drillRoutes(mux)
	s.erasureRoutes(mux)
	s.historyRoutes(mux)
	s.unmaskRoutes(mux)
	s.gatewayRoutes(mux)
	s.reportRoutes(mux)
	s.blastRoutes(mux)
	s.caseRoutes(mux)
	s.nowRoutes(mux)
	s.recordRoutes(mux)
	s.callRoutes(mux)
	s.peopleRoutes(mux)
	s.findRoutes(mux)
	s.dataRoutes(mux)
	s.policyRoutes(mux)
	s.valueRoutes(mux)
	s.tokenRoutes(mux)
	s.passkeyRoutes(mux)
	s.linkRoutes(mux)
	mux.HandleFunc("GET /v1/openapi.json", s.describe)
	mux.Handle("/api/v1/", http.StripPrefix("/api", mux)) // as other programs know it; commands say /v1 alone
	s.programRoutes(mux)
	mux.Handle("GET /v1/proposals", s.as(overseers, s.proposals))
	mux.Handle("GET /v1/who-saw", s.as(investigators, s.whoSaw))
	mux.Handle("GET /v1/status", s.as(everybody, s.status))
	mux.Handle("/", s.as(everybody, func(*http.Request, sallyport.Staff) (any, error) {
		return nil, &Problem{http.StatusNotFound, "no_such_endpoint", "There is nothing at this path.", "See docs/control.md for what there is."}
	}))
	return mux
}

// noticeHeader carries sentences that whoever oversees access is to read, whatever he asked.
const noticeHeader = "Sallyport-Notice"

// lockPath is the one endpoint that works without a record.
const lockPath = "/v1/lock"

// as wraps an endpoint in the log-in: who calls is known, free, and policies let him do this.
func (s *Server) as(who audience, do func(*http.Request, sallyport.Staff) (any, error)) http.Handler {
	return s.upTo(64<<10, who, do)
}

// upTo is as for a body of so many bytes.
func (s *Server) upTo(most int64, who audience, do func(*http.Request, sallyport.Staff) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, most)
		c, err := s.enter(w, r, who)
		if err != nil {
			s.answer(w, nil, err)
			return
		}
		s.onceOnly(w, r, c.staff, func(w http.ResponseWriter, r *http.Request) {
			answer, err := do(withCaller(r, c), c.staff)
			s.answer(w, answer, err)
		})
	})
}

// enter logs in who calls and asks the policies whether he may.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, who audience) (*caller, error) {
	c, err := s.logIn(r, r.URL.Path == lockPath)
	if err != nil {
		return nil, err
	}
	if err := c.withinScope(r, who); err != nil {
		return nil, err
	}
	if err := s.may(r, c, who); err != nil {
		return nil, err
	}
	if s.allows(r, c, overseers) {
		w.Header()[noticeHeader] = s.unreviewed(c.staff)
	}
	return c, nil
}

// answer writes what an endpoint returned: a value as JSON, an error as a Problem.
func (s *Server) answer(w http.ResponseWriter, value any, err error) {
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value) // a client that left cannot be told
		return
	}
	problem := asProblem(err)
	if problem.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", s.challenge())
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(problem.Status)
	_ = json.NewEncoder(w).Encode(problem) // a client that left cannot be told
}

// Problem is how an error is answered: a code for programs, a sentence and a hint for people (RFC 9457's media type).
type Problem struct {
	Status   int    `json:"status"`
	Code     string `json:"code"`
	Sentence string `json:"sentence"`
	Hint     string `json:"hint,omitempty"`
}

// Error is the sentence and the hint.
func (p *Problem) Error() string {
	if p.Hint == "" {
		return p.Sentence
	}
	return p.Sentence + " " + p.Hint
}

func asProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	// What went wrong inside may name files, never values: it is for whoever may read the record anyway.
	return &Problem{http.StatusServiceUnavailable, "failed", "This could not be done: " + err.Error() + ".", "Nothing was changed; see the log of serve."}
}

// body reads a JSON object of the request.
func body(r *http.Request, into any) error {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		_, err = decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
	}
	return &Problem{http.StatusBadRequest, "bad_request", "The request's body is not the JSON object that is expected here.", "See docs/control.md."}
}
