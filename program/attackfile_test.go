package program

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// stix is what of a bundle of ATT&CK is looked at.
type stix struct {
	Objects []struct {
		Type       string `json:"type"`
		Name       string `json:"name"`
		Revoked    bool   `json:"revoked"`
		Deprecated bool   `json:"x_mitre_deprecated"`
		Version    string `json:"x_mitre_version"`
		References []struct {
			Source string `json:"source_name"`
			ID     string `json:"external_id"`
		} `json:"external_references"`
	} `json:"objects"`
}

// differ says where techniques are not those of a bundle: another version, no such id, another name, or no longer in use.
func differ(b *stix, list []Technique) (out []string) {
	names, gone, version := map[string]string{}, map[string]string{}, ""
	for _, o := range b.Objects {
		if o.Type == "x-mitre-collection" {
			version = o.Version
		}
		if o.Type != "attack-pattern" {
			continue
		}
		for _, r := range o.References {
			switch {
			case r.Source != "mitre-attack":
			case o.Revoked || o.Deprecated:
				gone[r.ID] = o.Name
			default:
				names[r.ID] = o.Name
			}
		}
	}
	if want := strings.TrimPrefix(AttackVersion, "Enterprise v"); version != want && !strings.HasPrefix(version, want+".") {
		out = append(out, fmt.Sprintf("the file is of version %q, not of %s", version, AttackVersion))
	}
	for _, x := range list {
		switch name, is := names[x.ID]; {
		case is && name == x.Name:
		case is:
			out = append(out, fmt.Sprintf("%s is called %q there, and %q here", x.ID, name, x.Name))
		case gone[x.ID] != "":
			out = append(out, fmt.Sprintf("%s %s is not in use any more", x.ID, x.Name))
		default:
			out = append(out, fmt.Sprintf("there is no %s %s", x.ID, x.Name))
		}
	}
	return out
}

// TestTechniquesAreAttacks holds ids and names to ATT&CK's own published file (make attack): each is there, called so, in use, of the version that is named.
func TestTechniquesAreAttacks(t *testing.T) {
	path := os.Getenv("SALLYPORT_ATTACK")
	if path == "" {
		t.Skip("SALLYPORT_ATTACK names no file: 'make attack' fetches enterprise-attack-18.0.json of github.com/mitre-attack/attack-stix-data, or ATTACK=FILE is one")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b stix
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatalf("%s is no STIX bundle: %v", path, err)
	}
	list, err := Techniques()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range differ(&b, list) {
		t.Error(x)
	}
	t.Logf("%d techniques were compared with %d objects", len(list), len(b.Objects))
}

// TestDiffer: a file in which one technique has another name, one is revoked, one is missing and the version is another is told from one that has them all.
func TestDiffer(t *testing.T) {
	const bundle = `{"type":"bundle","objects":[
		{"type":"x-mitre-collection","x_mitre_version":"18.1"},
		{"type":"attack-pattern","name":"Databases","external_references":[{"source_name":"mitre-attack","external_id":"T1213.006"},{"source_name":"capec","external_id":"T1005"}]},
		{"type":"attack-pattern","name":"Data from Local System","revoked":true,"external_references":[{"source_name":"mitre-attack","external_id":"T1005"}]},
		{"type":"course-of-action","name":"Screen Capture","external_references":[{"source_name":"mitre-attack","external_id":"T1113"}]}]}`
	var b stix
	if err := json.Unmarshal([]byte(bundle), &b); err != nil {
		t.Fatal(err)
	}
	if got := differ(&b, []Technique{{ID: "T1213.006", Name: "Databases"}}); len(got) != 0 {
		t.Error(got)
	}
	list := []Technique{{ID: "T1213.006", Name: "Data Bases"}, {ID: "T1005", Name: "Data from Local System"}, {ID: "T1113", Name: "Screen Capture"}}
	want := []string{`T1213.006 is called "Databases" there, and "Data Bases" here`, "T1005 Data from Local System is not in use any more", "there is no T1113 Screen Capture"}
	if got := differ(&b, list); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	b.Objects[0].Version = "17.1"
	if got := differ(&b, nil); len(got) != 1 || !strings.Contains(got[0], `"17.1"`) {
		t.Errorf("%q", got)
	}
}
