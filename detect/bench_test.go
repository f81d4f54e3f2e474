package detect

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sallyport/sim"
)

// quick leaves the other methods out.
func quick() bool { return os.Getenv("SALLYPORT_QUICK") != "" }

// number is what the environment says, or this.
func number(t testing.TB, name string, usual int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return usual
	}
	n, err := strconv.Atoi(s)
	fatal(t, err)
	return n
}

// firstSeed is SALLYPORT_FIRST_SEED, or this.
func firstSeed(t testing.TB, usual int) uint64 {
	t.Helper()
	return uint64(number(t, "SALLYPORT_FIRST_SEED", usual)) //nolint:gosec // small
}

// seedsAsked is SALLYPORT_SEEDS, or this.
func seedsAsked(t testing.TB, usual int) int {
	t.Helper()
	return number(t, "SALLYPORT_SEEDS", usual)
}

// task is a company to be run.
type task struct {
	profile sim.Profile
	seed    uint64
}

// largeSizes are run with SALLYPORT_LARGE seeds each, where no SALLYPORT_STAFF is named: one company of them takes as long as five, and fifteen.
func largeSizes() [2]int { return [2]int{1000, 3000} }

// tasks are all companies, the usual size first: all profiles of one seed, then the next, so that whoever ends the run has as many of each.
func tasks(t testing.TB) (list []task) {
	t.Helper()
	first := firstSeed(t, 101)
	add := func(seeds, staff int) {
		for seed := range uint64(seeds) { //nolint:gosec // small
			for _, p := range asked(t) {
				if staff != 0 {
					p.Staff = staff
				}
				list = append(list, task{p, first + seed})
			}
		}
	}
	staff := number(t, "SALLYPORT_STAFF", 0)
	add(seedsAsked(t, 30), staff)
	for _, size := range largeSizes() {
		if staff == 0 {
			add(number(t, "SALLYPORT_LARGE", 1), size)
		}
	}
	return list
}

// asked are the profiles that are to be run, and the one that is made in another way. SALLYPORT_FRESH adds companies that nothing was tuned to.
func asked(t testing.TB) (list []sim.Profile) {
	t.Helper()
	profiles := append(sim.Profiles(), sim.Desk())
	for i := range number(t, "SALLYPORT_FRESH", 0) {
		profiles = append(profiles, sim.Fresh(uint64(i)+1)) //nolint:gosec // small
	}
	only := os.Getenv("SALLYPORT_PROFILE")
	for _, p := range profiles {
		if only == "" || slices.Contains(strings.Split(only, ","), p.Name) {
			p.Weeks = number(t, "SALLYPORT_WEEKS", p.Weeks)
			list = append(list, p)
		}
	}
	return list
}

// TestBenchDetect is `make bench-detect`; without SALLYPORT_SIEGE one small company is enough. Each core has one company at a time, so that what is in
// memory does not grow with the seeds. What SALLYPORT_RESULTS names keeps a line for each: what is there is not run again, and the tables
// are of all that is there.
func TestBenchDetect(t *testing.T) {
	if !whole() && !quick() {
		benchSmall(t)
		return
	}
	name := os.Getenv("SALLYPORT_RESULTS")
	if name != "" && quick() {
		t.Fatal("SALLYPORT_QUICK leaves methods out: such results are not kept, unset SALLYPORT_RESULTS")
	}
	kept, err := openResults(benchVersion(t), name)
	fatal(t, err)
	todo := make(chan task)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for next := range todo {
				if kept.has(&next.profile, next.seed) {
					continue
				}
				r := resultOf(&next.profile, next.seed, run(t, next.profile, next.seed, true))
				if err := kept.add(r); err != nil {
					t.Error(err)
				}
				t.Logf("%s, %d people, seed %d: %.0f false alarms, %d of %d insiders caught", r.Profile, r.Staff, r.Seed, r.Alarms, r.caught(), len(r.Insiders))
			}
		})
	}
	for _, each := range tasks(t) {
		todo <- each
	}
	close(todo)
	workers.Wait()
	printAll(t, kept.order)
	printCost(t)
}

// printCost tells what this run, not those whose results it went on with, took.
func printCost(t *testing.T) {
	t.Helper()
	var used syscall.Rusage
	fatal(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	t.Logf("this run: %.0f s of processor, at most %.0f MiB", float64(used.Utime.Nano()+used.Stime.Nano())/1e9, float64(used.Maxrss)/1024)
}

func (r *result) caught() (n int) {
	for i := range r.Insiders {
		if r.Insiders[i].Caught {
			n++
		}
	}
	return n
}

func benchSmall(t *testing.T) {
	t.Helper()
	p := sim.Profiles()[0]
	p.Staff, p.Weeks = 80, 14
	b := benchOf(p.Name, []*result{resultOf(&p, 1000, run(t, p, 1000, true))})
	b.print(t)
	for _, must := range []string{"seller  20 a day", "seller 500 a day", "exporter", "stolen", "negligent"} {
		if c := b.insiders[must]; c == nil || c.caught != c.n || c.n == 0 {
			t.Errorf("%s: %+v", must, c)
		}
	}
	if low, _ := poissonInterval(b.alarms); low > b.days*DefaultBudget {
		t.Errorf("%.0f false alarms on %.0f days", b.alarms, b.days)
	}
}

// TestBenchResults gathers results in two runs, of which the first was cut off in mid-line, and refuses those of another version.
func TestBenchResults(t *testing.T) {
	name := filepath.Join(t.TempDir(), "results.jsonl")
	p := sim.Profiles()[0]
	k, err := openResults("a", name)
	fatal(t, err)
	fatal(t, k.add(&result{Profile: p.Name, Staff: p.Staff, Weeks: p.Weeks, Seed: 1, Alarms: 2}))
	fatal(t, k.file.Close())
	text, err := os.ReadFile(name)
	fatal(t, err)
	fatal(t, os.WriteFile(name, append(text, text[:len(text)/2]...), 0o600))

	k, err = openResults("a", name)
	fatal(t, err)
	if !k.has(&p, 1) || k.has(&p, 2) || len(k.order) != 1 || k.order[0].Alarms != 2 {
		t.Errorf("read %d results, the first %+v", len(k.order), k.order[0])
	}
	larger := p
	larger.Staff++
	if k.has(&larger, 1) {
		t.Error("a company of another size passes for this one")
	}
	fatal(t, k.add(&result{Profile: p.Name, Staff: p.Staff, Weeks: p.Weeks, Seed: 2, Alarms: 3}))
	fatal(t, k.file.Close())
	k, err = openResults("a", name)
	fatal(t, err)
	if b := benchOf("all", k.order); b.runs != 2 || b.alarms != 5 {
		t.Errorf("%d runs, %.0f alarms in all", b.runs, b.alarms)
	}
	fatal(t, k.file.Close())
	if _, err = openResults("b", name); err == nil || !strings.Contains(err.Error(), "results.jsonl:1 is of version a, and this is b") {
		t.Errorf("results of another version: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}
