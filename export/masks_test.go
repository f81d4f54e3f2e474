package export

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/sources"
)

// testMasks are pseudonyms that a test can tell from names.
type testMasks struct{}

func mask(kind, text string) string {
	if text == "" {
		return ""
	}
	return kind + "-" + strings.Repeat("m", len(text))
}

func (testMasks) Person(who sallyport.Staff) string {
	if strings.HasPrefix(string(who), "svc_") || who == "sallyport" {
		return string(who)
	}
	return mask("p", string(who))
}
func (testMasks) Session(id string) string { return mask("x", id) }
func (testMasks) Address(a string) string  { return mask("a", a) }
func (testMasks) Device(d string) string   { return mask("d", d) }
func (testMasks) Grant(id string) string   { return mask("g", id) }
func (testMasks) Purpose(text string) string {
	kind, ref, _ := strings.Cut(text, ":")
	return kind + ":" + mask("r", ref)
}

func (testMasks) Application(app string, who *sallyport.Who) string {
	if who.Login != "" && strings.Contains(app, who.Login) {
		return "(names its user)"
	}
	return app
}

const foundLine = `{"time":"2026-03-01T12:00:00Z","id":"exposure-s017-3","kind":"exposure","staff":["s017","s018"],"type":"malicious","probabilities":{"malicious":0.91,"benign":0.05},
"log10_odds":2.5,"evidence":[{"source":"exposure","text":"s017 saw 31 customers in 2 days, where none was expected","log10":3.1}],"subjects_exposed":31,
"since":"2026-02-27T08:00:00Z","since_low":"2026-02-26T00:00:00Z","since_high":"2026-02-28T00:00:00Z","attack":["T1213.004"],"action":"suspend"}`

// findings are entries of the control stream that hold lists or lines of their own.
func findings() []*sallyport.Event {
	at := time.UnixMilli(1767600305123).UTC()
	return []*sallyport.Event{
		{Seq: 900, Time: at, Kind: sallyport.FindingKind, Order: &sallyport.Order{ID: "exposure-s017-3", About: "s017", Finding: []byte(foundLine)}},
		{Seq: 901, Time: at, Kind: sallyport.FindingKind, Order: &sallyport.Order{ID: "broken", About: "s017", Finding: []byte("{")}},
		{Seq: 902, Time: at, Kind: sallyport.Erasing, Order: &sallyport.Order{ID: "k3x7q2mzpa", Action: "erase", Erased: &sallyport.Erasure{Record: testRecord, Runs: []uint64{4, 4, 7, 9}, Count: 4}}},
	}
}

// TestPseudonyms: with pseudonyms no message of any kind, in any format, holds who somebody is or what leads to him; with one person shown his stand there.
func TestPseudonyms(t *testing.T) {
	for _, format := range []Format{OCSF, CEF, ECS} {
		c := encoder(t, format)
		c.Masks = testMasks{}
		named := 0
		for _, e := range append(everyEvent(), findings()...) {
			if !plainNotes(e.Kind) {
				e.Note = "s017 called as anna from 10.4.0.17"
			}
			for _, m := range c.Append(nil, e) {
				for _, secret := range []string{"s017", "s018", "s050", "s051", "anna", `"x9"`, "=x9 ", "lap-017", "10.4.0.17", "4711", "CS-4821"} {
					if bytes.Contains(m.Body, []byte(secret)) {
						t.Errorf("%s as %s holds %s: %s", e.Kind, format, secret, m.Body)
					}
				}
				if bytes.Contains(m.Body, []byte("p-mmmm")) {
					named++
				}
			}
		}
		if named < 30 {
			t.Errorf("%s: %d messages have a pseudonym", format, named)
		}
		c.Shown = func(who sallyport.Staff) bool { return who == "s017" }
		shown := 0
		for _, e := range everyEvent() {
			for _, m := range c.Append(nil, e) {
				if bytes.Contains(m.Body, []byte("s017")) {
					shown++
				}
				if bytes.Contains(m.Body, []byte("s050")) {
					t.Errorf("%s as %s shows another one", e.Kind, format)
				}
			}
		}
		if shown == 0 {
			t.Errorf("%s: who is to be shown is not", format)
		}
	}
}

