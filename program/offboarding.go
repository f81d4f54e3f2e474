package program

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"sallyport"
)

// Ways are the kinds of access that end when somebody goes.
const (
	WayRole    = "role"
	WaySession = "session"
	WayGrant   = "grant"
	WayToken   = "token" // a log-in for commands or at the database
	WayKey     = "key"   // a password, a certificate, a share of keys, a power: what stands in files
)

// Held is something of somebody's that stands in the configuration and not in the record: its end there is somebody's work.
type Held struct {
	Staff sallyport.Staff
	Way   string
	What  string
	Do    string // what is to be done about it
}

// Ending is one access of one person and what shows that it has ended.
type Ending struct {
	Staff  sallyport.Staff `json:"staff"`
	Way    string          `json:"way"`
	What   string          `json:"what"`
	Ended  bool            `json:"ended"`
	At     time.Time       `json:"at,omitzero"`
	Stream string          `json:"stream,omitempty"` // in which the proof stands
	Entry  uint64          `json:"entry,omitempty"`
	Note   string          `json:"note,omitempty"`
}

// Offboarding folds both streams into what people could do, and what ended it.
type Offboarding struct {
	of map[sallyport.Staff]*leaving
}

// leaving is one person's.
type leaving struct {
	locked   *mark // since when he is locked; nil: he is not
	opened   map[string]mark
	sessions int
	last     mark // end of the last session
	grants   map[string]*ofGrant
	granted  []string
	tokens   []token
	password *mark
	after    int // entries of his after he was locked
	access   uint64
}

// mark is an entry.
type mark struct {
	at    time.Time
	entry uint64
	note  string
}

type ofGrant struct {
	active bool
	until  time.Time
	mins   int
	ended  *mark
}

type token struct {
	digest string
	until  time.Time
	ended  *mark
}

// NewOffboarding is about these people.
func NewOffboarding(people []sallyport.Staff) *Offboarding {
	o := &Offboarding{map[sallyport.Staff]*leaving{}}
	for _, who := range people {
		o.of[who] = &leaving{opened: map[string]mark{}, grants: map[string]*ofGrant{}}
	}
	return o
}

// Control takes an entry of the control stream. All of them MUST come before those of the access stream.
func (o *Offboarding) Control(e *sallyport.Event) {
	x := e.Order
	if x == nil {
		return
	}
	at := mark{e.Time, e.Seq, x.Reason}
	p := o.of[x.About]
	switch e.Kind {
	case sallyport.Locked:
		if p != nil && p.locked == nil {
			p.lock(at)
		}
	case sallyport.CredentialMade:
		if p != nil && x.Credential != nil && x.By == x.About {
			p.tokens = append(p.tokens, token{digest: string(x.Credential.Digest), until: x.Credential.Until})
		}
	case sallyport.CredentialEnded:
		for i := 0; p != nil && x.Credential != nil && i < len(p.tokens); i++ {
			if t := &p.tokens[i]; t.ended == nil && t.digest == string(x.Credential.Digest) {
				t.ended = &at
			}
		}
	case sallyport.PasswordSet:
		if p != nil {
			p.password = &at
		}
	case sallyport.Approved:
		if p != nil && x.Action == "unlock" {
			p.locked = nil
		}
		o.grantBegins(x.ID, e)
	case sallyport.Requested, sallyport.GlassBroken:
		if x.Grant == nil || o.of[x.Grant.For] == nil {
			return
		}
		p := o.of[x.Grant.For]
		g := &ofGrant{mins: x.Grant.Minutes, until: e.Time.Add(time.Duration(x.Grant.Minutes) * time.Minute), active: e.Kind == sallyport.GlassBroken}
		p.grants[x.ID], p.granted = g, append(p.granted, x.ID)
	case sallyport.GrantEnded:
		for _, p := range o.of {
			if g := p.grants[x.ID]; g != nil && g.ended == nil {
				g.ended = &at
			}
		}
	default:
	}
}

func (o *Offboarding) grantBegins(id string, e *sallyport.Event) {
	for _, p := range o.of {
		if g := p.grants[id]; g != nil {
			g.active, g.until = true, e.Time.Add(time.Duration(g.mins)*time.Minute)
		}
	}
}

// lock ends what a lock ends.
func (p *leaving) lock(at mark) {
	p.locked = &at
	for i := range p.tokens {
		if p.tokens[i].ended == nil {
			p.tokens[i].ended = &at
		}
	}
}

