package ledger

import (
	"fmt"
	"io"
	"time"
)

// Finding is one thing that is not as it must be.
type Finding struct {
	Where string `json:"where"`
	What  string `json:"what"`
}

// Seen is a checkpoint that the copy was held to.
type Seen struct {
	Name string `json:"name"`
	Size uint64 `json:"size"`
	Fits bool   `json:"fits"`
}

// mostFindings bounds how many are kept; the others are counted.
const mostFindings = 100

// Report is what Verify found, and what it could not look at.
type Report struct {
	Origin      string            `json:"origin"`
	Leaves      uint64            `json:"leaves"`
	Signed      uint64            `json:"signed"` // leaves under the copy's own checkpoint
	Entries     map[string]uint64 `json:"entries"`
	Erased      map[string]uint64 `json:"erased"`     // lawfully: listed by an entry of the control stream
	Unledgered  map[string]uint64 `json:"unledgered"` // newest entries that stand in no log yet
	Checkpoints []Seen            `json:"checkpoints"`
	Found       uint64            `json:"found"`
	Findings    []Finding         `json:"findings"` // the first hundred
	NotChecked  []string          `json:"not_checked"`
	At          time.Time         `json:"at,omitzero"`
}

func (r *Report) find(where, format string, args ...any) {
	r.Found++
	if len(r.Findings) < mostFindings {
		r.Findings = append(r.Findings, Finding{where, fmt.Sprintf(format, args...)})
	}
}

func (r *Report) unchecked(format string, args ...any) {
	r.NotChecked = append(r.NotChecked, fmt.Sprintf(format, args...))
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	for _, s := range []Stream{Access, Control} {
		name := s.String()
		fmt.Fprintf(w, "%-8s %d entries, %d of them erased and listed, the newest %d in no log yet\n", name, r.Entries[name], r.Erased[name], r.Unledgered[name])
	}
	fmt.Fprintf(w, "ledger   %s, %d leaves, %d under its checkpoint\n", r.Origin, r.Leaves, r.Signed)
	for _, c := range r.Checkpoints {
		fits := "fits"
		if !c.Fits {
			fits = "DOES NOT FIT"
		}
		fmt.Fprintf(w, "seen     %s, %d leaves: %s\n", c.Name, c.Size, fits)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "FOUND    %s: %s\n", f.Where, f.What)
	}
	if more := r.Found - uint64(len(r.Findings)); more > 0 {
		fmt.Fprintf(w, "FOUND    %d more\n", more)
	}
	for _, n := range r.NotChecked {
		fmt.Fprintf(w, "NOT CHECKED: %s\n", n)
	}
	if r.Found == 0 {
		fmt.Fprintln(w, "Nothing was changed, removed, inserted, reordered or replayed, as far as it was checked.")
	}
}
