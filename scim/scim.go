// Package scim answers an identity provider that tells who works here: SCIM 2.0 (RFC 7643, RFC 7644), as Entra ID and Okta really speak it.
//
// What it is told goes into the directory as one source of several. It refuses to say anything that is not recorded yet, to give power
// (package staff holds back what has some), to unlock anybody, and to take somebody who is known already for somebody new.
// Invariant: a change is on record, and holds, before it is answered; what is answered with an error has changed nothing.
package scim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
	"sallyport/staff"
)

// Config is what a Server needs; every field without a word about zero is required.
type Config struct {
	Directory *staff.State
	// Record puts what SCIM says on record, durably, and lets it take effect, before it returns.
	Record  func(people []sallyport.Listed, groups []sallyport.ListedGroup) error
	Mapping func() *staff.Mapping // what groups and roles mean here

	ID      string                                           // the attribute that is the id of new staff: userName, externalId, employeeNumber
	Account func(user string) (sallyport.Staff, bool)        // whose user name the configuration says it is
	Known   func(id sallyport.Staff) (sallyport.Staff, bool) // somebody of that id, whatever the case of its letters
	Program func(id sallyport.Staff) bool                    // a service has that id

	Tokens []Token
	Now    func() time.Time
	NewID  func() string        // of a resource: random
	Bad    func(refused uint64) // hears of wrong tokens, at most once a minute, and how many there were; nil: nobody
	Log    *slog.Logger
}

// Token is the SHA-256 of a bearer token. A token has 256 random bits, so that a hash without salt or cost is enough.
type Token [sha256.Size]byte

// ParseToken reads sha256:HEX.
func ParseToken(text string) (t Token, err error) {
	digits, ok := strings.CutPrefix(text, "sha256:")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != len(t) {
		return t, errors.New("no hash of a token; expected the line sha256:… that 'sallyport directory token' prints")
	}
	copy(t[:], raw)
	return t, nil
}

// HashToken is the Token of a bearer token.
func HashToken(token string) Token { return sha256.Sum256([]byte(token)) }

// String is sha256:HEX.
func (t Token) String() string { return "sha256:" + hex.EncodeToString(t[:]) }

// Limits. A group of 20,000 members replaced as a whole takes about 1.5 MiB.
const (
	maxBody       = 4 << 20
	maxOperations = 1000
	maxText       = 256
	maxFilter     = 1024
	mostResults   = 500
	usualResults  = 100
)

// Server answers SCIM requests.
type Server struct {
	c   Config
	mux *http.ServeMux

	changing sync.Mutex // held from the look at what is there until a change holds

	wrong atomic.Uint64 // tokens since the last report
	told  atomic.Int64  // when that was, in Unix seconds
}

// New checks the configuration.
func New(c Config) (*Server, error) {
	if c.Directory == nil || c.Record == nil || c.Mapping == nil || c.Now == nil || c.NewID == nil || c.Log == nil || c.Account == nil || c.Known == nil || c.Program == nil {
		return nil, errors.New("make SCIM server: Directory, Record, Mapping, Account, Known, Program, Now, NewID and Log are required")
	}
	if len(c.Tokens) == 0 {
		return nil, errors.New("make SCIM server: it needs the hash of a token at least")
	}
	if _, ok := identifying(c.ID); !ok {
		return nil, fmt.Errorf("make SCIM server: %q is no attribute that identifies; expected userName, externalId or employeeNumber", c.ID)
	}
	s := &Server{c: c, mux: http.NewServeMux()}
	s.routes()
	return s, nil
}

func (s *Server) routes() {
	s.mux.Handle("GET /scim/v2/Users", s.do(s.listUsers))
	s.mux.Handle("POST /scim/v2/Users", s.do(s.createUser))
	s.mux.Handle("GET /scim/v2/Users/{id}", s.do(s.getUser))
	s.mux.Handle("PUT /scim/v2/Users/{id}", s.do(s.replaceUser))
	s.mux.Handle("PATCH /scim/v2/Users/{id}", s.do(s.patchUser))
	s.mux.Handle("DELETE /scim/v2/Users/{id}", s.do(s.deleteUser))
	s.mux.Handle("GET /scim/v2/Groups", s.do(s.listGroups))
	s.mux.Handle("POST /scim/v2/Groups", s.do(s.createGroup))
	s.mux.Handle("GET /scim/v2/Groups/{id}", s.do(s.getGroup))
	s.mux.Handle("PUT /scim/v2/Groups/{id}", s.do(s.replaceGroup))
	s.mux.Handle("PATCH /scim/v2/Groups/{id}", s.do(s.patchGroup))
	s.mux.Handle("DELETE /scim/v2/Groups/{id}", s.do(s.deleteGroup))
	s.mux.Handle("GET /scim/v2/ServiceProviderConfig", s.do(providerConfig))
	s.mux.Handle("GET /scim/v2/ResourceTypes", s.do(resourceTypes))
	s.mux.Handle("GET /scim/v2/ResourceTypes/{id}", s.do(resourceType))
	s.mux.Handle("GET /scim/v2/Schemas", s.do(schemas))
	s.mux.Handle("GET /scim/v2/Schemas/{id}", s.do(schema))
	s.mux.Handle("/scim/v2/", s.do(func(r *http.Request) (*answer, error) {
		return nil, &Error{Status: http.StatusNotFound, Detail: "There is nothing at this path: /scim/v2/ has Users, Groups, ServiceProviderConfig, ResourceTypes and Schemas."}
	}))
}

