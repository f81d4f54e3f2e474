package gateway

import (
	"context"
	"reflect"
	"slices"

	"sallyport/query"
	"sallyport/wire/pg"
)

// renew sees to it that a prepared statement still is what it was taken for when it was parsed: the database may have become
// another one since.
func (s *session) renew(ctx context.Context, p *prepared) (*query.Refusal, error) {
	other, refused := s.reread(ctx, p)
	if refused == nil && other != nil {
		refused = changedUnder()
	}
	return refused, nil
}

func changedUnder() *query.Refusal {
	return refusal(codeUnsupported, "the database changed under this prepared statement", "Prepare it again.")
}

// reread looks whether a prepared statement means by the catalogue of now what it meant when it was parsed. Where it does not, its plan
// is given.
func (s *session) reread(ctx context.Context, p *prepared) (other *query.Plan, refused *query.Refusal) {
	if p.stmt == nil || p.basis.analyzer == nil || s.observing() {
		return nil, nil
	}
	if p.stmt.Leans && !s.postpones(p.basis, p.stmt) {
		if refused := s.fresh(ctx); refused != nil {
			return nil, refused
		}
	}
	current := s.analyzer()
	if current == p.basis.analyzer {
		return nil, nil
	}
	plan, refused := s.analyze(ctx, p.basis.source)
	if refused != nil {
		return nil, refused
	}
	if !p.basis.means(plan, p.stmt) {
		return plan, nil
	}
	p.basis.analyzer = current
	return nil, nil
}

// renewed is renew for a statement that was parsed through the protocol: where it is to be written in another way, because a column
// began to move say, it is parsed once more under its name, and the client notices nothing.
func (s *session) renewed(ctx context.Context, p *prepared) (*prepared, *query.Refusal, error) {
	plan, refused := s.reread(ctx, p)
	if refused != nil || plan == nil {
		return p, refused, nil
	}
	if p.basis.body || len(plan.Statements) != 1 || plan.Statements[0].Execute != nil || plan.Statements[0].Prepare != nil ||
		(plan.Statements[0].Capture == nil) != (p.stmt.Capture == nil) {
		return p, changedUnder(), nil
	}
	again := &prepared{name: p.name, batch: s.batchID, stmt: &plan.Statements[0], rewriting: rewriting{text: p.text, sent: p.text}, types: p.types, fields: p.fields}
	again.basis = basis{source: p.basis.source, analyzer: s.by}
	if refused := again.addForms(len(p.types) / 4); refused != nil {
		return p, refused, nil
	}
	if refused, err := s.rewriteParse(ctx, again); refused != nil || err != nil {
		return p, refused, err
	}
	if p.name != "" {
		s.expectReply(&reply{what: expectClose, name: p.name, swallow: true})
		s.toServer = pg.AppendTarget(s.toServer, pg.Close, 'S', p.name)
	}
	return again, nil, s.giveMeaning(again, again.types, &reply{what: expectParse, stmt: again, swallow: true})
}

// means tells whether a text, read again, has the same values become the same tokens and the same facts be learnt.
func (b *basis) means(plan *query.Plan, before *query.Statement) bool {
	if b.index >= len(plan.Statements) {
		return false
	}
	now := &plan.Statements[b.index]
	if b.body {
		if now.Prepare == nil || now.Prepare.Body == nil {
			return false
		}
		now = now.Prepare.Body
	}
	if (now.ByKey || !now.Touches) && before.Lookup && now.Refusal == nil && len(now.Edits)+len(before.Edits)+len(now.Params)+len(before.Params) == 0 {
		return true // how its rows are read is decided when they come, by the column of each
	}
	if now.Refusal != nil || (now.Capture == nil) != (before.Capture == nil) || now.Capture != nil && now.Capture.Text != before.Capture.Text {
		return false
	}
	return now.Touches == before.Touches && now.Masks == before.Masks && slices.Equal(now.Veiled, before.Veiled) && reflect.DeepEqual(now.Edits, before.Edits) && reflect.DeepEqual(now.Params, before.Params)
}
