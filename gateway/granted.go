package gateway

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"sallyport"
	"sallyport/catalog"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/policy"
	"sallyport/purpose"
)

// heldGrant is a grant by which a statement may see values.
type heldGrant struct {
	policy.Grant
	asked bool           // for, and approved: its purpose names it. Else it is of the configuration, and holds whatever the purpose
	only  *purpose.Cover // nil: whosever the values are
}

// decided is which grant allows a column, so that it is asked once a statement and not for each row.
type decided struct {
	column    *catalog.Protected
	grant     *heldGrant      // nil: none does
	customers *exposure.Grant // what the grant has shown so far
	kinship   kinship         // its memory of the first value under a customer
	home      home            // in it: the column
}

// grant is the active grant by which a stored value of a column may be seen, or nil. Those for certain customers go before others.
func (v *sight) grant(g *Gateway, c *catalog.Protected, key []byte, row *customer, many bool) *decided {
	if len(v.grants) == 0 {
		return nil
	}
	known := false
	for _, d := range v.decided {
		if d.column == c {
			known = true
			if d.sees(key, row, many) {
				return d
			}
		}
	}
	if known {
		return nil
	}
	v.decide(g, c)
	return v.grant(g, c, key, row, many)
}

// decide finds the grants that allow a column.
func (v *sight) decide(g *Gateway, c *catalog.Protected) {
	var list []*heldGrant
	for _, h := range v.grants {
		if h.Allows(c.Column) && v.ruling(nil, h, c.Column).Verdict == sallyport.Reveal {
			list = append(list, h)
		}
	}
	// The one that lasts longest goes first, then the smaller id: the same grants in another order give the same answer.
	slices.SortFunc(list, func(a, b *heldGrant) int {
		return cmp.Or(boolFirst(a.only != nil, b.only != nil), b.Until.Compare(a.Until), strings.Compare(a.ID, b.ID))
	})
	if len(list) == 0 {
		v.decided = append(v.decided, &decided{column: c})
	}
	for _, h := range list {
		v.decided = append(v.decided, &decided{column: c, grant: h, customers: g.granted.Of(h.ID), kinship: g.kin.grant(h.ID), home: g.kin.granted(c.Column)})
	}
}

func boolFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// sees tells whether a stored value may be seen under the grant. many: of values that many people have, the row says whose it is.
func (d *decided) sees(key []byte, row *customer, many bool) bool {
	switch {
	case d.grant == nil:
		return false
	case d.grant.only == nil:
		return true
	}
	value, ok := d.grant.only.Values[string(key)]
	return ok && value.Column == d.column.Column && (!many || !row.known() || slices.Contains(d.grant.only.Subjects, row.subject()))
}

// whose is the customer of a value that is seen under the grant: of one for certain customers the database's own rows say it, not the result.
func (d *decided) whose(key []byte, row *customer) customer {
	if d.grant.only == nil {
		return *row
	}
	return customerOf(d.grant.only.Values[string(key)].Subject)
}

// countAlone has a value that a grant for so many customers shows count by itself where the database does not have it in a row of the customer
// beside whose key it stands: a query puts any key beside any value. A second e-mail, phone or name counts as another customer anyway; of what a
// customer has many of, texts and numbers, the database's own rows say whose it is. Grants of the configuration are for programs, and not asked.
func (s *session) countAlone(r *run, v *shown, key []byte) {
	if g := v.under.grant; !g.asked || g.only != nil || !v.customer.known() {
		return
	}
	switch v.of.Scheme {
	case sallyport.Email, sallyport.Phone, sallyport.Name:
		return
	case sallyport.Text, sallyport.Number, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz, sallyport.Int4, sallyport.Int8, sallyport.UUID:
	}
	if !s.gw.Protection.Resolver.HoldsOf(context.Background(), r.sight.as.person, v.customer.subject(), string(key)) {
		v.customer = customer{}
	}
}

// namesGrant tells whether a purpose is a grant that was asked for.
func namesGrant(p sallyport.Purpose) bool { return p.Kind == policy.ByGrant && control.IsGrant(p.Ref) }

// recheckGrant reads anew whose values a grant for certain customers shows. Whether it still holds is seen to elsewhere, for each row.
func (v *sight) recheckGrant(ctx context.Context, s *session, p sallyport.Purpose) (changed bool) {
	for _, h := range v.named {
		if h.ID != p.Ref || h.only == nil {
			continue
		}
		only, err := s.gw.Protection.Resolver.Resolve(ctx, s.placed(v.as), p)
		if err != nil {
			s.gw.Log.Warn("the purpose cannot be checked", "reason", plainReason(err))
			only = &purpose.Cover{Refused: "the purpose cannot be checked now"}
		}
		if only != h.only {
			h.only, changed = only, true
		}
	}
	return changed
}

