package program

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sallyport"
)

// anchors are the headings of a page, as links name them.
func anchors(t *testing.T, page string) (out []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	drop := regexp.MustCompile(`[^a-z0-9 -]`)
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, "#") {
			heading := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
			out = append(out, strings.ReplaceAll(drop.ReplaceAllString(heading, ""), " ", "-"))
		}
	}
	return out
}

// TestNoClaimWithoutALink: all 22 practices, each with what the company must do, a page that is there and has that heading, and evidence of kinds that
// the vocabulary knows.
func TestNoClaimWithoutALink(t *testing.T) {
	practices, err := Practices()
	if err != nil || len(practices) != 22 {
		t.Fatalf("%d practices, %v", len(practices), err)
	}
	vocabulary := ""
	for _, file := range []string{"event.go", "case.go", "program.go", "report.go", "canary.go", "people.go", "grant.go", "drill.go", "imported.go"} {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		vocabulary += string(text)
	}
	dos := []string{RotationCommit, RotationDraw, Acknowledged, ReviewOpened, ReviewDecided}
	for i, p := range practices {
		if p.N != i+1 || p.Title == "" || p.Does == "" || p.Company == "" || p.Page == "" {
			t.Errorf("%d: %+v", i+1, p)
		}
		page, heading, has := strings.Cut(p.Page, "#")
		if of := anchors(t, page); has && !slices.Contains(of, heading) {
			t.Errorf("%d: docs/%s has no heading %s", p.N, page, heading)
		}
		for _, what := range p.Evidence {
			do, ours := strings.CutPrefix(what, "program:")
			known := regexp.MustCompile(`EventKind += "` + regexp.QuoteMeta(what) + `"`).MatchString(vocabulary)
			if ours && !slices.Contains(dos, do) || !ours && !known {
				t.Errorf("%d: no entry is of kind %s", p.N, what)
			}
		}
		if len(p.Evidence) == 0 && !strings.HasPrefix(p.Does, "nothing") && p.N != 18 { // of backups there is no entry
			t.Errorf("%d: a claim that no entry can show: %s", p.N, p.Does)
		}
	}
}

// TestAssess: what the record shows, what it does not show, and what it cannot.
func TestAssess(t *testing.T) {
	v := NewEvidence(t0, t0.AddDate(0, 0, 90))
	for _, e := range []sallyport.Event{
		{Time: t0, Kind: sallyport.FindingKind},
		{Time: t0.AddDate(0, 0, 2), Kind: sallyport.FindingKind},
		{Time: t0.AddDate(0, 0, 90), Kind: sallyport.DrillKind}, // too late
		{Time: t0, Kind: sallyport.ProgramKind, Order: &sallyport.Order{Program: &sallyport.ProgramStep{Do: Acknowledged}}},
	} {
		v.Take(&e)
	}
	practices, err := Practices()
	if err != nil {
		t.Fatal(err)
	}
	got := v.Assess(practices)
	for n, want := range map[int]string{3: "evidence", 4: "evidence", 5: "company", 22: "none"} {
		if got[n-1].State != want {
			t.Errorf("%d: %s, want %s", n, got[n-1].State, want)
		}
	}
	if s := got[3].Seen; len(s) != 1 || s[0].Times != 2 || !s[0].Last.Equal(t0.AddDate(0, 0, 2)) {
		t.Errorf("%+v", s)
	}
}
