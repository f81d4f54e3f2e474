package gateway

import (
	"context"
	"reflect"
	"slices"

	"sallyport/query"
)

// renew sees to it that a prepared statement still is what it was taken for when it was parsed: the database may have become
// another one since.
func (s *session) renew(ctx context.Context, p *prepared) (*query.Refusal, error) {
	if p.stmt == nil || p.basis.analyzer == nil || s.gw.Observe != nil {
		return nil, nil
	}
	if p.stmt.Leans && !s.postpones(ctx, p.basis, p.stmt) {
		if refused := s.fresh(ctx); refused != nil {
			return refused, nil
		}
	}
	current := s.analyzer()
	if current == p.basis.analyzer {
		return nil, nil
	}
	plan, refused := s.analyze(ctx, p.basis.source)
	if refused != nil {
		return refused, nil
	}
	if !p.basis.means(plan, p.stmt) {
		return refusal(codeUnsupported, "the database changed under this prepared statement", "Prepare it again."), nil
	}
	p.basis.analyzer = current
	return nil, nil
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
	if now.Refusal != nil || (now.Capture == nil) != (before.Capture == nil) || now.Capture != nil && now.Capture.Text != before.Capture.Text {
		return false
	}
	return now.Touches == before.Touches && now.Masks == before.Masks && slices.Equal(now.Veiled, before.Veiled) && reflect.DeepEqual(now.Edits, before.Edits) && reflect.DeepEqual(now.Params, before.Params)
}