// reason finds out what one purpose covers, of a grant too; held is the grant that it names, where it holds.
func (s *session) reason(ctx context.Context, who purpose.Person, p sallyport.Purpose) (*purpose.Cover, *heldGrant, error) {
	if !namesGrant(p) {
		cover, err := s.gw.Protection.Resolver.Resolve(ctx, who, p)
		return cover, nil, err
	}
	g, sentence := s.granted(p.Ref, who.Staff)
	if sentence != "" {
		return &purpose.Cover{Purpose: p, Refused: sentence, Help: "What you asked for, and how it stands: sallyport grants ls"}, nil, nil
	}
	h := &heldGrant{Grant: g.asPolicy(), asked: true}
	if t := &g.Terms; len(t.Only) > 0 || t.Team != "" {
		only, err := s.gw.Protection.Resolver.Resolve(ctx, who, p)
		if err != nil {
			return nil, nil, err
		}
		if only.Refused != "" {
			return &purpose.Cover{Purpose: p, Refused: only.Refused}, nil, nil
		}
		h.only = only
	}
	return &purpose.Cover{Purpose: p}, h, nil
}

// asked is a grant of the control stream.
type asked struct{ control.Grant }

func (g *asked) asPolicy() policy.Grant {
	out := policy.Grant{ID: g.ID, For: g.Terms.For, Columns: g.Terms.Columns, Customers: g.Terms.Customers, Until: g.Until}
	for _, v := range g.Votes {
		out.ApprovedBy = append(out.ApprovedBy, v.By)
	}
	return out
}

// granted is a grant that somebody may use right now, or why he may not.
func (s *session) granted(id string, who sallyport.Staff) (*asked, string) {
	g, ok := s.gw.Standing.Grant(id)
	switch {
	case !ok || g.Terms.For != who:
		return nil, "you have no grant of this name"
	case g.Status == control.GrantAsked:
		return nil, "nobody has agreed to " + id + " yet"
	case g.Status != control.GrantActive || !s.gw.Clock().Before(g.Until):
		return nil, "the grant " + id + " is over"
	}
	return &asked{g}, ""
}

// grants are those that hold right now: of the configuration, and those that the purposes name.
func (s *session) grants(as *acting, named []*heldGrant) []*heldGrant {
	var list []*heldGrant
	for _, g := range policy.ActiveGrants(s.gw.Protection.Grants, s.gw.Clock(), as.person.Staff) {
		list = append(list, &heldGrant{Grant: g})
	}
	for _, h := range named {
		if _, sentence := s.granted(h.ID, as.person.Staff); sentence == "" {
			list = append(list, h)
		}
	}
	return list
}

// The windows of a limit that is a grant's.
const (
	grantWindow = "grant"
	overWindow  = "grant's time"
)

// over says that a grant's time is over, which a result may notice in its middle.
func (d *decided) over(s *session) *sallyport.Limit {
	if !d.grant.asked {
		return nil
	}
	if now := s.clock(); now.Before(d.grant.Until) {
		return nil
	}
	return &sallyport.Limit{Measure: string(exposure.Revealed), Window: overWindow, Budget: d.grant.Customers, Count: d.customers.Count()}
}

// usedUp acts on the end of a grant that was asked for: by its budget or by its time. Nobody is suspended for it. A read is cut; a statement
// that writes runs to its end with the remaining values left as tokens.
func (s *session) usedUp(r *run, limit *sallyport.Limit, id string) (stop bool) {
	r.limit, r.overGrant = limit, true
	s.gw.Log.Info("a grant ended in the middle of a result", "grant", id)
	if r.stmt != nil && r.stmt.Writes {
		if !r.spent {
			r.spent = true
			s.grantOver(r, limit, id)
		}
		return false
	}
	_ = s.record() // what keeps it from being written has ended the session, or the client has gone
	sentence, _ := limitSentence(limit)
	s.end(fatal(codeBudget, sentence, hintGrant))
	s.grantOver(r, limit, id)
	return true
}

// grantOver puts on record that a grant was used up, and why.
func (s *session) grantOver(r *run, limit *sallyport.Limit, id string) {
	s.noteLimit(&sallyport.Event{Kind: sallyport.BudgetReached, Time: s.gw.Clock(), Who: s.whose(r).who, Limit: limit})
	if s.gw.Protection.GrantOver == nil {
		return
	}
	if err := s.gw.Protection.GrantOver(id, limit); err != nil {
		s.gw.Log.Error("the end of a grant cannot be recorded; it is over all the same", "grant", id)
	}
}

// EndGrant cuts the results that are under way under a grant, also those that a client does not read.
func (g *Gateway) EndGrant(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.sessions {
		if under := s.granting.Load(); under != nil && *under == id {
			s.end(fatal(codeBudget, "the grant "+id+" is over", hintGrant))
		}
	}
}

const hintGrant = "Ask for another one: sallyport request --help."

// GrantCount is how many distinct customers were seen under a grant.
func (g *Gateway) GrantCount(id string) int { return g.granted.Of(id).Count() }
