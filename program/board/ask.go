package board

import (
	"fmt"
	"slices"
)

// asking is what of one figure is to be asked about; empty: nothing.
func (p *Page) asking(f *Figure) string {
	switch v := f.Value; {
	case (f.ID == "exposure" || f.ID == "unexplained") && f.highest():
		return fmt.Sprintf("%s: %s is the highest of twelve months. Why?", f.Title, f.Text())
	case f.ID == "detect_drill" && f.unknown():
		return fmt.Sprintf("How long it takes to notice a theft has not been known for three months: in this one %s.", f.Says)
	case v == nil:
	case f.ID == "false_alarms":
		if promised := p.figure("promise"); promised != nil && *v > *promised {
			return fmt.Sprintf("More people were suspected wrongly than promised: %s, of %s.", number(v), number(promised))
		}
	case f.ID == "reviews" && *v < 100:
		return fmt.Sprintf("Managers let dates of reviews pass: %s were decided.", f.Text())
	case f.ID == "glass" && *v < 100:
		return fmt.Sprintf("Somebody broke the glass, and nobody has looked at it yet: %s.", f.Says)
	case f.ID == "overdue" && *v > 0:
		return fmt.Sprintf("%s of the people are behind with training. Who has them learn?", f.Text())
	}
	return ""
}

func (p *Page) figure(id string) *float64 {
	if i := slices.IndexFunc(p.Figures, func(f Figure) bool { return f.ID == id }); i >= 0 {
		return p.Figures[i].Value
	}
	return nil
}

// asks are the same of where written policies and what happens part.
func (d *Drift) asks() []string {
	out := []string{}
	for _, x := range []struct {
		n    int
		what string
	}{
		{d.Contradicted, "Paragraphs of written policies that the record contradicts: %d."},
		{d.Unenforced, "Paragraphs that nothing enforces: %d."},
		{d.Unwritten + d.Broken, "Policies and paragraphs that do not name each other: %d."},
		{d.Unread, "Documents that not everybody has acknowledged: %d."},
	} {
		if x.n > 0 {
			out = append(out, fmt.Sprintf(x.what, x.n))
		}
	}
	return out
}

// Asks are what a board should ask about: what is not as it was promised, or as a programme has it, or the worst in a year. Each follows from the page.
func (p *Page) Asks() []string {
	out := []string{}
	for i := range p.Figures {
		if ask := p.asking(&p.Figures[i]); ask != "" {
			out = append(out, ask)
		}
	}
	for _, s := range p.Drills {
		if s.Lost > 0 && nameOf(s.At) == p.Month {
			out = append(out, fmt.Sprintf("In the drill %s %d of %d customers would have been lost.", s.Drill, s.Lost, s.Of))
		}
	}
	if p.Drift != nil {
		out = append(out, p.Drift.asks()...)
	}
	return out
}

// highest tells whether the month is above all that were measured before it, of which there are three or more.
func (f *Figure) highest() bool {
	if f.Value == nil || len(f.Past) == 0 {
		return false
	}
	measured, most := 0, 0.0
	for _, m := range f.Past[:len(f.Past)-1] {
		if m.Value != nil {
			measured, most = measured+1, max(most, *m.Value)
		}
	}
	return measured >= 3 && *f.Value > most
}

// unknown tells whether nothing was measured in the month and the two before it.
func (f *Figure) unknown() bool {
	return !slices.ContainsFunc(f.Past[max(0, len(f.Past)-3):], func(m Point) bool { return m.Value != nil })
}

// Before is the figure of the month before.
func (f *Figure) Before() string {
	if len(f.Past) < 2 {
		return "not measured"
	}
	before := Figure{Value: f.Past[len(f.Past)-2].Value, Unit: f.Unit}
	return before.Text()
}
