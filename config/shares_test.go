package config

import (
	"net/netip"
	"strings"
	"testing"

	"sallyport/exposure"
)

func TestSharedBudgetsOfConfig(t *testing.T) {
	c := &Config{Services: map[string]Service{"svc_desk": {}, "svc_phone": {}}}
	if c.Shared() != nil {
		t.Error("somebody shares what is not configured")
	}
	five := exposure.Budget{Hour: 5}
	star := map[string]exposure.Budget{everyOther: {Hour: 9}}
	c.Budgets.Shared = SharedBudgets{
		Team: map[string]exposure.Budget{"eu": five}, Service: star, Country: map[string]exposure.Budget{"DE": five, everyOther: {Hour: 9}},
		Application: map[string]exposure.Budget{"psql": five, everyOther: {Hour: 9}},
	}
	shared := c.Shared()
	for _, k := range []struct {
		scope exposure.Scope
		name  string
		want  int // 0: none
	}{
		{exposure.Team, "eu", 5},
		{exposure.Team, "us", 0},
		{exposure.Service, "svc_desk", 9},
		{exposure.Service, "s017", 0},
		{exposure.Country, "DE", 5},
		{exposure.Country, "FR", 9},
		{exposure.Country, exposure.Unknown, 9},
		{exposure.Application, "psql", 5},
		{exposure.Application, "my own name", 0}, // all of these are one
		{exposure.Application, othersName, 9},
		{exposure.Device, exposure.Unknown, 0},
	} {
		b, ok := shared(k.scope, k.name)
		if ok != (k.want > 0) || b.Hour != k.want {
			t.Errorf("%s %q: %+v, %v", k.scope, k.name, b, ok)
		}
	}
}

func TestAtlas(t *testing.T) {
	a, err := readAtlas(strings.NewReader("network,country\n10.0.0.0/8,DE\n# offices\n10.4.0.0/16, FR\n10.4.7.9/32,\"US\"\n2001:db8::/32,JP\n0.0.0.0/0,elsewhere\n"))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"10.1.2.3": "DE", "10.4.2.3": "FR", "10.4.7.9": "US", "10.4.7.10": "FR", "2001:db8:1::1": "JP", "2001:db9::1": "", "192.0.2.1": "elsewhere",
	} {
		if got := a.country(netip.MustParseAddr(at)); got != want {
			t.Errorf("%s is in %q, not %q", at, got, want)
		}
	}
	for _, wrong := range []string{"10.0.0.0,DE", "10.0.0.0/8,", "10.0.0.0/8", "10.0.0.0/8,DE,x", "a,b"} {
		if _, err := readAtlas(strings.NewReader(wrong)); err == nil {
			t.Errorf("%q is read", wrong)
		}
	}
}

func TestCheckAssertionsAndShares(t *testing.T) {
	const good = `version: 1
assertions:
  idp: {issuer: https://idp.example, audience: sallyport, keys: "https://idp.example/keys", signed_by: issuer}
  own: {issuer: desk, audience: sallyport, keys: desk.json}
services:
  svc_desk: {logins: [svc_desk], owner: s001, acts_for: {assertions: [idp, own], teams: [eu]}}
  svc_shop: {logins: [svc_shop], owner: s001, acts_for: {assertions: [idp]}}
people:
  s001: {team: eu, role: lead, logins: [s001]}
budgets:
  shared: {team: {eu: {hour: 5}, "*": {hour: 9}}, service: {svc_desk: {day: 5}}, application: {psql: {month: 5}}, purpose: {ticket: {hour: 5}}, device: {unknown: {hour: 4}}, country: {DE: {hour: 5}}}
networks: networks.csv
`
	if _, err := Parse("sallyport.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct{ from, to, want string }{
		{"https://idp.example/keys", "http://idp.example/keys", "https only"},
		{"signed_by: issuer", "signed_by: nobody", "nobody signs as"},
		{"audience: sallyport, keys: desk.json", "keys: desk.json", "no audience"},
		{"issuer: desk", "issuer: https://idp.example", "has this issuer already"},
		{"keys: desk.json}", "keys: desk.json, algorithms: [none]}", "no algorithm \"none\""},
		{"keys: desk.json}", "keys: desk.json, algorithms: [HS256]}", "no algorithm \"HS256\""},
		{"keys: desk.json}", "keys: desk.json, longest: 25h}", "no length of time"},
		{"svc_desk], owner: s001", "svc_desk]", "nobody answers for it"},
		{"svc_desk], owner: s001", "svc_desk], owner: s9", "nobody is called \"s9\""},
		{"teams: [eu]", "teams: [us]", "nobody is in team \"us\""},
		{"acts_for: {assertions: [idp]}", "acts_for: {assertions: [ipd]}", "there is no \"ipd\""},
		{"acts_for: {assertions: [idp]}", "acts_for: {assertions: [own]}", "signs with these keys too"},
		{"acts_for: {assertions: [idp]}", "acts_for: {teams: [eu]}", "nobody's word"},
		{"budgets:", "mask: {columns: {a.b.c: {show: none}}, seen_by: [svc_shop]}\nbudgets:", "sees masked columns itself"},
		{"{eu: {hour: 5},", "{ue: {hour: 5},", "there is no team \"ue\""},
		{"service: {svc_desk:", "service: {svc_disk:", "there is no service \"svc_disk\""},
		{"psql: {month: 5}", "psql: {month: -5}", "below 0"},
		{"networks: networks.csv", "", "nobody knows where an address is"},
		{"networks: networks.csv", "networks: networks.csv\nlocks_per_hour: -1", "expected 1 or more"},
	} {
		text := strings.Replace(good, k.from, k.to, 1)
		if _, err := Parse("sallyport.yaml", []byte(text)); err == nil || text == good || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s instead of %s: %v, not %q", k.to, k.from, err, k.want)
		}
	}
}
