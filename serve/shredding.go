package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/catalog"
	"sallyport/control"
	"sallyport/gateway"
	"sallyport/protect"
	"sallyport/purpose"
)

const (
	// mostListed bounds the digests of one entry of the record.
	mostListed = 4096
	// mostShreds is how often a customer is looked at in a row: what somebody writes in between is shredded, too.
	mostShreds = 8
	// customersAtOnce bounds one look at the start.
	customersAtOnce = 500
)

// vet takes out of a cover what must not be revealed: first of those who were shredded, so that nothing of theirs is tied to anybody.
func (g *guard) vet(ties *gateway.Ties) func(purpose.Person, *purpose.Cover) error {
	return func(who purpose.Person, cover *purpose.Cover) error {
		gateway.VetShredded(g.s.State, g.ring, cover)
		return ties.Vet(who, cover)
	}
}

// tendShreds carries out what two people agreed on until ctx ends.
func (r *rotations) tendShreds(ctx context.Context) {
	if r.g.keyring == nil {
		return
	}
	ticker := time.NewTicker(rotationPause)
	defer ticker.Stop()
	for {
		for _, p := range r.g.s.State.Pending(control.Shred) {
			if r.g.s.casing.book.HoldsCustomer(sallyport.Subject(p.Details)) > 0 {
				continue // held since: it is evidence
			}
			err := r.g.shows()
			if err == nil {
				err = r.g.shred(ctx, p)
			}
			if err != nil && ctx.Err() == nil {
				r.mu.Lock()
				r.warn("proposal "+p.ID, err)
				r.mu.Unlock()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// shows objects to shredding while a column is hidden: of its tokens nobody can tell which were drawn at random.
func (g *guard) shows() error {
	for name, state := range g.states() {
		if state == catalog.Hidden {
			return fmt.Errorf("it waits until the keys of %s are rotated", name)
		}
	}
	return nil
}

// shred makes the values of one customer unreadable and puts that on record.
func (g *guard) shred(ctx context.Context, p control.Proposal) error {
	conn, err := g.renewing(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // whatever was changed is committed
	s, err := g.shredder(conn, p)
	if err != nil {
		return err
	}
	if err := g.destroyGone(); err != nil { // what the record lists, and an attempt before this one did not come to
		return err
	}
	if err := s.Bury(ctx, g.tiedKeys(s.Customer)); err != nil {
		return err
	}
	var all protect.ShredDone
	for range mostShreds {
		done, err := s.Run(ctx)
		switch {
		case errors.Is(err, protect.ErrTaken):
			continue
		case err != nil:
			return err
		case done.Rows == 0:
			return g.s.orders.Give(nil, &sallyport.Event{
				Time: g.s.O.Clock(), Kind: sallyport.Shredded, Note: g.wasShredded(all),
				Order: &sallyport.Order{ID: p.ID, Action: p.Action, Details: p.Details},
			})
		}
		all.Rows, all.Values, all.Keys, all.Bare = all.Rows+done.Rows, all.Values+done.Values, all.Keys+done.Keys, all.Bare+done.Bare
		for _, tok := range done.Vault {
			if g.vault != nil {
				g.vault.Forget(tok)
			}
		}
	}
	return errors.New("shred a customer: his rows are being written all the while")
}

// wasShredded says what was done, and how long backups hold it.
func (g *guard) wasShredded(done protect.ShredDone) string {
	kept := "as long as those are kept"
	if days := g.s.O.Config.Keys.BackupDays; days > 0 {
		kept = "which are kept until " + g.s.O.Clock().AddDate(0, 0, days).Format(time.DateOnly)
	}
	what := fmt.Sprintf("%d values in %d rows; ", done.Values, done.Rows)
	if done.Keys == 0 {
		return what + "readable in backups from before, " + kept
	}
	what += fmt.Sprintf("%d names and texts had keys of their own, now destroyed: readable only in backups together with keys from before, %s; ", done.Keys, kept)
	if done.Bare > 0 {
		what += fmt.Sprintf("%d had none; ", done.Bare)
	}
	return what + "all else readable in backups from before, as long as the keys of its groups"
}

// shredder is what shreds a customer over a connection.
func (g *guard) shredder(conn *pgx.Conn, p control.Proposal) (*protect.Shred, error) {
	columns, err := g.s.O.Config.Codecs(g.ring)
	if err != nil {
		return nil, err
	}
	states := g.states()
	s := &protect.Shred{
		Conn: conn, Customer: sallyport.Subject(p.Details), Columns: columns, Random: rand.Reader,
		Dead: func(c protect.Column, tok string) bool {
			return states[c.Column.String()] == catalog.Hidden || g.dead(c, tok)
		}, Buried: g.s.State.Buried,
		List: func(list protect.ShredList) error { return g.listShredded(p, list) },
	}
	if g.ties != nil {
		s.Foreign = func(c protect.Column, tok string) bool {
			return g.ties.Foreign(c.Column, c.Codec.Spec().Scheme, []byte(tok), s.Customer)
		}
	}
	for _, q := range g.catalog.Snapshot().RowQueries() {
		rows := protect.CustomerRows{SQL: q.SQL}
		for _, of := range q.Columns {
			i := slices.IndexFunc(columns, func(c protect.Column) bool { return c.Column == of.Column })
			if i < 0 {
				return nil, fmt.Errorf("shred a customer: %s is not configured", of.Column)
			}
			rows.Columns = append(rows.Columns, columns[i])
		}
		s.Rows = append(s.Rows, rows)
	}
	return s, nil
}

// dead tells whether a token was drawn at random in the place of a shredded customer's.
func (g *guard) dead(c protect.Column, tok string) bool {
	return g.s.State.Shreds() && deadBy(g.s.State.Dead)(c, tok)
}

// deadBy asks a list of digests.
func deadBy(listed func(sallyport.Digest) bool) func(c protect.Column, tok string) bool {
	return func(c protect.Column, tok string) bool { return listed(c.Codec.ListDigest([]byte(tok))) }
}

// nothingBy asks a list of digests whether a token stands for nothing any more: it was drawn at random, or its own key is gone.
func nothingBy(listed func(sallyport.Digest) bool) func(c protect.Column, tok string) bool {
	return func(c protect.Column, tok string) bool {
		return deadBy(listed)(c, tok) || c.Codec.Destroyed([]byte(tok))
	}
}

// listShredded puts digests and keys on record, so many an entry; then the keys are destroyed.
func (g *guard) listShredded(p control.Proposal, list protect.ShredList) error {
	dead, buried := list.Dead, list.Buried
	gone := slices.DeleteFunc(g.everyEpoch(list.Keys), g.s.State.Gone)
	for len(dead)+len(buried)+len(gone) > 0 {
		d, b, k := dead[:min(len(dead), mostListed)], buried[:min(len(buried), mostListed)], gone[:min(len(gone), mostListed)]
		dead, buried, gone = dead[len(d):], buried[len(b):], gone[len(k):]
		err := g.s.orders.Give(nil, &sallyport.Event{
			Time: g.s.O.Clock(), Kind: sallyport.Shredding,
			Order: &sallyport.Order{ID: p.ID, Action: p.Action, Details: p.Details, Dead: d, Buried: b, Gone: goneKeys(k)},
		})
		if err != nil {
			return err
		}
	}
	return g.destroyGone()
}

// replayShreds holds the rows of all who were shredded against the record: in an older copy of the database their tokens are back. It
// shreds them again before anybody is served.
func (g *guard) replayShreds(ctx context.Context) error {
	if g.keyring == nil || !g.s.State.Shreds() || g.s.link != nil { // a gateway's controller does
		return nil
	}
	conn, err := g.renewing(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only reads
	s, err := g.shredder(conn, control.Proposal{})
	if err != nil {
		return &hopeless{err}
	}
	// Those that are not done yet go on in the background, as they would have without the restart.
	agreed := slices.DeleteFunc(g.s.State.Approved(control.Shred), func(p control.Proposal) bool { return !p.Done })
	for some := range slices.Chunk(agreed, customersAtOnce) {
		var customers []string
		for _, p := range some {
			customers = append(customers, p.Details)
		}
		left, err := s.Unshredded(ctx, customers)
		if err != nil {
			return err
		}
		for _, p := range some {
			if !left[sallyport.Subject(p.Details)] {
				continue
			}
			delete(left, sallyport.Subject(p.Details))
			if err := g.shred(ctx, p); err != nil {
				return fmt.Errorf("the database holds values of a customer who was shredded, as an older copy does: %w", err)
			}
			g.s.log.Warn("a customer who was shredded had values in the database again; they were shredded", "proposal", p.ID)
		}
	}
	return nil
}

// mayShred says why a customer cannot be shredded.
func (s *Server) mayShred(customer string) error {
	if n := s.casing.book.HoldsCustomer(sallyport.Subject(customer)); n > 0 {
		return fmt.Errorf("case %d holds what is known of this customer: let go of it there first", n)
	}
	s.mu.Lock()
	g := s.guard
	s.mu.Unlock()
	if g == nil || g.keyring == nil {
		return errStarting
	}
	for name, state := range g.states() {
		if state == catalog.Entering || state == catalog.Moving || state == catalog.Leaving || state == catalog.Hidden {
			return fmt.Errorf("%s is %s: a customer can be shredded once that is done", name, state)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	conn, err := g.renewing(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only reads
	shred, err := g.shredder(conn, control.Proposal{Details: customer})
	if err != nil {
		return err
	}
	missing, err := protect.MissingToShred(ctx, conn, shred.Reached())
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("the role %s may not change %s: give --config and --owner once, or grant it", g.reader.User, strings.Join(missing, ", "))
	}
	left, err := shred.Unshredded(ctx, []string{customer})
	if err != nil {
		return err
	}
	if !left[sallyport.Subject(customer)] {
		return fmt.Errorf("no row of a customer %q holds a value that can be read; expected the customer's key as the database writes it", Printable(customer))
	}
	return nil
}

// shreds is a line for each customer whose shredding two people agreed on.
func (r *rotations) shreds() []api.Standby {
	var lines []api.Standby
	for _, p := range r.g.s.State.Approved(control.Shred) {
		if p.Done {
			continue
		}
		how := "nothing of customer " + Printable(p.Details) + " is revealed; the values are being replaced"
		r.mu.Lock()
		if why := r.warned["proposal "+p.ID]; why != "" {
			how += ": " + why
		}
		r.mu.Unlock()
		lines = append(lines, api.Standby{What: "shred", How: how})
	}
	return lines
}
