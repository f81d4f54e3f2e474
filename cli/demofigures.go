package cli

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sallyport"
	"sallyport/exposure"
)

// demoFigures are what one demonstration measured; --json prints them. Seconds are those of the wall clock where they do
// not say otherwise.
type demoFigures struct {
	Customers   int64       `json:"customers"`
	Staff       int         `json:"staff"`
	Tickets     int64       `json:"tickets"`
	Seed        uint64      `json:"seed"`
	LoadSeconds float64     `json:"load_seconds"`
	Direct      demoDirect  `json:"direct"`
	Protect     demoProtect `json:"protect"`
	Day         demoDay     `json:"day"`
	Level       demoLevel   `json:"soft_level"`
	Thefts      []demoTheft `json:"thefts"`
	Reports     demoReports `json:"reports"`
	In2019      int64       `json:"stolen_in_2019"`
	Seconds     float64     `json:"seconds"`
}

type demoDirect struct {
	Customers int64   `json:"customers"`
	Seconds   float64 `json:"seconds"`
}

type demoProtect struct {
	Values  int64   `json:"values"`
	Seconds float64 `json:"seconds"`
}

type demoDay struct {
	Visits         int     `json:"visits"`
	NewTickets     int     `json:"new_tickets"`
	Statements     int64   `json:"statements"`
	Read           int64   `json:"cases_read"`
	Unread         int64   `json:"cases_unread"` // own cases that stayed tokens
	Notices        int64   `json:"notices"`
	CutOff         int64   `json:"cut_off"`
	Suspended      int     `json:"suspended"`
	Values         int64   `json:"values_revealed"`
	Revealed       int64   `json:"customers_revealed"`
	MostForOne     int     `json:"most_customers_for_one"`
	SimulatedHours float64 `json:"simulated_hours"`
	WallSeconds    float64 `json:"seconds"`
}

// demoTheft is one way through the gateway. Reached and exposed were counted in the bytes that arrived; the record's own
// counts stand beside them.
type demoTheft struct {
	Way              string  `json:"way"`
	Thief            string  `json:"thief"`
	Reached          int64   `json:"reached"`
	Exposed          int64   `json:"exposed"`
	RecordReached    int64   `json:"record_reached"`
	RecordExposed    int64   `json:"record_exposed"`
	Rows             int     `json:"rows"`
	Bytes            int64   `json:"bytes"`
	Suspended        bool    `json:"suspended"`
	Budget           string  `json:"budget,omitempty"`
	WallSeconds      float64 `json:"stopped_after_seconds,omitempty"` // since his first unexplained row
	SimulatedSeconds float64 `json:"stopped_after_simulated_seconds,omitempty"`
}

type demoReports struct {
	Reports     int           `json:"reports"`
	FromThief   int           `json:"from_thief"`
	Background  int           `json:"background"`
	Thief       string        `json:"thief"`
	Suspect     string        `json:"suspect"`
	Ranking     []demoSuspect `json:"ranking"`
	None        float64       `json:"none"`
	Forged      int           `json:"forged_reports_to_overturn"`
	WallSeconds float64       `json:"seconds"`
}

type demoSuspect struct {
	Staff     string  `json:"staff"`
	Customers int     `json:"customers"`
	Seen      int     `json:"seen"`
	Expected  float64 `json:"expected"`
	Posterior float64 `json:"posterior"`
}

// ending says what became of a thief.
func (f *demoTheft) ending() string {
	if !f.Suspended {
		return "nothing stopped him"
	}
	return fmt.Sprintf("stopped and suspended at %s,\n    %s (wall clock) and %s (simulated clock) after his first unexplained row",
		f.Budget, short(f.WallSeconds), short(f.SimulatedSeconds))
}

// title begins an act of the story.
func (d *demo) title(format string, args ...any) {
	fmt.Fprintf(d.out, "\n── %s ──\n", fmt.Sprintf(format, args...))
}

// say tells something.
func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// quote shows what a program printed.
func (d *demo) quote(lines []string) {
	for _, line := range lines {
		fmt.Fprintf(d.out, "    │ %s\n", line)
	}
}

