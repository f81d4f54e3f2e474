package serve

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/sim"
)

// TestPageSpeed measures the first page on what a made-up company did (sim): its size, and how long serve takes for it. SALLYPORT_PAGES=1000 is a year
// of so many people (make bench-pages); the usual run is a week of a few, and holds the size alone.
func TestPageSpeed(t *testing.T) {
	staff, weeks := 20, 1
	full := os.Getenv("SALLYPORT_PAGES")
	if full != "" {
		var err error
		staff, err = strconv.Atoi(full)
		fatal(t, err)
		weeks = 52
	}
	folder, keys := certified(t)
	f := newFort(t, "\nconsole: {"+keys+"}\n")
	began := time.Now()
	entries, values := f.worked(staff, weeks)
	t.Logf("%d entries with %d values written in %.0f s", entries, values, time.Since(began).Seconds())
	b := surf(t, folder, f.server.Console())
	b.ask("/login", "name", "o1", "password", "o1-password")
	began = time.Now()
	within(t, time.Hour, "history and detection have read it", func() bool {
		last := f.server.AccessStream.Last()
		return f.server.detection.detecting.read.Load() >= last && f.historyAt() >= last
	})
	t.Logf("taken in after another %.0f s", time.Since(began).Seconds())
	for _, path := range []string{"/now", "/people", "/findings", "/data", "/policies", "/record"} {
		var took []time.Duration
		size, worked := 0, processTime(t)
		for range 20 {
			start := time.Now()
			_, body := b.ask(path)
			took = append(took, time.Since(start))
			size = len(body)
		}
		worked = processTime(t) - worked
		first := took[0]
		slices.Sort(took)
		t.Logf("%s: %.1f KiB, first %.1f ms, p50 %.1f ms, p95 %.1f ms; a processor works %.1f ms for each, with the browser's half and history's",
			path, float64(size)/1024, ms(first), ms(took[10]), ms(took[18]), ms(worked)/20)
		if size > 100<<10 {
			t.Errorf("%s has %d bytes", path, size)
		}
	}
	if full != "" {
		pagesAsked(t, b)
	}
}

// pagesAsked has the first page made again and again for half a minute, in which its figures are asked of history anew several times: the slowest are those.
func pagesAsked(t *testing.T, b *surfing) {
	t.Helper()
	var took []time.Duration
	shown := map[int]bool{} // sizes: other figures
	for began := time.Now(); time.Since(began) < 30*time.Second; {
		start := time.Now()
		_, body := b.ask("/now")
		took = append(took, time.Since(start))
		shown[len(body)] = true
	}
	slices.Sort(took)
	t.Logf("/now %d times in 30 s, of %d sizes: p50 %.1f ms, p99 %.1f ms, the slowest:", len(took), len(shown), ms(took[len(took)/2]), ms(took[len(took)*99/100]))
	for _, d := range took[max(0, len(took)-4):] {
		t.Logf("  %.1f ms", ms(d))
	}
}

// processTime is what this process and history's have worked until now, whatever else the machine does (proc(5); a tick is 10 ms).
func processTime(t *testing.T) (sum time.Duration) {
	t.Helper()
	own := strconv.Itoa(os.Getpid())
	list, err := os.ReadDir("/proc")
	fatal(t, err)
	for _, x := range list {
		text, err := os.ReadFile("/proc/" + x.Name() + "/stat")
		_, rest, ok := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest) // from the third on
		if err != nil || !ok || len(fields) < 13 || x.Name() != own && fields[1] != own {
			continue
		}
		for _, f := range fields[11:13] {
			n, err := strconv.Atoi(f)
			fatal(t, err)
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// historyAt is up to which entry history tells.
func (f *fort) historyAt() uint64 {
	store, release := f.server.history.Lend()
	defer release()
	if store == nil {
		return 0
	}
	at, err := store.Position(f.ctx)
	fatal(f.t, err)
	return at.Entry
}

// worked writes what people of a made-up company looked at until now, by the record's own writer: an entry with two values for each customer.
func (f *fort) worked(staff, weeks int) (entries, values int) {
	f.t.Helper()
	p := sim.Profiles()[0]
	p.Staff, p.Weeks = staff, weeks
	if share := os.Getenv("SALLYPORT_PAGES_WORK"); share != "" { // of the work that they do otherwise, so that it takes less long
		part, err := strconv.ParseFloat(share, 64)
		fatal(f.t, err)
		p.Touches, p.Tickets = p.Touches*part, p.Tickets*part
	}
	c := sim.NewCompany(p, 1, false)
	shift := time.Since(c.Begin.AddDate(0, 0, 7*weeks))
	columns := []sallyport.Column{{Schema: "support", Table: "customers", Name: "full_name"}, {Schema: "support", Table: "customers", Name: "email"}}
	statement := uint64(0)
	c.Run(func(in *sallyport.Input, _ bool) {
		a := in.Access
		if a == nil || len(a.Subjects) == 0 || len(a.Subjects) > 10 { // bulk work would be most of it
			return
		}
		statement++
		r := &sallyport.Revealed{Statement: statement, Columns: columns, Purposes: []sallyport.Purpose{{Kind: "ticket", Ref: string(a.Subjects[0])}}}
		for _, s := range a.Subjects {
			n, err := strconv.ParseUint(string(s), 10, 64)
			fatal(f.t, err)
			for k := range columns {
				var d sallyport.Digest
				copy(d[:], bytes.Repeat(fmt.Appendf(nil, "%d/%d ", k, n), 4))
				r.Values.AddNumber(n, uint16(k), d) //nolint:gosec // a column
				values++
			}
		}
		e := &sallyport.Event{
			Time: in.Time.Add(shift), Kind: sallyport.RevealKind, Reveal: r,
			Who: sallyport.Who{Staff: a.Staff, Login: string(a.Staff), Session: fmt.Sprintf("%s-%s", a.Staff, in.Time.Format("0102")), Application: "desk", Address: "10.0.0.1:5000", Device: "laptop-" + string(a.Staff)},
		}
		if _, err := f.server.AccessStream.Enqueue(e); err != nil { // too many wait
			_, err = f.server.AccessStream.Append(e)
			fatal(f.t, err)
		}
		entries++
	})
	return entries, values
}
