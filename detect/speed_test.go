package detect

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"sallyport"
	"sallyport/sim"
	"sallyport/sources"
)

// cpu is the time that this process has used, which others on the machine do not change much.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// speedCompany is what speed is measured on: a consumer support of 200 people.
func speedCompany() (sim.Profile, uint64) {
	p := sim.Profiles()[0]
	p.Weeks = 26
	return p, 11
}

// decoded are the inputs of a company, in memory.
func decoded(p sim.Profile, seed uint64) (list []sallyport.Input, c *sim.Company, accesses int) {
	c = sim.NewCompany(p, seed, true)
	c.Run(func(in *sallyport.Input, _ bool) {
		kept := *in
		if a := in.Access; a != nil {
			accesses++
			own := *a
			own.Subjects, own.Columns = slices.Clone(a.Subjects), slices.Clone(a.Columns)
			kept.Access = &own
		}
		list = append(list, kept)
	})
	return list, c, accesses
}

// BenchmarkDecoded says how many decoded events pass the detector in a second of one core, and what is kept of a person's day.
func BenchmarkDecoded(b *testing.B) {
	p, seed := speedCompany()
	list, c, accesses := decoded(p, seed)
	b.ReportAllocs()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one core: a second one would mark what is idle, and count as work
	for b.Loop() {
		d := detector(b, c, Options{Known: Sources{true, true, true, true, true, true, true, true}})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := cpu()
		for i := range list {
			d.Observe(&list[i])
		}
		took := (cpu() - began).Seconds()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(accesses)/took, "accesses/cpu-s")
		b.ReportMetric(float64(len(list))/took, "inputs/cpu-s")
		b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/float64(d.Counts().PersonDays), "B/person-day")
		runtime.KeepAlive(d)
	}
	runtime.KeepAlive(list)
}

// BenchmarkFiles says the same from files, with all context.
func BenchmarkFiles(b *testing.B) {
	p, seed := speedCompany()
	dir := b.TempDir()
	fatal(b, sim.NewCompany(p, seed, true).Write(func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(dir, name)) }))
	in := func(name string) []string { return []string{filepath.Join(dir, name)} }
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for b.Loop() {
		began := cpu()
		r := &sources.Reader{}
		line, err := r.Open(sources.Files{
			Events: in("events.jsonl"), Staff: in("staff.csv"), Tickets: in("tickets.csv"), TicketEvents: in("ticket_events.csv"), Contacts: in("contacts.csv"), Jobs: in("jobs.csv"),
			HR: in("hr.csv"), LogIns: in("logins.csv"), Alerts: in("alerts.csv"),
		})
		fatal(b, err)
		opened := cpu() - began
		d, err := New(Options{Known: Sources{true, true, true, true, true, true, true, true}})
		fatal(b, err)
		d.Hire(line.Staff)
		n := 0
		for {
			in, err := line.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			fatal(b, err)
			if in.Access != nil {
				n++
			}
			d.Observe(in)
		}
		line.Close()
		b.ReportMetric(float64(n)/(cpu()-began).Seconds(), "accesses/cpu-s")
		b.ReportMetric(opened.Seconds()/(cpu()-began).Seconds(), "context/all")
	}
}
