package api

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/control"
)

// Act is what somebody wants to do to Sallyport itself, and how he proved who he is.
type Act struct {
	Who      sallyport.Staff
	Action   string // approve, investigate, administer
	Named    bool   // the configuration's rules name him for this very thing
	Strength string // of his log-in: password, oidc
	Proven   time.Time
	Factors  bool // Proven with more than a password
	Address  netip.Addr
}

// Ruling is what policies say to an act. The zero value denies.
type Ruling struct {
	Verdict  sallyport.Verdict // Reveal: he may; Wait: not before he has confirmed who he is, or a colleague agreed
	Second   bool              // it is a colleague who has to agree
	Suspends bool              // nor may he do anything else
	Policy   string            // that decided; empty: none did
	Because  string
	Document string
}

// caller is who calls, and how he proved it.
type caller struct {
	staff    sallyport.Staff
	strength string
	proven   time.Time
	factors  bool

	until      time.Time         // when what he logged in with ends; zero: with this call
	credential [sha256.Size]byte // digest of it; zero: it was none
	token      string            // id of the token of the api that he logged in with
	scopes     []string          // of it
}

// callerKey is where a request's context has its caller.
type callerKey struct{}

func withCaller(r *http.Request, c *caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// callerOf is who calls. Behind as there always is one.
func callerOf(r *http.Request) *caller {
	c, ok := r.Context().Value(callerKey{}).(*caller)
	if !ok {
		return &caller{}
	}
	return c
}

// audience is who may call an endpoint: whom policies let take one of these actions.
type audience string

// The audiences. Without policies leads and security may do all of it, as the default policies have it.
const (
	everybody      audience = ""
	approvers      audience = "approve"
	investigators  audience = "investigate"
	administrators audience = "administer"
	overseers      audience = "investigate approve administer"
)

// rule asks the policies about one action. A token approves nothing, whatever they say.
func (s *Server) rule(r *http.Request, c *caller, action string, named bool) Ruling {
	if c.token != "" && !slices.Contains(c.scopes, action) {
		return Ruling{}
	}
	if s.c.Rules == nil {
		if role := s.role(c.staff); named || role == "lead" || role == "security" {
			return Ruling{Verdict: sallyport.Reveal}
		}
		return Ruling{}
	}
	a := Act{Who: c.staff, Action: action, Named: named, Strength: c.strength, Proven: c.proven, Factors: c.factors}
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil { // else it is the socket of this machine
		a.Address = at.Addr().Unmap()
	}
	return s.c.Rules(a)
}

// allows tells whether the caller is of an audience, without a word if he is not.
func (s *Server) allows(r *http.Request, c *caller, who audience) bool {
	for action := range strings.FieldsSeq(string(who)) {
		if s.rule(r, c, action, false).Verdict == sallyport.Reveal {
			return true
		}
	}
	return who == everybody
}

// investigates tells whether whoever calls may read what concerns others.
func (s *Server) investigates(r *http.Request) bool { return s.allows(r, callerOf(r), investigators) }

// may refuses who is not of an audience, by the policy that says so; of several actions by the one that is nearest to being allowed.
func (s *Server) may(r *http.Request, c *caller, who audience) error {
	var refused Ruling
	var action string
	for a := range strings.FieldsSeq(string(who)) {
		ruling := s.rule(r, c, a, false)
		if ruling.Verdict == sallyport.Reveal {
			return nil
		}
		if action == "" || ruling.Verdict > refused.Verdict {
			action, refused = a, ruling
		}
	}
	if action == "" {
		return nil
	}
	return s.refuse(r, c, action, refused)
}

// refuse puts on record that policies did not let somebody do something, and says which and what would help.
func (s *Server) refuse(r *http.Request, c *caller, action string, ruling Ruling) error {
	if s.c.Rules == nil {
		return &Problem{http.StatusForbidden, "not_your_role", "Your role may not do this.", "Ask a lead or security."}
	}
	e := s.event(sallyport.OrderRefused, c.staff, &sallyport.Order{Action: action, By: c.staff, Details: r.Method + " " + r.URL.Path})
	e.Decision = &sallyport.Decision{Action: action, Policy: ruling.Policy}
	if err := s.c.Orders.Give(nil, e); err != nil {
		return err
	}
	because := upper(ruling.Because) + " (policy " + ruling.Policy
	if ruling.Document != "" {
		because += ", " + ruling.Document
	}
	because += ")."
	explain := "sallyport policy explain " + string(c.staff) + " --action " + action + " says what would have to be different."
	switch {
	case ruling.Suspends:
		e := s.event(sallyport.Suspended, c.staff, &sallyport.Order{Action: "suspend", About: c.staff, Reason: ruling.Because})
		if err := s.c.Orders.Give(nil, e); err != nil {
			return err
		}
		return &Problem{http.StatusForbidden, "locked", because, "Somebody else proposes the unlock: sallyport unlock " + string(c.staff)}
	case ruling.Verdict == sallyport.Wait && ruling.Second:
		id, err := s.second(c.staff, action+": "+r.Method+" "+r.URL.Path)
		if err != nil {
			return err
		}
		return &Problem{http.StatusForbidden, "second_person", because, "Ask a lead or security for: sallyport approve " + id + "; then try again."}
	case ruling.Verdict == sallyport.Wait && s.c.LogIns != nil:
		return &Problem{http.StatusForbidden, "confirm_first", because, "Run 'sallyport confirm', then try again."}
	case ruling.Verdict == sallyport.Wait:
		return &Problem{http.StatusForbidden, "confirm_first", because, "Run 'sallyport confirm --as " + string(c.staff) + "', then try again."}
	case ruling.Policy == "":
		return &Problem{http.StatusForbidden, "not_your_role", "Your role may not do this: no policy lets you " + action + ".", "Ask a lead or security. " + explain}
	}
	return &Problem{http.StatusForbidden, "forbidden", because, explain}
}

// second asks a colleague to agree to what somebody does, once for the same.
func (s *Server) second(me sallyport.Staff, what string) (id string, err error) {
	s.state.Advance(s.c.Now())
	for _, p := range s.state.Proposals() {
		if p.Action == control.Second && p.By == me && p.Details == what && p.Status == control.Open {
			return p.ID, nil
		}
	}
	answer, err := s.propose(me, sallyport.Order{Action: control.Second, Reason: "policies ask for a second person", Details: what}, func() error { return nil })
	if err != nil {
		return "", err
	}
	proposed, _ := answer.(map[string]string)
	return proposed["proposal"], nil
}

// mayDecide refuses who may not decide about proposals. To agree to what a colleague does takes no second person of one's own, nor a confirmation that
// would again wait for one.
func (s *Server) mayDecide(r *http.Request) error {
	c := callerOf(r)
	ruling := s.rule(r, c, string(approvers), false)
	p, ok := s.proposal(r.PathValue("id"))
	if ruling.Verdict == sallyport.Reveal || ruling.Verdict == sallyport.Wait && ruling.Second && ok && p.Action == control.Second {
		return nil
	}
	return s.refuse(r, c, string(approvers), ruling)
}

// mayVote refuses whom policies do not let approve or decline requests, though a rule of grants names him.
func (s *Server) mayVote(r *http.Request, vote *sallyport.GrantVote) error {
	if len(vote.Groups) == 0 {
		return nil // the rule says that he has no say
	}
	c := callerOf(r)
	if ruling := s.rule(r, c, string(approvers), true); ruling.Verdict != sallyport.Reveal {
		return s.refuse(r, c, string(approvers), ruling)
	}
	return nil
}

// upper is a sentence with a capital letter.
func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
