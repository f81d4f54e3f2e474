package detect

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport"
	"sallyport/sim"
)

// result is what one company came to. It is a line of the file of results, so that many companies can be gathered in several runs.
type result struct {
	Version  string    `json:"version"`
	Profile  string    `json:"profile"`
	Seed     uint64    `json:"seed"`
	Staff    int       `json:"staff"`
	Weeks    int       `json:"weeks"`
	Accesses int64     `json:"accesses"`
	Days     float64   `json:"days"` // of innocent people
	Alarms   float64   `json:"alarms"`
	False    []string  `json:"false,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
	Insiders []outcome `json:"insiders"`
}

// outcome is what came of one insider.
type outcome struct {
	Name    string           `json:"name"`
	Staff   string           `json:"staff"`
	Took    int              `json:"took"` // in all; 0: he left before he began
	Caught  bool             `json:"caught"`
	Right   bool             `json:"right"`            // the type
	Seconds float64          `json:"seconds"`          // from the first theft to the finding
	Taken   float64          `json:"taken"`            // customers, by then
	Oracle  float64          `json:"oracle,omitempty"` // customers, until who knows all rates alarms; 0: never
	Limit   float64          `json:"limit,omitempty"`  // customers, by ln A / KL
	Scored  [methods]bool    `json:"scored"`           // he had a day by the method
	Ranked  [methods][3]bool `json:"ranked"`           // above the score that 1, 2, 5 of 1,000 innocent days exceed
	Worked  float64          `json:"worked,omitempty"` // days since he began
}

// key tells companies apart.
func (r *result) key() string { return fmt.Sprintf("%s/%d/%d/%d", r.Profile, r.Staff, r.Weeks, r.Seed) }

// resultOf is what is kept of a run.
func resultOf(p *sim.Profile, seed uint64, r *trialRun) *result {
	out := &result{Profile: p.Name, Seed: seed, Staff: p.Staff, Weeks: p.Weeks, Accesses: r.events, Days: r.innocent.days, Alarms: r.innocent.alarms, False: r.false_}
	for _, h := range r.health {
		if h.Warning != "" {
			out.Warnings = append(out.Warnings, fmt.Sprintf("%+v", h))
		}
	}
	for i := range r.insiders {
		out.Insiders = append(out.Insiders, r.outcome(&r.insiders[i]))
	}
	r.rank(out)
	return out
}

func (r *trialRun) outcome(in *sim.Insider) outcome {
	o := outcome{Name: string(in.Scheme), Staff: string(in.Staff[0])}
	if in.Scheme == sim.Seller {
		o.Name = sellerName(in.Rate)
	}
	var thefts []theft
	for _, who := range in.Staff {
		thefts = append(thefts, r.stolen[who]...)
	}
	if len(thefts) == 0 {
		return o
	}
	slices.SortFunc(thefts, func(x, y theft) int { return x.at.Compare(y.at) })
	for _, x := range thefts {
		o.Took += x.n
	}
	if oracle, limit, ok := r.oracle(in, -math.Log(DefaultBudget)); ok {
		o.Oracle = oracle
		if !math.IsInf(limit, 0) && !math.IsNaN(limit) {
			o.Limit = limit
		}
	}
	var first *caught
	for _, who := range in.Staff {
		if a, ok := r.alarms[who]; ok && (first == nil || a.at.Before(first.at)) {
			first = &a
		}
	}
	if first != nil {
		o.Caught, o.Right = true, first.kind == in.Type
		o.Seconds, o.Taken = first.at.Sub(thefts[0].at).Seconds(), float64(first.taken)
	}
	return o
}

// rank finds for each method the score that so many innocent days exceed, and who is above it.
func (r *trialRun) rank(out *result) {
	guilty := map[sallyport.Staff]int{}
	for i := range r.insiders {
		for _, who := range r.insiders[i].Staff {
			guilty[who] = i
		}
	}
	began := func(i int) int64 { return r.insiders[i].From.Unix() / 86400 }
	for m := range methods {
		var clean []float64
		best := make([]float64, len(r.insiders))
		for _, s := range r.scores[m] {
			i, bad := guilty[s.who]
			if !bad || s.day < began(i) {
				clean = append(clean, s.score)
				continue
			}
			o := &out.Insiders[i]
			if m == ours {
				o.Worked++
			}
			if !o.Scored[m] || s.score > best[i] {
				o.Scored[m], best[i] = true, s.score
			}
		}
		slices.Sort(clean)
		for j, rate := range compared3() {
			for i := range best {
				if o := &out.Insiders[i]; o.Scored[m] {
					o.Ranked[m][j] = best[i] > clean[min(len(clean)-1, int(float64(len(clean))*(1-rate/1000)))]
				}
			}
		}
	}
}

// compared3 are the alarms in 1,000 person-days at which methods are compared.
func compared3() [3]float64 { return [3]float64{1, 2, 5} }

// benchVersion is a digest of all that results hang on: the detector, what companies are made by, and how they are measured. Results of another one
// are never mixed with these.
func benchVersion(t testing.TB) string {
	t.Helper()
	names := []string{"templates.yaml", "benchrun_test.go", "benchbase_test.go", "benchkeep_test.go"}
	for _, pattern := range []string{"*.go", "../sim/*.go"} {
		list, err := filepath.Glob(pattern)
		fatal(t, err)
		names = append(names, slices.DeleteFunc(list, func(name string) bool { return strings.HasSuffix(name, "_test.go") })...)
	}
	digest := sha256.New()
	for _, name := range names {
		text, err := os.ReadFile(name)
		fatal(t, err)
		fmt.Fprintf(digest, "%s %d\n%s", name, len(text), text)
	}
	return fmt.Sprintf("%x", digest.Sum(nil)[:6])
}

// results are those of one version, and the file that they are kept in, if there is one.
type results struct {
	mu      sync.Mutex
	version string
	file    *os.File
	known   map[string]*result
	order   []*result
}

// openResults reads what earlier runs have left, and refuses it if it is of another version. What was cut off in mid-line is forgotten.
func openResults(version, name string) (*results, error) {
	k := &results{version: version, known: map[string]*result{}}
	if name == "" {
		return k, nil
	}
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open results of the benchmark: %w", err)
	}
	k.file = file
	text, err := os.ReadFile(name)
	if err == nil {
		whole := text[:bytes.LastIndexByte(text, '\n')+1]
		if len(whole) < len(text) {
			err = file.Truncate(int64(len(whole)))
		}
		text = whole
	}
	if err != nil {
		return nil, fmt.Errorf("read results of the benchmark: %w", err)
	}
	for i, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		r := &result{}
		if err := json.Unmarshal(line, r); err != nil {
			return nil, fmt.Errorf("read results of the benchmark: %s:%d: %w", name, i+1, err)
		}
		if r.Version != version {
			return nil, fmt.Errorf("read results of the benchmark: %s:%d is of version %s, and this is %s: name another file, or check out what made it", name, i+1, r.Version, version)
		}
		k.put(r)
	}
	return k, nil
}

func (k *results) put(r *result) {
	if k.known[r.key()] == nil {
		k.known[r.key()] = r
		k.order = append(k.order, r)
	}
}

// add keeps a result. A line is written at once, so that whoever ends a run loses what is under way alone.
func (k *results) add(r *result) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r.Version = k.version
	k.put(r)
	if k.file == nil {
		return nil
	}
	line, err := json.Marshal(r)
	if err == nil {
		_, err = k.file.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep a result of the benchmark: %w", err)
	}
	return nil
}

// has tells whether a company was run before.
func (k *results) has(p *sim.Profile, seed uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known[(&result{Profile: p.Name, Staff: p.Staff, Weeks: p.Weeks, Seed: seed}).key()] != nil
}
