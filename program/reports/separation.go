package reports

import (
	"context"
	"errors"
	"slices"

	"sallyport"
	"sallyport/program"
)

// SeparationFound is what breaks the rules.
type SeparationFound struct {
	Rules      int                 `json:"rules"`
	Violations []program.Violation `json:"violations"`
}

// Violations hold the record to the rules.
func (r *Record) Violations(ctx context.Context, days int) ([]program.Violation, error) {
	rules := &r.Config.Program.Separation
	if len(rules.Rules) == 0 {
		return nil, nil
	}
	eyes := program.NewEyes(rules, func(who sallyport.Staff) bool { return !r.Config.IsProgram(who) })
	if err := errors.Join(r.orders(ctx, eyes.Control), r.accesses(ctx, eyes.Access)); err != nil {
		return nil, err
	}
	return eyes.Find(r.Now.AddDate(0, 0, -days), r.Now), nil
}

// Separation is what breaks the rules; what is about who asks is not told.
func (r *Record) Separation(ctx context.Context, days int) (*SeparationFound, error) {
	list, err := r.Violations(ctx, days)
	if err != nil {
		return nil, err
	}
	out := &SeparationFound{Rules: len(r.Config.Program.Separation.Rules), Violations: []program.Violation{}}
	for _, v := range list {
		if r.Asker != "" && slices.Contains(v.Staff, r.Asker) {
			continue
		}
		for i, who := range v.Staff {
			v.Staff[i] = sallyport.Staff(r.Call(who))
		}
		out.Violations = append(out.Violations, v)
	}
	return out, nil
}
