package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"sallyport"
	"sallyport/exposure"
)

// Budgets that several share: of a team, a service, an application, a device, a country, a kind of purpose. What is revealed to somebody is
// charged to each that is configured. Who reaches one is cut like anybody, and nobody is suspended for it: it was not his alone.

// share is one such budget.
type share struct {
	scope  exposure.Scope
	name   string
	budget exposure.Budget
}

// others is the one name of applications that the configuration does not name: each could call itself something new.
const others = "others"

// sharesOf are the shared budgets to which something revealed to somebody, for reasons of some kinds, is charged.
func (g *Gateway) sharesOf(who *sallyport.Who, purposes []sallyport.Purpose) (out []share) {
	if g.Protection == nil || g.Protection.Shared == nil {
		return nil
	}
	add := func(scope exposure.Scope, name string) bool {
		budget, ok := g.Protection.Shared(scope, name)
		if ok {
			out = append(out, share{scope, name, budget})
		}
		return ok
	}
	if who.Team != "" {
		add(exposure.Team, who.Team)
	}
	if who.Via != "" {
		add(exposure.Service, string(who.Via))
	} else {
		add(exposure.Service, string(who.Staff)) // where it is one
	}
	if !add(exposure.Application, known(who.Application)) {
		add(exposure.Application, others)
	}
	add(exposure.Device, known(who.Device))
	add(exposure.Country, known(who.Country))
	var kinds []string
	for _, p := range purposes {
		if !slices.Contains(kinds, p.Kind) && len(kinds) < mostKinds {
			kinds = append(kinds, p.Kind)
			add(exposure.Purpose, p.Kind)
		}
	}
	if len(kinds) == 0 {
		add(exposure.Purpose, exposure.Unknown)
	}
	return out
}

// mostKinds bounds the kinds of purposes to which one row is charged: there are not as many.
const mostKinds = 8

func known(name string) string {
	if name == "" {
		return exposure.Unknown
	}
	return name
}

// of names the budget in the limit that it set.
func (h *share) of(l *sallyport.Limit) *sallyport.Limit {
	l.Scope, l.Name = string(h.scope), h.name
	return l
}

// restoreShares counts what was revealed before in the budgets that are shared.
func (g *Gateway) restoreShares(now time.Time, e *sallyport.Event, key exposure.Key) {
	for _, h := range g.sharesOf(&e.Who, e.Reveal.Purposes) {
		g.Book.Shared(h.scope, h.name).Restore(now, e.Time, key)
	}
}

// used is how much of his own budget somebody has used, and of the fullest of those that he shares, in percent.
func (g *Gateway) used(as *acting, purposes []sallyport.Purpose) (own, shared int) {
	now := g.Clock()
	charges, _ := g.charges(nil, nil, as, exposure.Revealed)
	var common []exposure.Charge
	for _, h := range g.sharesOf(&as.who, purposes) {
		common = append(common, g.Book.Shared(h.scope, h.name).Shared(h.budget))
	}
	if g.Shares != nil {
		return g.borrowed(charges), g.borrowed(common)
	}
	for i := range charges {
		charges[i].Look(now)
		own = max(own, charges[i].Used())
	}
	for i := range common {
		common[i].Look(now)
		shared = max(shared, common[i].Used())
	}
	return own, shared
}

// device is what the client's certificate says of where he sits: the first name in it or, without one, its key. Empty: unknown.
func (s *session) device() string {
	if s.front == nil || s.front.secure == nil {
		return ""
	}
	chains := s.front.secure.ConnectionState().VerifiedChains
	if len(chains) == 0 || len(chains[0]) == 0 {
		return ""
	}
	shown := chains[0][0]
	if len(shown.DNSNames) > 0 {
		return shown.DNSNames[0]
	}
	sum := sha256.Sum256(shown.RawSubjectPublicKeyInfo)
	return "key:" + hex.EncodeToString(sum[:8])
}

// country is where the client connects from. Empty: unknown.
func (s *session) country() string {
	at, err := netip.ParseAddrPort(s.who.Address)
	if err != nil || s.gw.Protection == nil || s.gw.Protection.Country == nil {
		return ""
	}
	return s.gw.Protection.Country(at.Addr().Unmap())
}
