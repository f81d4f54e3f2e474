package console

import (
	"fmt"
	"math"

	"sallyport/api"
	"sallyport/detect"
)

// dayChart are columns, one a day, the last one today.
type dayChart struct {
	Text         string // what the picture says, for who does not see it
	Width        int
	Height       int
	UsualY       float64
	Usual        int
	Columns      []dayColumn
	First, Today string
}

type dayColumn struct {
	Day        string
	Customers  int
	X, Y, W, H float64
	Today      bool
}

// daysOf draws the customers of each day.
func daysOf(t *api.Today) dayChart {
	const width, height, left = 640, 150, 0
	c := dayChart{Width: width, Height: height, Usual: t.Usual, Today: t.Day, First: t.Day}
	list := make([]api.DayCustomers, 0, len(t.Past)+1)
	list = append(append(list, t.Past...), api.DayCustomers{Day: t.Day, Customers: t.Customers})
	c.First = list[0].Day
	top := 1
	for _, d := range list {
		top = max(top, d.Customers)
	}
	scale := float64(height-18) / float64(top)
	step := float64(width-left) / float64(max(len(list), 20))
	for i, d := range list {
		h := math.Max(1, float64(d.Customers)*scale)
		c.Columns = append(c.Columns, dayColumn{d.Day, d.Customers, tenth(left + float64(i)*step + 1), tenth(float64(height) - h), tenth(math.Max(2, step-3)), tenth(h), i == len(list)-1})
	}
	c.UsualY = tenth(float64(height) - float64(t.Usual)*scale)
	c.Text = fmt.Sprintf("Customers revealed a day. Today %d; on a usual day of the last %d %d, at most %d.", t.Customers, pastDays, t.Usual, t.Most)
	return c
}

// tenth rounds a place in a picture: more is neither seen nor worth sending.
func tenth(x float64) float64 { return math.Round(10*x) / 10 }

// evidenceChart are weights of evidence as bars that begin where the one before ended: they add up to the odds.
type evidenceChart struct {
	Text   string
	Width  int
	Height int
	ZeroX  float64
	Bars   []evidenceBar
	Sum    float64
	SumX   float64
}

type evidenceBar struct {
	Source, Text string
	Log10        float64
	X, Y, W      float64
	LabelX       float64
	For          bool // it speaks for it
}

// evidenceOf draws the evidence of a finding.
func evidenceOf(f *detect.Finding) evidenceChart {
	const width, row, room = 640, 26, 84
	low, high, sum := 0.0, 0.0, 0.0
	for _, e := range f.Evidence {
		sum += e.Log10
		low, high = math.Min(low, sum), math.Max(high, sum)
	}
	scale := (width - 2*room) / math.Max(1, high-low)
	at := func(x float64) float64 { return tenth(room + (x-low)*scale) }
	c := evidenceChart{Width: width, Height: row*len(f.Evidence) + 6, ZeroX: at(0), Sum: sum, SumX: at(sum)}
	from := 0.0
	c.Text = "Evidence in powers of ten of the odds."
	for i, e := range f.Evidence {
		to := from + e.Log10
		b := evidenceBar{Source: e.Source, Text: e.Text, Log10: e.Log10, X: at(math.Min(from, to)), W: tenth(math.Max(1.5, math.Abs(e.Log10)*scale)), Y: float64(i*row + 4), For: e.Log10 >= 0}
		b.LabelX = b.X + b.W + 6
		c.Bars = append(c.Bars, b)
		c.Text += fmt.Sprintf(" %s %+.2f.", e.Source, e.Log10)
		from = to
	}
	c.Text += fmt.Sprintf(" Together %+.2f.", sum)
	return c
}

// shareChart is how the probability of each suspect moved as reports arrived.
type shareChart struct {
	Text          string
	Width, Height int
	Lines         []shareLine
	Steps         []float64 // x of each weighing
}

type shareLine struct {
	Name   string
	Points string  // of a polyline
	Now    float64 // how probable it is after the last weighing
	Place  int     // 0 to 4, for its colour and dashes
}

// sharesOf draws what weighings came to, one after the other.
func sharesOf(list []api.CaseWeighing) shareChart {
	const width, height = 640, 180
	c := shareChart{Width: width, Height: height}
	if len(list) == 0 {
		return c
	}
	weighed := len(list)
	if weighed == 1 {
		list = []api.CaseWeighing{list[0], list[0]} // a line needs two ends
	}
	x := func(i int) float64 { return 6 + float64(i)*(width-12)/math.Max(1, float64(len(list)-1)) }
	y := func(p float64) float64 { return 8 + (1-p)*(height-16) }
	at := func(w *api.CaseWeighing, name string) float64 {
		for i := range w.List {
			if hypothesisName(&w.List[i]) == name {
				return w.List[i].Probability
			}
		}
		return 0
	}
	last := &list[len(list)-1]
	for i := range list {
		c.Steps = append(c.Steps, tenth(x(i)))
	}
	c.Text = fmt.Sprintf("How probable each explanation was over %d %s, as reports arrived.", weighed, plural(weighed, "weighing", "weighings"))
	for place := range last.List[:min(len(last.List), 5)] {
		name := hypothesisName(&last.List[place])
		l := shareLine{Name: name, Now: last.List[place].Probability, Place: place}
		for i := range list {
			l.Points += fmt.Sprintf("%.1f,%.1f ", x(i), y(at(&list[i], name)))
		}
		c.Lines = append(c.Lines, l)
		c.Text += fmt.Sprintf(" %s: %s.", name, percent(l.Now))
	}
	return c
}

// hypothesisName is what an explanation is called.
func hypothesisName(h *api.CaseHypothesis) string {
	name := "nobody of the staff"
	for i, who := range h.Staff {
		if i == 0 {
			name = who
		} else {
			name += " and " + who
		}
	}
	if h.Type != "" {
		name += " " + h.Type
	}
	return name
}

// oddsOf says powers of ten as people read odds.
func oddsOf(log10 float64) string {
	switch {
	case log10 > 6:
		return "more than a million to 1"
	case log10 < -6:
		return "1 to more than a million"
	case log10 >= 0:
		return amount(int(math.Round(math.Pow(10, log10)))) + " to 1"
	}
	return "1 to " + amount(int(math.Round(math.Pow(10, -log10))))
}
