package serve

import (
	"context"
	"errors"
	"sync"

	"sallyport"
	"sallyport/keys"
)

// passing is where people bring shares at a controller: its own keys are opened by the first that are enough, those of its gateways by the next. A share goes to the
// gateways that are here at that moment, and nobody keeps it for others: whoever has a gateway's certificate has no keys by it, unless people bring them just then.
type passing struct {
	s     *Server
	mu    sync.Mutex // guards what follows
	round *keys.Assembly
	left  int // shares that are missing after the last one
}

var errNobodySealed = errors.New("there are enough, and no gateway is here that waits for one") //nolint:gochecknoglobals // a sentinel

// to is who takes the next share: this controller, or a round for its gateways.
func (p *passing) to() (to *keys.Assembly, gateways bool, err error) {
	own := p.s.shares
	if own.Missing() > 0 {
		return own.Assembly, false, nil
	}
	if p.s.Hub == nil {
		return nil, true, errNobodySealed
	}
	ctx, cancel := context.WithTimeout(context.Background(), censusWithin)
	defer cancel()
	if len(p.s.Hub.Sealed(ctx)) == 0 {
		return nil, true, errNobodySealed
	}
	if p.round == nil {
		p.round = keys.NewAssembly(own.Quorum())
	}
	return p.round, true, nil
}

// Check is api.Unsealer's.
func (p *passing) Check(by, share string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to, _, err := p.to()
	if err != nil {
		return "", err
	}
	return to.Check(by, share)
}

// Add is api.Unsealer's.
func (p *passing) Add(by, share string) (name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to, gateways, err := p.to()
	if err != nil {
		return "", err
	}
	if gateways {
		if name, err = to.Add(by, share); err == nil {
			p.s.Hub.Share(sallyport.Staff(by), share)
		}
	} else {
		name, err = p.s.shares.Add(by, share)
	}
	if p.left = to.Missing(); gateways && p.left == 0 {
		p.round = nil // the gateways have them; the next round is for who comes later
	}
	return name, err
}

// Missing is how many are to come after the last one that was taken.
func (p *passing) Missing() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}

// Need is api.Unsealer's.
func (p *passing) Need() int { return p.s.shares.Need() }

// takeShare takes a share of this gateway's keys that somebody brought to its controller, which has put it on record.
func (s *Server) takeShare(by sallyport.Staff, text string) {
	s.mu.Lock()
	u := s.shares
	s.mu.Unlock()
	if u == nil || u.Missing() == 0 {
		return
	}
	name, err := u.Add(string(by), text)
	if err != nil { // no error of Add quotes it
		s.log.Warn("a share of the keys is not taken", "by", string(by), "why", err.Error())
		return
	}
	s.log.Info("a share of the keys is in", "share", name, "by", string(by), "missing", u.Missing())
}