// ServeHTTP lets in who has the token.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.mayCall(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sallyport"`)
		refuse(w, &Error{Status: http.StatusUnauthorized, Detail: "The bearer token is missing or wrong."})
		return
	}
	s.mux.ServeHTTP(w, r)
}

// mayCall compares the token's hash with all that are configured.
func (s *Server) mayCall(r *http.Request) bool {
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given, ok := HashToken(strings.TrimSpace(token)), 0
	for _, t := range s.c.Tokens {
		ok |= subtle.ConstantTimeCompare(given[:], t[:])
	}
	if ok == 1 && strings.EqualFold(kind, "Bearer") {
		return true
	}
	s.wrong.Add(1)
	now, told := s.c.Now().Unix(), s.told.Load()
	if now-told >= 60 && s.told.CompareAndSwap(told, now) && s.c.Bad != nil {
		s.c.Bad(s.wrong.Swap(0))
	}
	return false
}

// answer is a resource, a list, or nothing.
type answer struct {
	status   int
	body     map[string]any
	location string
	version  string
}

func (s *Server) do(f func(*http.Request) (*answer, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		a, err := f(r)
		if err != nil {
			s.fail(w, err)
			return
		}
		h := w.Header()
		if a.location != "" {
			h.Set("Location", a.location)
		}
		if a.version != "" {
			h.Set("ETag", a.version)
		}
		if a.version != "" && r.Method == http.MethodGet && r.Header.Get("If-None-Match") == a.version {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if a.body == nil {
			w.WriteHeader(a.status)
			return
		}
		h.Set("Content-Type", "application/scim+json")
		w.WriteHeader(a.status)
		_ = json.NewEncoder(w).Encode(a.body) // a client that left cannot be told
	})
}

// Error is how RFC 7644 (3.12) answers one.
type Error struct {
	Status int
	Type   string // scimType; empty: none
	Detail string
}

// Error is the sentence.
func (e *Error) Error() string { return e.Detail }

// The scimTypes that are used.
const (
	invalidFilter = "invalidFilter"
	invalidSyntax = "invalidSyntax"
	invalidPath   = "invalidPath"
	invalidValue  = "invalidValue"
	noTarget      = "noTarget"
	mutability    = "mutability"
	uniqueness    = "uniqueness"
)

func bad(kind, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: kind, Detail: fmt.Sprintf(format, args...)}
}

func taken(format string, args ...any) *Error {
	return &Error{Status: http.StatusConflict, Type: uniqueness, Detail: fmt.Sprintf(format, args...)}
}

func missing(what string) *Error {
	return &Error{Status: http.StatusNotFound, Detail: "There is no such " + what + "."}
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*Error](err)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		e, ok = &Error{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("The body is longer than %d bytes.", maxBody)}, true
	}
	if !ok {
		s.c.Log.Error("what the identity provider said could not be put on record: it was told to say it again", "why", err.Error())
		e = &Error{Status: http.StatusServiceUnavailable, Detail: "This could not be put on record, so nothing was changed. Try again."}
		w.Header().Set("Retry-After", "5")
	}
	refuse(w, e)
}

func refuse(w http.ResponseWriter, e *Error) {
	body := map[string]any{"schemas": []string{errorSchema}, "status": fmt.Sprint(e.Status), "detail": e.Detail}
	if e.Type != "" {
		body["scimType"] = e.Type
	}
	w.Header().Set("Content-Type", "application/scim+json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(body) // a client that left cannot be told
}

// object reads a JSON object of a request.
func object(r *http.Request) (map[string]any, error) {
	d := json.NewDecoder(r.Body)
	d.UseNumber()
	var o map[string]any
	err := d.Decode(&o)
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return nil, err
	}
	if err != nil || o == nil || d.More() {
		return nil, bad(invalidSyntax, "The body is no JSON object.")
	}
	return o, nil
}

// fresh holds a change to the version that If-Match names, if it names one.
func fresh(r *http.Request, version string) error {
	want := r.Header.Get("If-Match")
	if want == "" || want == "*" || want == version {
		return nil
	}
	return &Error{Status: http.StatusPreconditionFailed, Detail: "The resource has changed since: read it again."}
}

func etag(version uint64) string { return fmt.Sprintf(`W/"%d"`, version) }
