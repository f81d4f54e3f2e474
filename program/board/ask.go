package board

import (
	"fmt"
	"slices"
)

// asks are what a board should ask about: what is not as it was promised, or as a programme has it, or the worst in a year. Each follows from a figure of the page.
func (p *Page) asks() []string {
	out := []string{}
	add := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	value := func(id string) *float64 {
		if i := slices.IndexFunc(p.Figures, func(f Figure) bool { return f.ID == id }); i >= 0 {
			return p.Figures[i].Value
		}
		return nil
	}
	for i := range p.Figures {
		f := &p.Figures[i]
		switch v := f.Value; f.ID {
		case "exposure", "unexplained":
			if f.highest() {
				add("%s: %s is the highest of twelve months. Why?", f.Title, f.Text())
			}
		case "detect_drill":
			if v == nil {
				add("How long it takes to notice a theft is not known: %s.", f.Says)
			}
		case "false_alarms":
			if promised := value("promise"); v != nil && promised != nil && *v > *promised {
				add("More people were suspected wrongly than promised: %s, of %s.", number(v), number(promised))
			}
		case "reviews":
			if v != nil && *v < 100 {
				add("Managers let dates of reviews pass: %s were decided.", f.Text())
			}
		case "glass":
			if v != nil && *v < 100 {
				add("Somebody broke the glass, and nobody has looked at it yet: %s.", f.Says)
			}
		case "overdue":
			if v != nil && *v > 0 {
				add("%s of the people are behind with training. Who has them learn?", f.Text())
			}
		}
	}
	for _, s := range p.Drills {
		if s.Lost > 0 && nameOf(s.At) == p.Month {
			add("In the drill %s %d of %d customers would have been lost.", s.Drill, s.Lost, s.Of)
		}
	}
	return out
}

// asks are the same of where written policies and what happens part.
func (d *Drift) asks() []string {
	out := []string{}
	for _, x := range []struct {
		n    int
		what string
	}{
		{d.Contradicted, "Paragraphs of written policies that the record contradicts: %d."}, {d.Unenforced, "Paragraphs that nothing enforces: %d."},
		{d.Unwritten + d.Broken, "Policies and paragraphs that do not name each other: %d."}, {d.Unread, "Documents that not everybody has acknowledged: %d."},
	} {
		if x.n > 0 {
			out = append(out, fmt.Sprintf(x.what, x.n))
		}
	}
	return out
}

// Asks are what a board should ask about, by the figures of the page.
func (p *Page) Asks() []string {
	out := p.asks()
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

// Before is the figure of the month before.
func (f *Figure) Before() string {
	if len(f.Past) < 2 {
		return "not measured"
	}
	before := Figure{Value: f.Past[len(f.Past)-2].Value, Unit: f.Unit}
	return before.Text()
}
