package gateway

import "sallyport"

// known is what policies were told of a statement and the rest of its entry does not say: a replay under other policies asks by it.
func (v *sight) known(s *session) *sallyport.Known {
	if !s.protected {
		return nil
	}
	k := &sallyport.Known{Strength: string(s.strength), Proof: max(v.asking.Context.MFAMinutes, -1) + 1}
	for _, c := range v.covers {
		k.Reasons = append(k.Reasons, sallyport.Know(&c.Reason))
	}
	return k
}
