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

// follow follows the link of a claim, and holds its evidence to the kinds of entries that there are.
func follow(t *testing.T, what, page string, evidence []string) {
	t.Helper()
	vocabulary := ""
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../detect/streams.go") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		vocabulary += string(text)
	}
	file, heading, has := strings.Cut(page, "#")
	if of := anchors(t, file); has && !slices.Contains(of, heading) {
		t.Errorf("%s: docs/%s has no heading %s", what, file, heading)
	}
	for _, kind := range evidence {
		group, do, ours := strings.Cut(kind, ":")
		known := map[string][]string{
			"program": {RotationCommit, RotationDraw, Acknowledged, ReviewOpened, ReviewDecided}, "training": {"imported", "assigned", "read"}, "finding": {do},
		}[group]
		if ours && !slices.Contains(known, do) || !ours && !regexp.MustCompile(`EventKind += "`+regexp.QuoteMeta(kind)+`"`).MatchString(vocabulary) {
			t.Errorf("%s: no entry is of kind %s", what, kind)
		}
	}
}

// TestNoTechniqueWithoutALink: each technique once, with its name, what the company must do, a page that is there, and evidence wherever something is
// claimed; every technique that a finding may name is among them, and the version is the one that findings name.
func TestNoTechniqueWithoutALink(t *testing.T) {
	list, err := Techniques()
	if err != nil {
		t.Fatal(err)
	}
	known, seen := map[string]bool{}, 0
	for _, x := range list {
		if known[x.ID] || !regexp.MustCompile(`^T\d{4}(\.\d{3})?$`).MatchString(x.ID) || x.Name == "" || x.Does == "" || x.Company == "" || x.Page == "" {
			t.Errorf("%+v", x)
		}
		known[x.ID] = true
		if x.Seen {
			seen++
		}
		follow(t, x.ID, x.Page, x.Evidence)
		if (x.Does == "nothing") != (len(x.Evidence) == 0) {
			t.Errorf("%s: a claim that no entry can show, or entries without a claim: %s", x.ID, x.Does)
		}
	}
	if seen != 70 { // distinct ones of the knowledge base's file
		t.Errorf("%d techniques of insiders", seen)
	}
	for _, file := range []string{"streams.go", "finding.go"} {
		text, err := os.ReadFile(filepath.Join("..", "detect", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range regexp.MustCompile(`"(T\d{4}(?:\.\d{3})?)"`).FindAllStringSubmatch(string(text), -1) {
			if !known[id[1]] {
				t.Errorf("findings name %s, of which the standards say nothing", id[1])
			}
		}
		if file == "finding.go" && !strings.Contains(string(text), `AttackVersion = "`+AttackVersion+`"`) {
			t.Errorf("findings do not name techniques of %s", AttackVersion)
		}
	}
}

// TestNoClaimWithoutALink: all 22 practices, each with what the company must do, a page that is there and has that heading, and evidence of kinds that
// the vocabulary knows.
func TestNoClaimWithoutALink(t *testing.T) {
	practices, err := Practices()
	if err != nil || len(practices) != 22 {
		t.Fatalf("%d practices, %v", len(practices), err)
	}
	for i, p := range practices {
		if p.N != i+1 || p.Title == "" || p.Does == "" || p.Company == "" || p.Page == "" {
			t.Errorf("%d: %+v", i+1, p)
		}
		follow(t, p.Title, p.Page, p.Evidence)
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
