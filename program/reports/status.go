package reports

import (
	"context"
	"errors"

	"sallyport/api"
	"sallyport/program"
)

// Standards are what the record shows of each practice and technique.
type Standards struct {
	Practices  []program.Status          `json:"practices,omitempty"`
	Techniques []program.TechniqueStatus `json:"techniques,omitempty"`
}

// status goes through the standards that are asked for.
func (r *Record) status(ctx context.Context, q *api.ReportQuestion) (*Standards, error) {
	var practices []program.Practice
	var techniques []program.Technique
	var err error
	if q.Standard != "attack" {
		if practices, err = program.Practices(); err != nil {
			return nil, err
		}
	}
	if q.Standard == "attack" || q.Standard == "all" {
		if techniques, err = program.Techniques(); err != nil {
			return nil, err
		}
	}
	v := program.NewEvidence(r.Now.AddDate(0, 0, -q.Days), r.Now)
	if err := errors.Join(r.accesses(ctx, v.Take), r.orders(ctx, v.Take)); err != nil {
		return nil, err
	}
	return &Standards{v.Assess(practices), v.AssessTechniques(techniques)}, nil
}