// printThefts compares the ways.
func (d *demo) printThefts() {
	d.say("\nEach number was counted in the bytes that arrived, and again in the record; they agree.")
	table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  THEFT\tREACHED\tREADABLE\tSTOPPED BY\tAFTER (WALL)\tAFTER (SIMULATED)")
	fmt.Fprintf(table, "  in 2019\t%s\t%s\tnothing\t\t\n", grouped(stolen2019), grouped(stolen2019))
	fmt.Fprintf(table, "  straight at the database\t%s\t%s\tnothing; took\t%s\t\n", grouped(d.figures.Direct.Customers), grouped(d.figures.Direct.Customers), short(d.figures.Direct.Seconds))
	for i := range d.figures.Thefts {
		f := &d.figures.Thefts[i]
		stopped, wall, simulated := "nothing", "", ""
		if f.Suspended {
			stopped, wall, simulated = f.Budget, short(f.WallSeconds), short(f.SimulatedSeconds)
		}
		fmt.Fprintf(table, "  (%c) %s\t%s\t%s\t%s\t%s\t%s\n", 'a'+i, f.Way, grouped(f.Reached), grouped(f.Exposed), stopped, wall, simulated)
	}
	_ = table.Flush() // the story has no other way to say that nobody listens
	d.say("Reached are customers whose rows came, as tokens or not; readable are those of whom anything could be read.")
	if d.figures.Thefts[0].Exposed > 0 {
		d.say("In (a) that is the customer of his own ticket, and whoever shares a date of birth with him: equal dates have equal tokens.")
	}
}

// printSuspects ranks.
func (d *demo) printSuspects() {
	table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "  pseudonym\tcustomers seen\treporting, seen\texpected by chance\tposterior\t")
	for _, s := range d.figures.Reports.Ranking {
		fmt.Fprintf(table, "  %s\t%d\t%d\t%.2f\t%.3f\t\n", d.pseudonyms(s.Staff), s.Customers, s.Seen, s.Expected, s.Posterior)
	}
	_ = table.Flush() // as above
}

// pseudonyms are those of a list of staff.
func (d *demo) pseudonyms(list string) string {
	var names []sallyport.Staff
	for who := range strings.SplitSeq(list, " and ") {
		names = append(names, sallyport.Staff(d.server.Names.Person(sallyport.Staff(who))))
	}
	return staffList(names)
}

// conclude ends the story.
func (d *demo) conclude() error {
	f := &d.figures
	f.In2019, f.Seconds = stolen2019, time.Since(d.began).Seconds()
	if d.o.json {
		return printJSON(d.m.Stdout, f)
	}
	var most int64
	for _, t := range f.Thefts {
		most = max(most, t.Exposed)
	}
	last := f.Thefts[len(f.Thefts)-1]
	d.title("What became of it")
	d.say("Straight at the database: %s customers in %s. Through the gateway: at most %s, and that thief has a name: %s.",
		grouped(f.Direct.Customers), short(f.Direct.Seconds), grouped(most), f.Reports.Suspect)
	d.say("Nothing stopped %s: a value that a reason covers can be written down. For that there are budgets (at most 2,000 customers\n"+
		"in 30 days, against %s), the record, and the way back from a report to him.", last.Thief, grouped(stolen2019))
	if d.o.stay {
		d.say("The whole story took %s (wall clock).", short(f.Seconds))
		return nil
	}
	if err := d.strike(); err != nil {
		return err
	}
	d.say("The whole story took %s (wall clock); everything that it started is removed now.", short(f.Seconds))
	d.say("\nTry it yourself: %s demo --hold. More: docs/demo.md.", thisProgram())
	return nil
}

// grouped writes 200,000.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 && c != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// short writes a number of seconds the way people say it.
func short(seconds float64) string {
	switch {
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", 1000*seconds)
	case seconds < 120:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 2*3600:
		return fmt.Sprintf("%.0f min", seconds/60)
	case seconds < 48*3600:
		return fmt.Sprintf("%.1f h", seconds/3600)
	}
	return fmt.Sprintf("%.1f days", seconds/86_400)
}

func wall(since time.Time) string { return short(time.Since(since).Seconds()) }

func defaultBudgets() string {
	b := exposure.Default()
	return fmt.Sprintf("%s customers revealed a day and\n%s in 30 days, %s reached without a purpose a day and %s in 30 days, %d values probed a day.", grouped(int64(b.Revealed.Day)),
		grouped(int64(b.Revealed.Month)), grouped(int64(b.Reached.Day)), grouped(int64(b.Reached.Month)), b.Probed.Day)
}
