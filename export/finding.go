package export

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/sources"
)

// finding is what an entry of a finding says.
type finding struct{ sallyport.Finding }

// finding is what a line of a finding becomes; one that is not readable is written with what its entry says.
func (n *note) finding(o *sallyport.Order) {
	n.class, n.activity, n.severity = classFinding, activityCreate, medium
	var f finding
	if json.Unmarshal(o.Finding, &f.Finding) != nil {
		return
	}
	n.found, n.rows = &f, f.SubjectsExposed
	if o.Grown {
		n.activity = activityUpdateFinding
	}
	if n.about == "" && len(f.Staff) > 0 {
		n.about = f.Staff[0]
	}
	switch f.Action {
	case "none":
		n.severity = low
	case "lock", "suspend", "revoke", "page":
		n.severity = high
	}
}

// settled adds that findings are at an end, which the approval says by which their case was closed.
func (c *Encoder) settled(to []Message, e *sallyport.Event) []Message {
	if e.Order == nil {
		return to
	}
	for i, s := range e.Order.Settled {
		n := note{
			UID: sources.UID(c.Record, e.Seq, i+1), Time: e.Time, kind: sallyport.FindingKind, class: classFinding, activity: activityCloseFinding, severity: informational,
			by: e.Order.By, about: s.About, id: s.Finding, found: &finding{sallyport.Finding{ID: s.Finding}},
		}
		if s.About != "" {
			n.found.Staff = []sallyport.Staff{s.About}
		}
		to = append(to, c.note(&n))
	}
	return to
}

// title says what was found, without whom it is about.
func (f *finding) title() string {
	if f.Kind == "" {
		return "Finding: its case was closed"
	}
	title := "Finding: " + strings.ReplaceAll(f.Kind, "_", " ")
	if f.Type != "" {
		title += ", most likely " + f.Type
	}
	return title
}

// confidence is how likely it is that there is something to it, in percent.
func (f *finding) confidence() (int64, bool) {
	benign, ok := f.Probabilities[sallyport.Benign]
	return int64(math.Round(100 * (1 - benign))), ok && benign >= 0 && benign <= 1
}

// info writes what OCSF's finding_info has of it.
func (f *finding) info(o *object) {
	if f.Kind != "" {
		texts(o, "types", []string{f.Kind})
	}
	if !f.Since.IsZero() {
		o.number("first_seen_time", f.Since.UnixMilli())
	}
	if len(f.Attack) == 0 {
		return
	}
	o.key("attacks")
	o.b = append(o.b, '[')
	for i, id := range f.Attack {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.open()
		o.begin("technique")
		o.text("uid", id)
		o.shut()
		o.shut()
	}
	o.b = append(o.b, ']')
}

// own writes it whole under unmapped.sallyport.
func (f *finding) own(o *object) {
	o.text("finding", f.ID)
	o.text("finding_kind", f.Kind)
	texts(o, "staff", f.Staff)
	o.text("type", f.Type)
	o.begin("probabilities")
	for _, name := range f.types() {
		o.decimal(name, f.Probabilities[name])
	}
	o.shut()
	o.decimal("log10_odds", f.Log10Odds)
	o.key("evidence")
	o.b = append(o.b, '[')
	for i, e := range f.Evidence {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.open()
		o.text("source", e.Source)
		o.text("text", e.Text)
		o.decimal("log10", e.Log10)
		o.shut()
	}
	o.b = append(o.b, ']')
	o.number("subjects_exposed", f.SubjectsExposed)
	for _, at := range []struct {
		name string
		time time.Time
	}{{"since", f.Since}, {"since_low", f.SinceLow}, {"since_high", f.SinceHigh}} {
		if !at.time.IsZero() {
			o.text(at.name, at.time.UTC().Format(time.RFC3339))
		}
	}
	texts(o, "attack", f.Attack)
	o.text("response", f.Action)
}

func (f *finding) types() (names []string) {
	for name := range f.Probabilities {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// short is it in one line, for formats without lists.
func (f *finding) short() string {
	return "type " + f.Type + ", log10 odds " + strconv.FormatFloat(f.Log10Odds, 'f', 2, 64) + ", action " + f.Action + ", ATT&CK " + strings.Join(f.Attack, " ")
}

// decimal writes a number with a fraction. What is none is left out: JSON has no word for it.
func (o *object) decimal(name string, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	o.key(name)
	o.b = strconv.AppendFloat(o.b, value, 'g', -1, 64)
}