// TestFindings: a finding is a Detection Finding with its id, kind, weights and steps, and is read back as an alert about whom it names.
func TestFindings(t *testing.T) {
	var lines bytes.Buffer
	c := encoder(t, OCSF)
	for _, e := range findings()[:2] {
		m := c.Append(nil, e)
		if len(m) != 1 {
			t.Fatalf("%d messages", len(m))
		}
		lines.Write(append(m[0].Body, '\n'))
	}
	first, _, _ := strings.Cut(lines.String(), "\n")
	var o struct {
		Class      int `json:"class_uid"`
		Severity   int `json:"severity_id"`
		Confidence int `json:"confidence_score"`
		Info       struct {
			UID, Title string
			Types      []string
			Attacks    []struct{ Technique struct{ UID string } }
		} `json:"finding_info"`
		Unmapped struct {
			Sallyport struct {
				Staff         []string
				Probabilities map[string]float64
				Evidence      []struct {
					Text  string
					Log10 float64
				}
				Exposed int64 `json:"subjects_exposed"`
			}
		}
	}
	if err := json.Unmarshal([]byte(first), &o); err != nil {
		t.Fatalf("%v: %s", err, first)
	}
	own := o.Unmapped.Sallyport
	if o.Class != 2004 || o.Severity != high || o.Confidence != 95 || o.Info.UID != "exposure-s017-3" || o.Info.Title != "Finding: exposure, most likely malicious" ||
		len(o.Info.Attacks) != 1 || o.Info.Attacks[0].Technique.UID != "T1213.004" || len(own.Staff) != 2 || own.Probabilities["malicious"] != 0.91 ||
		len(own.Evidence) != 1 || own.Evidence[0].Log10 != 3.1 || own.Exposed != 31 {
		t.Errorf("%+v of %s", o, first)
	}
	file := filepath.Join(t.TempDir(), "alerts.jsonl")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	alerts, err := (&sources.Reader{}).Alerts(file)
	if err != nil || len(alerts) != 2 || alerts[0].Staff != "s017" || alerts[0].Severity != high || alerts[1].Staff != "s017" {
		t.Errorf("read back as alerts: %+v, %v", alerts, err)
	}
}

// TestErasingIsTold: the entry that lists what is erased names the messages that are to go.
func TestErasingIsTold(t *testing.T) {
	for _, format := range []Format{OCSF, CEF, ECS} {
		m := encoder(t, format).Append(nil, findings()[2])
		for _, id := range []string{sources.UID(testRecord, 4, 0), sources.UID(testRecord, 7, 0) + "..9"} {
			if len(m) != 1 || !bytes.Contains(m[0].Body, []byte(id)) {
				t.Errorf("%s without %s: %s", format, id, m[0].Body)
			}
		}
	}
}

// TestFindingsGrowAndClose: the first line of a finding leaves as Create, later ones as Update, and the approval by which its case is closed as Close, each
// under the finding's one id; the approval itself leaves as before.
func TestFindingsGrowAndClose(t *testing.T) {
	at := time.UnixMilli(1767600305123).UTC()
	order := func(grown bool) *sallyport.Order {
		return &sallyport.Order{ID: "exposure-s017-3", About: "s017", Finding: []byte(foundLine), Grown: grown}
	}
	for _, named := range []bool{true, false} {
		c, err := NewEncoder(OCSF, testRecord, "v1", nil)
		if err != nil {
			t.Fatal(err)
		}
		id := "exposure-s017-3"
		if !named {
			c.Masks, id = testMasks{}, "exposure-"+mask("p", "s017")+"-3"
		}
		var list []Message
		for _, e := range []*sallyport.Event{
			{Seq: 1, Time: at, Kind: sallyport.FindingKind, Order: order(false)},
			{Seq: 2, Time: at, Kind: sallyport.FindingKind, Order: order(true)},
			{Seq: 3, Time: at, Kind: sallyport.Approved, Order: &sallyport.Order{ID: "p1", Action: "case", By: "s051", Settled: []sallyport.Settled{{Finding: "exposure-s017-3", About: "s017"}}}},
		} {
			list = c.Append(list, e)
		}
		var got []string
		for _, m := range list {
			var o struct {
				Class    int `json:"class_uid"`
				Activity int `json:"activity_id"`
				Type     int `json:"type_uid"`
				Info     struct {
					UID string `json:"uid"`
				} `json:"finding_info"`
				Metadata struct {
					UID string `json:"uid"`
				} `json:"metadata"`
			}
			if err := json.Unmarshal(m.Body, &o); err != nil {
				t.Fatalf("%v: %s", err, m.Body)
			}
			if o.Class == 2004 {
				if o.Type != 200400+o.Activity || o.Metadata.UID != m.UID {
					t.Errorf("%s", m.Body)
				}
				got = append(got, string(rune('0'+o.Activity))+" "+o.Info.UID)
			}
			if !named && strings.Contains(string(m.Body), "s017") {
				t.Errorf("it names him: %s", m.Body)
			}
		}
		if want := []string{"1 " + id, "2 " + id, "3 " + id}; len(list) != 4 || !slices.Equal(got, want) {
			t.Errorf("%d messages, %v, expected %v", len(list), got, want)
		}
	}
}
