package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/gateway"
	"sallyport/protect"
)

// A controller rotates keys while gateways serve. They get the ring with the next key first, and begin anew with it: from then on they find tokens of both keys and still
// make those of the older one. When all work by it the controller falls silent, until no gateway writes any more and nobody has tokens in an open transaction; then it puts
// on record that the newer key is used. Who comes back knows that before he is heard. Rows are renewed by the controller, beside the gateways.

// there are the gateways as those who work by a controller's keys.
type there struct{ g *guard }

// awaitEvery is how often gateways are asked while they begin anew, and awaitThere how long.
const (
	awaitEvery = 100 * time.Millisecond
	awaitThere = 3 * time.Second
)

// Await is turned's. It waits longer than sessions are waited for: gateways begin anew meanwhile.
func (t there) Await(ctx context.Context) []string {
	if len(t.g.early) == 0 {
		return nil // the newest key is used already: with a ring of before gateways find and make nothing else
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), awaitThere)
	defer cancel()
	ticker := time.NewTicker(awaitEvery)
	defer ticker.Stop()
	for {
		waiting := t.others(ctx)
		if len(waiting) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return waiting
		case <-ticker.C:
		}
	}
}

// others are the gateways that do not work by this controller's ring, or cannot say. Those that are away will have it before they are heard again.
func (t there) others(ctx context.Context) (names []string) {
	own, err := keysOf(t.g)
	if err != nil {
		return []string{"this controller"}
	}
	asking, cancel := context.WithTimeout(ctx, censusWithin)
	defer cancel()
	answers, _ := t.g.s.Hub.Census(asking)
	for _, name := range t.g.s.Hub.Here() {
		if a := answers[name]; a == nil || !bytes.Equal(a.Keys, own) {
			names = append(names, name)
		}
	}
	return names
}

// Cross is turned's: it was seen to when the newer key was put on record.
func (there) Cross(_ context.Context, do func() error) ([]string, error) { return nil, do() }

// keysOf is the digest of what the record says of a ring that is open. The rotations' mutex guards it.
func keysOf(g *guard) ([]byte, error) {
	known, err := g.keyring.Known()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(known)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

// worksBy is keysOf the ring by which clients are served; nil: none is open. The caller holds mu.
func (s *Server) worksBy() []byte {
	g, turns := s.guard, s.turns
	if g == nil || g.keyring == nil || turns == nil {
		return nil
	}
	turns.mu.Lock()
	defer turns.mu.Unlock()
	digest, err := keysOf(g)
	if err != nil {
		return nil
	}
	return digest
}

// rotatedThere puts on record that a newer key is used, in a moment in which no gateway makes tokens and no transaction holds any of before. A transaction that stays open
// is told of before anybody has to wait for it.
func (r *rotations) rotatedThere(ctx context.Context, e *sallyport.Event) error {
	conn, err := r.g.renewing(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	tables := r.g.tablesNamed(e.Order.Details)
	before, err := protect.Writers(ctx, conn, tables)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(awaitEvery)
	defer ticker.Stop()
	for end := time.Now().Add(crossTimeout); ; {
		writers, err := protect.Writers(ctx, conn, tables)
		if err != nil {
			return err
		}
		still := slices.DeleteFunc(writers, func(w protect.Writer) bool {
			return !slices.ContainsFunc(before, func(b protect.Writer) bool { return b.ID == w.ID })
		})
		if len(still) == 0 {
			break
		}
		if time.Now().After(end) {
			return errWriters(still)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return r.g.s.Hub.Hush(ctx, func() error {
		writers, err := protect.Writers(ctx, conn, tables)
		if err != nil {
			return err
		}
		if len(writers) > 0 {
			return errWriters(writers)
		}
		return r.g.s.orders.Give(nil, e)
	})
}

func errWriters(writers []protect.Writer) error {
	var who []string
	for _, w := range writers {
		who = append(who, w.Who)
	}
	return fmt.Errorf("transactions that may hold tokens of the older key have not ended: %s", strings.Join(who, ", "))
}

// endSilent ends whoever has tokens in an open transaction while the controller is not heard: when it falls silent to exchange a key nobody may commit any of before.
func (l *link) endSilent(ctx context.Context, gw *gateway.Gateway) {
	ticker := time.NewTicker(awaitEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if !l.Heard() {
				gw.EndStoring()
			}
		}
	}
}

// mayRotateThere says why a controller cannot rotate a group: which of two keys the token of an integer or uuid is of only the serve knows that turns it.
func (s *Server) mayRotateThere(group string) error {
	if s.Hub == nil {
		return nil
	}
	for _, c := range s.O.Config.GroupColumns(group) {
		if catalog.Formless(s.O.Config.Protect.Columns[c.String()].Scheme) {
			return fmt.Errorf("%s has tokens without a form: its keys are rotated by a serve that is alone: stop the gateways and the controller, and run serve --role alone on the controller's data folder", c)
		}
	}
	if len(s.Hub.Here()) == 0 {
		return errors.New("no gateway is here: begin when they are, so that one that cannot take the keys is seen")
	}
	return nil
}

// rotatesAny tells whether any group has two keys.
func (g *guard) rotatesAny() bool {
	turning := g.turning.Load()
	return turning != nil && len(*turning) > 0
}
