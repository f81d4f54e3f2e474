package cases

import (
	"strings"
	"testing"
	"time"
)

func TestDeadlines(t *testing.T) {
	rules, err := ParseRules(OwnRules())
	if err != nil {
		t.Fatal(err)
	}
	aware := time.Date(2026, 11, 26, 15, 0, 0, 0, time.UTC) // a Thursday
	find := func(countries []string, id string) *Due {
		for _, d := range Deadlines(rules, aware, countries, map[string]time.Time{"nis2-early": aware.Add(time.Hour)}) {
			if d.ID == id {
				return &d
			}
		}
		return nil
	}
	for _, c := range []struct {
		countries []string
		id        string
		at        string // empty: it does not apply; "-": no fixed time
	}{
		{[]string{"DE"}, "gdpr-33", "2026-11-29T15:00:00Z"},
		{[]string{"de"}, "gdpr-33", "2026-11-29T15:00:00Z"},
		{[]string{"NO"}, "gdpr-33", "2026-11-29T15:00:00Z"}, // and not what YAML takes for false
		{[]string{"US"}, "gdpr-33", ""},
		{[]string{"DE"}, "gdpr-34", "-"},
		{[]string{"US"}, "us-sec", "2026-12-02T15:00:00Z"}, // over a weekend
		{[]string{"DE"}, "us-sec", ""},
		{[]string{"BR"}, "br-48", "2026-12-01T15:00:00Z"},
		{[]string{"BR"}, "br-48-people", "2026-12-01T15:00:00Z"},
		{[]string{"US"}, "us-ny", "2026-12-26T15:00:00Z"},
		{[]string{"DE"}, "nis2-early", "2026-11-27T15:00:00Z"},
		{nil, "us-ny", "2026-12-26T15:00:00Z"}, // nobody has said where they live: all of them
	} {
		d := find(c.countries, c.id)
		switch {
		case d == nil:
			if c.at != "" {
				t.Errorf("%v %s does not apply", c.countries, c.id)
			}
		case d.At.IsZero() != (c.at == "-") || c.at != "-" && d.At.Format(time.RFC3339) != c.at:
			t.Errorf("%v %s: %s, expected %q", c.countries, c.id, d.At, c.at)
		}
	}
	if d := find([]string{"DE"}, "gdpr-33"); d.Late(aware.Add(71*time.Hour)) || !d.Late(aware.Add(73*time.Hour)) {
		t.Error("72 hours are not 72 hours")
	}
	if d := find(nil, "nis2-early"); d.Late(aware.Add(99 * time.Hour)) {
		t.Error("it was met")
	}
	for what, bad := range map[string]string{
		"no addressee": "- {id: a, LAW}", "another addressee": "- {id: a, to: press, LAW}", "two lengths": "- {id: a, to: customers, hours: 1, days: 2, LAW}",
		"an id twice": "- {id: a, to: customers, LAW}\n- {id: a, to: customers, LAW}", "an unknown field": "- {id: a, to: customers, hour: 1, LAW}", "a negative length": "- {id: a, to: customers, hours: -1, LAW}",
		"no law": "- {id: a, to: customers}", "no article": "- {id: a, to: customers, law: x, source: https://law.example/}", "no source": "- {id: a, to: customers, law: x, article: '1'}",
		"a source that is no address": "- {id: a, to: customers, law: x, article: '1', source: the gazette}",
	} {
		if _, err := ParseRules([]byte(strings.ReplaceAll(bad, "LAW", "law: x, article: '1', source: https://law.example/x"))); err == nil {
			t.Errorf("%s is read", what)
		}
	}
	if _, err := ParseRules([]byte("- {id: a, to: customers, law: x, article: '1', source: https://law.example/x}")); err != nil {
		t.Error(err)
	}
}

// TestDrafts: the letters warn of scam calls and say how to verify one, and the figures are those that were given.
func TestDrafts(t *testing.T) {
	text, err := Draft("customers", "", Letter{Case: 3, Sure: true, What: "your e-mail address", First: "2026-03-02"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"read data about you", "your e-mail address", "hang up. Call us at the number on our website", "case 3"} {
		if !strings.Contains(text, want) {
			t.Errorf("the letter lacks %q:\n%s", want, text)
		}
	}
	text, err = Draft("regulator", "", Notice{Case: 3, Certain: 41, Reports: 6, Fields: []Figure{{Name: "email", Customers: 41}}, Countries: []Figure{{Name: "DE", Certain: 40}}, Untouched: []string{"billing.cards"}, Limits: []string{"two entries are missing"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"41 whose data he certainly", "6 customers have confirmed", "DE: 40 certain", "billing.cards", "two entries are missing", "email (of 41)"} {
		if !strings.Contains(text, want) {
			t.Errorf("the notice lacks %q:\n%s", want, text)
		}
	}
	if _, err := Draft("regulator", "{{.Nothing}}", Notice{}); err == nil {
		t.Error("a template asks for what there is not")
	}
	if _, err := Draft("press", "", Notice{}); err == nil {
		t.Error("there is a notice to the press")
	}
}
