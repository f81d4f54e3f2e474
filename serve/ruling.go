package serve

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/policy"
	"sallyport/rulebook"
)

// openPolicies reads the policies that hold, for the gateway and for orders. Where they cannot be read nothing is served by them; orders are then heard
// by the program's own, so that somebody can propose better ones (--only-orders).
func (s *Server) openPolicies() {
	config := s.O.Config
	set, warnings, err := rulebook.Load(config, config.PolicyFolder())
	for _, w := range warnings {
		s.log.Warn("policies", "place", w.Place(), "problem", rulebook.Problem(w))
	}
	if err != nil {
		s.unruly = err
		s.log.Error("the policies cannot be read: orders are heard by the program's own", "why", err.Error())
		if set, _, err = rulebook.LoadTexts(config, policy.Defaults(config.Demonstration)); err != nil {
			s.log.Error("the program's own policies do not fit this configuration: nothing is permitted", "why", err.Error())
		}
	}
	s.policies = &livePolicies{p: s.staffing, base: (&heldPolicies{s: s, hash: s.held, set: set}).current}
}

// rules is how orders are held to policies; nil where nothing is configured.
func (s *Server) rules() func(api.Act) api.Ruling {
	s.openPolicies()
	if s.O.Config.File == "" {
		return nil
	}
	return s.ruleOn
}

// ruleOn asks the policies about something that somebody wants to do to Sallyport itself.
func (s *Server) ruleOn(a api.Act) api.Ruling {
	c := s.moment(a.Who)
	c.Strength, c.Named, c.Address = policy.Strength(a.Strength), a.Named, a.Address
	if a.Factors && !a.Proven.IsZero() {
		if own := since(s.O.Clock(), a.Proven); c.MFAMinutes < 0 || own < c.MFAMinutes {
			c.MFAMinutes = own
		}
	}
	r := s.policies.current().Decide(policy.Ask{Who: a.Who, Action: a.Action, Context: c})
	out := api.Ruling{
		Verdict: r.Verdict, Second: r.Respond == policy.SecondPerson, Suspends: r.Respond == policy.Suspend, Because: r.Because, Document: r.Document,
	}
	if len(r.Policies) > 0 {
		out.Policy = r.Policy()
	}
	return out
}

// shutsOut refuses files under whose policies nobody could approve others any more: one person who may propose them, and another who may approve.
func (s *Server) shutsOut(c *config.Config, set *policy.Set) error {
	able := func(action string) (list []sallyport.Staff) {
		for _, who := range set.Could(action) {
			p, configured := c.People[string(who)]
			if st := s.State.Standing(who); st.Locked || st.Suspended || st.Left || !configured && c.LogIn.Issuer == "" || configured && !c.MayOrder(s.State, string(who), p) {
				continue
			}
			list = append(list, who)
		}
		return list
	}
	propose, approve := able(policy.ActionAdminister), able(policy.ActionApprove)
	switch {
	case len(propose) == 0:
		return errors.New("nobody who can log in could change anything any more: no policy ever lets anybody administer")
	case len(approve) == 0:
		return errors.New("nobody who can log in could approve anything any more: no policy ever lets anybody approve")
	case len(propose) == 1 && len(approve) == 1 && propose[0] == approve[0]:
		return fmt.Errorf("nothing could be changed any more: %s alone could propose and approve, and nobody approves what he proposed himself", propose[0])
	}
	return nil
}

// endLogIn ends the sessions that a credential let in.
func (s *Server) endLogIn(credential [sha256.Size]byte) int {
	s.mu.Lock()
	gw := s.gateway
	s.mu.Unlock()
	if gw == nil {
		return 0
	}
	return gw.EndLogIn(credential)
}
