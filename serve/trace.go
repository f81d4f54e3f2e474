package serve

import (
	"math"

	"sallyport"
	"sallyport/trace"
)

// Expose notes one access: whoever looked, and whoever made the reason for it.
func Expose(x *trace.Exposures, a *sallyport.Access, opened map[string]sallyport.Staff) {
	if a.Refused {
		return
	}
	var maker sallyport.Staff
	if a.Purpose.Kind == "ticket" {
		if maker = opened[a.Purpose.Ref]; maker == a.Staff {
			maker = ""
		}
	}
	seen := trace.Seen{Staff: a.Staff, At: a.Time, Fields: fieldsOf(a.Columns, a.Purpose.Kind == "ticket")}
	for _, c := range a.Subjects {
		seen.Customer = c
		x.Add(seen)
		if maker != "" {
			x.Add(trace.Seen{Staff: maker, Customer: c, At: a.Time, Fields: seen.Fields, Made: true})
		}
	}
}

// fieldsOf is what columns show; 0 where they do not say.
func fieldsOf(columns []string, ticket bool) trace.Fields {
	f := trace.ParseFields(columns)
	if f != 0 && ticket {
		f |= trace.TicketField // he who names a ticket knows it
	}
	return f
}

// traceLine is the object that FORMATS describes.
type traceLine struct {
	Reports     int                 `json:"reports"`
	Unconfirmed int                 `json:"unconfirmed"`
	Verdict     trace.Verdict       `json:"verdict"`
	Suspects    []suspectLine       `json:"suspects"`
	None        float64             `json:"none"`
	Background  float64             `json:"background"`
	FalseNaming float64             `json:"false_accusation"`
	More        *int                `json:"more_reports_needed"` // null: no number would settle it
	AskNext     []sallyport.Subject `json:"ask_next"`
	Forged      int                 `json:"forged_reports_to_overturn"`
	Calm        int                 `json:"calm,omitempty"`      // customers who reported before that was suspected
	Aside       int                 `json:"set_aside,omitempty"` // reports whose taker saw the customer only as he took it
	BadLines    int64               `json:"bad_lines"`
	OtherLines  int64               `json:"other_lines,omitempty"` // events of other classes than 6005
}

type suspectLine struct {
	Staff     []sallyport.Staff `json:"staff"`
	Posterior float64           `json:"posterior"`
	LogOdds   float64           `json:"log10_odds"`
	Seen      int               `json:"seen"`
	Expected  float64           `json:"expected"`
	Customers int               `json:"customers"`
}

// TraceJSON is the answer of trace as it is printed.
func TraceJSON(r *trace.Result, bad, other int64) traceLine {
	line := traceLine{
		Reports: r.Reports, Unconfirmed: r.Unconfirmed, Verdict: r.Verdict, Suspects: []suspectLine{}, None: SixDigits(r.None), Background: SixDigits(r.Background),
		FalseNaming: SixDigits(r.FalseNaming), AskNext: r.AskNext, Forged: r.Forged, Calm: r.Calm, Aside: r.Aside, BadLines: bad, OtherLines: other,
	}
	if r.More >= 0 {
		line.More = &r.More
	}
	if line.AskNext == nil {
		line.AskNext = []sallyport.Subject{}
	}
	for _, s := range r.Suspects {
		line.Suspects = append(line.Suspects, suspectLine{s.Staff, SixDigits(s.Posterior), SixDigits(s.LogOdds), s.Seen, SixDigits(s.Expected), s.Customers})
	}
	return line
}

// SixDigits are more than the model is good for.
func SixDigits(x float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return x
	}
	scale := math.Pow(10, 5-math.Floor(math.Log10(math.Abs(x))))
	return math.Round(x*scale) / scale
}