// Access takes an entry of the access stream.
func (o *Offboarding) Access(e *sallyport.Event) {
	if e.Kind == sallyport.GatewayStarted { // whoever had a session before has none now
		for _, p := range o.of {
			for id := range p.opened {
				delete(p.opened, id)
				p.last = mark{e.Time, e.Seq, "the gateway had ended"}
			}
		}
		return
	}
	p := o.of[e.Who.Staff]
	if p == nil {
		return
	}
	switch e.Kind {
	case sallyport.SessionStart:
		p.sessions++
		p.opened[e.Who.Session] = mark{e.Time, e.Seq, ""}
	case sallyport.SessionEnd:
		delete(p.opened, e.Who.Session)
		p.last = mark{e.Time, e.Seq, ""}
	default:
		if p.locked != nil && e.Time.After(p.locked.at) && e.Reveal != nil {
			p.after++
			p.access = e.Seq
		}
	}
}

// Endings are all accesses of all of them, as of a moment. held stands in files beside the record; locked tells who is locked as all of the record has it.
func (o *Offboarding) Endings(held []Held, locked func(sallyport.Staff) bool, now time.Time) (out []Ending) {
	for _, who := range slices.Sorted(maps.Keys(o.of)) {
		p := *o.of[who]
		if !locked(who) {
			p.locked = nil
		}
		add := func(way, what string, ended bool, stream string, by mark) {
			out = append(out, Ending{Staff: who, Way: way, What: what, Ended: ended, At: by.at, Stream: stream, Entry: by.entry, Note: by.note})
		}
		if p.locked == nil {
			add(WayRole, "what his role lets him", false, "", mark{note: "he is not locked: sallyport lock"})
		} else {
			add(WayRole, "what his role lets him", true, "control", *p.locked)
		}
		p.endSessions(add)
		p.endGrants(now, add)
		p.endTokens(now, add)
		if p.password != nil {
			p.refused(add, WayKey, "the password that he set", "sallyport refuses it while he is locked")
		}
		for _, h := range held {
			if h.Staff == who {
				p.refused(add, h.Way, h.What, h.Do)
			}
		}
	}
	return out
}

// refused is what is still there and of no use to him since he is locked.
func (p *leaving) refused(add func(way, what string, ended bool, stream string, by mark), way, what, do string) {
	if p.locked == nil {
		add(way, what, false, "", mark{note: do})
		return
	}
	add(way, what, true, "control", mark{p.locked.at, p.locked.entry, "refused since he is locked; " + do})
}

func (p *leaving) endSessions(add func(way, what string, ended bool, stream string, by mark)) {
	for _, id := range slices.Sorted(maps.Keys(p.opened)) {
		add(WaySession, "session "+id, false, "access", mark{p.opened[id].at, p.opened[id].entry, "it began there, and no entry says that it has ended"})
	}
	if p.after > 0 {
		add(WaySession, fmt.Sprintf("%d results after he was locked", p.after), false, "access", mark{entry: p.access, note: "the last of them"})
	}
	if p.sessions > 0 && len(p.opened) == 0 {
		add(WaySession, fmt.Sprintf("all %d sessions", p.sessions), true, "access", p.last)
	}
	if p.sessions == 0 {
		add(WaySession, "sessions", true, "", mark{note: "the record has none"})
	}
}

func (p *leaving) endGrants(now time.Time, add func(way, what string, ended bool, stream string, by mark)) {
	for _, id := range p.granted {
		switch g := p.grants[id]; {
		case g.ended != nil:
			add(WayGrant, id, true, "control", *g.ended)
		case !g.active:
			add(WayGrant, id, true, "", mark{note: "it was never approved"})
		case !now.Before(g.until):
			add(WayGrant, id, true, "", mark{at: g.until, note: "its time is over"})
		case p.locked != nil:
			add(WayGrant, id, false, "", mark{at: g.until, note: "refused since he is locked, and it holds until then: sallyport grants end " + id})
		default:
			add(WayGrant, id, false, "", mark{at: g.until, note: "it holds until then: sallyport grants end " + id})
		}
	}
}

func (p *leaving) endTokens(now time.Time, add func(way, what string, ended bool, stream string, by mark)) {
	open, last := 0, mark{}
	for _, t := range p.tokens {
		switch {
		case t.ended != nil:
			last = *t.ended
		case now.Before(t.until):
			open++
		}
	}
	switch n := len(p.tokens); {
	case open > 0:
		add(WayToken, fmt.Sprintf("%d of %d log-ins", open, n), false, "", mark{note: "they hold still: sallyport lock ends them"})
	case n > 0 && last.entry > 0:
		add(WayToken, fmt.Sprintf("all %d log-ins", n), true, "control", last)
	case n > 0:
		add(WayToken, fmt.Sprintf("all %d log-ins", n), true, "", mark{note: "their time is over"})
	default:
		add(WayToken, "log-ins", true, "", mark{note: "the record has none"})
	}
}
