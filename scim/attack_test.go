package scim

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"sallyport"
	"sallyport/staff"
)

// TestNoPower tries to become an approver by everything that SCIM can say.
func TestNoPower(t *testing.T) {
	p := start(t)
	id := p.add("eve", `,"roles":[{"value":"agent","primary":true}],"groups":[{"value":"x","display":"SG-Leads"}]`)
	other := p.group("SG-Nothing", id)
	patch := func(ops string) string {
		return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + ops + `]}`
	}
	for name, try := range map[string]func(){
		"roles in a PATCH": func() { p.call("PATCH", "/Users/"+id, patch(`{"op":"add","path":"roles","value":[{"value":"lead"}]}`)) },
		"a role in a filtered path": func() {
			p.call("PATCH", "/Users/"+id, patch(`{"op":"Add","path":"roles[primary eq \"True\"].value","value":"security"}`))
		},
		"an object in a text": func() {
			p.call("PATCH", "/Users/"+id, patch(`{"op":"Add","path":"roles","value":[{"value":"{\"value\":\"lead\"}"}]}`))
		},
		"another case": func() {
			p.call("PATCH", "/Users/"+id, patch(`{"op":"replace","value":{"ROLES":[{"Value":"SECURITY"}]}}`))
		},
		"roles in a PUT": func() { p.call("PUT", "/Users/"+id, `{"userName":"eve","active":true,"roles":["lead"]}`) },
		"his groups": func() {
			p.call("PATCH", "/Users/"+id, patch(`{"op":"add","path":"groups","value":[{"value":"`+other+`"}]}`))
		},
		"a group of leads": func() { p.group("sg-LEADS", id) },
		"a group that is renamed": func() {
			p.call("PATCH", "/Groups/"+other, patch(`{"op":"replace","value":{"displayName":"SG-Fraud"}}`))
		},
		"what the answer only says": func() {
			p.call("PATCH", "/Users/"+id, patch(`{"op":"add","path":"`+ownSchema+`:staff","value":"s050"}`))
		},
		"the listing's own attributes": func() {
			p.call("PATCH", "/Users/"+id, patch(`{"op":"add","value":{"place":{"role":"lead"},"want":{"role":"agent"},"staff":"s050","role":"lead","team":"fraud"}}`))
		},
	} {
		try()
		person, ok := p.state.Person("eve", nil, staff.Rules{Teams: []string{"fraud"}}, p.now)
		if !ok || person.Place.Role == "lead" || person.Place.Role == "security" || person.Place.Team == "fraud" {
			t.Errorf("%s: she is %+v", name, person.Place)
		}
	}
	if p.state.Wanted("eve") == (sallyport.Place{}) {
		t.Error("nothing of it is waiting for two people: the tries did not try anything")
	}
	if _, ok := p.state.Get(staff.SCIM, "s050"); ok {
		t.Error("she became somebody else")
	}
}

// TestPowerEnds: two people agreed, and then the provider takes it away, by each of the ways that it has. What comes back later is no more than a wish.
func TestPowerEnds(t *testing.T) {
	lead := sallyport.Place{Team: "tier1", Role: "lead"}
	for name, end := range map[string]func(p *provider, user, group string){
		"out of the group": func(p *provider, user, group string) {
			p.must(204, "PATCH", "/Groups/"+group, `{"Operations":[{"op":"remove","path":"members"}]}`)
		},
		"the group is deleted": func(p *provider, _, group string) { p.must(204, "DELETE", "/Groups/"+group, "") },
		"the group is renamed": func(p *provider, _, group string) {
			p.must(204, "PATCH", "/Groups/"+group, `{"Operations":[{"op":"replace","value":{"displayName":"X"}}]}`)
		},
		"the user is inactive": func(p *provider, user, _ string) {
			p.must(200, "PATCH", "/Users/"+user, `{"Operations":[{"op":"replace","value":{"active":"false"}}]}`)
		},
		"the user is deleted": func(p *provider, user, _ string) { p.must(204, "DELETE", "/Users/"+user, "") },
		"he goes to another one": func(p *provider, user, group string) {
			p.must(204, "PATCH", "/Groups/"+group, `{"Operations":[{"op":"remove","path":"members"}]}`)
			p.group("SG-Fraud", user)
		},
	} {
		p := start(t)
		user := p.add("mia", "")
		group := p.group("SG-Leads", user)
		p.state.Empower("mia", lead, "x", p.now)
		role := func() string {
			person, _ := p.state.Person("mia", nil, staff.Rules{Teams: []string{"fraud"}}, p.now)
			return person.Place.Role
		}
		if role() != "lead" {
			t.Fatalf("%s: two people agreed, and she is %q", name, role())
		}
		end(p, user, group)
		if role() == "lead" {
			t.Errorf("%s: she leads still", name)
		}
		// Everything as before.
		p.call("PATCH", "/Users/"+user, `{"Operations":[{"op":"replace","value":{"active":true}}]}`)
		p.call("PATCH", "/Groups/"+group, `{"Operations":[{"op":"replace","value":{"displayName":"SG-Leads","members":[{"value":"`+user+`"}]}}]}`)
		if role() == "lead" {
			t.Errorf("%s: she leads again without two people", name)
		}
	}
}

// TestOnePerson tries to pass somebody known for somebody new, or for somebody else.
func TestOnePerson(t *testing.T) {
	p := start(t)
	p.add("Mallory@example.org", `,"externalId":"m-1","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"77"}`)
	ann := p.add("ann@example.org", `,"externalId":"a-1"`)
	conflict := func(what, body string) {
		t.Helper()
		if status, o, _ := p.call("POST", "/Users", body); status != 409 || o["scimType"] != "uniqueness" {
			t.Errorf("%s: %d %v", what, status, o)
		}
	}
	conflict("another case", `{"userName":"MALLORY@example.org"}`)
	conflict("another width of a letter", `{"userName":"ｍallory@example.org"}`)
	conflict("the same external id", `{"userName":"m2@example.org","externalId":"m-1"}`)
	conflict("the same number", `{"userName":"m3@example.org","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"77"}}`)
	conflict("a service", `{"userName":"svc_billing"}`)
	for what, value := range map[string]string{"userName": "mallory@EXAMPLE.org", "externalId": "m-1"} {
		p.must(409, "PATCH", "/Users/"+ann, fmt.Sprintf(`{"Operations":[{"op":"replace","path":%q,"value":%q}]}`, what, value))
	}
	for what, body := range map[string]string{
		"no name": `{"active":true}`, "a log-in of nobody": `{"userName":"login:postgres"}`, "spaces": `{"userName":"a b"}`, "letters that look alike": `{"userName":"аnn2@example.org"}`,
		"two lines": `{"userName":"a\nb"}`, "a list": `{"userName":["x"]}`, "long": `{"userName":"` + strings.Repeat("x", 300) + `"}`,
	} {
		if status, o, _ := p.call("POST", "/Users", body); status != 400 {
			t.Errorf("%s: %d %v", what, status, o)
		}
	}
	// Deleted and here again, under whatever name: the lock is the same person's.
	for _, again := range []string{
		`{"userName":"Mallory@example.org"}`, `{"userName":"fresh@example.org","externalId":"m-1"}`,
		`{"userName":"fresh2@example.org","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"77"}}`,
	} {
		l := p.listed("Mallory@example.org")
		p.must(204, "DELETE", "/Users/"+l.Key, "")
		if len(p.left) == 0 {
			t.Fatal("who is deleted is not locked")
		}
		o := p.must(201, "POST", "/Users", again)
		if who := o[ownSchema].(map[string]any)["staff"]; who != "Mallory@example.org" {
			t.Errorf("%s is %v", again, who)
		}
		if o["id"] == l.Key {
			t.Errorf("the new resource has the old one's id")
		}
		p.must(404, "GET", "/Users/"+l.Key, "")
		p.must(200, "PUT", "/Users/"+o["id"].(string), `{"userName":"Mallory@example.org","externalId":"m-1","active":true,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"77"}}`)
	}
	// Renamed away, and another one under the old name: they stay two.
	p.must(200, "PATCH", "/Users/"+ann, `{"Operations":[{"op":"replace","path":"userName","value":"ann.b@example.org"}]}`)
	conflict("the id of somebody who goes by another name", `{"userName":"ann@example.org"}`)
	if l := p.listed("ann@example.org"); l.UserName != "ann.b@example.org" {
		t.Errorf("%+v", l)
	}
}

// TestHostile sends what no provider sends.
func TestHostile(t *testing.T) {
	p := start(t)
	id := p.add("ann", "")
	before, version := p.entries, p.listed("ann").Version
	deep := strings.Repeat("(", 300) + `userName eq "a"` + strings.Repeat(")", 300)
	for name, filter := range map[string]string{
		"injection":            `userName eq "ann" or true`,
		"a quote":              `userName eq "ann" or userName eq "" or "" eq "`,
		"half":                 `userName eq`,
		"no quotes":            `userName eq ann`,
		"an unknown attribute": `password sw "a"`,
		"an unknown word":      `userName like "a"`,
		"behind the end":       `userName eq "ann" )`,
		"deep":                 deep,
		"long":                 `userName eq "` + strings.Repeat("a", 2000) + `"`,
		"many":                 strings.Repeat(`id pr or `, 60) + "id pr",
		"brackets":             `emails[type eq "work"`,
		"not":                  `not userName eq "x"`,
		"a bad escape":         `userName eq "\x"`,
	} {
		if status, o, _ := p.call("GET", "/Users?filter="+url.QueryEscape(filter), ""); status != 400 || o["scimType"] != "invalidFilter" {
			t.Errorf("filter with %s: %d %v", name, status, o)
		}
	}
	for filter, want := range map[string]float64{
		`userName eq "ann\" or userName pr or \"a"`: 0, `not (userName eq "x") and active eq true`: 1, `emails[type eq "work" and value co "@"]`: 0,
		`(userName sw "AN" or id eq "x") and userName pr`: 1, `urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ann"`: 1, `id eq "ID1"`: 0,
	} {
		if o := p.must(200, "GET", "/Users?filter="+url.QueryEscape(filter), ""); o["totalResults"] != want {
			t.Errorf("%s: %v, want %v", filter, o["totalResults"], want)
		}
	}
	huge := `{"userName":"ann","displayName":"` + strings.Repeat("x", maxBody) + `"}`
	many := `{"Operations":[` + strings.TrimSuffix(strings.Repeat(`{"op":"replace","path":"active","value":true},`, maxOperations+1), ",") + `]}`
	for name, c := range map[string]struct {
		method, body string
		status       int
	}{
		"a huge body":         {"PUT", huge, 413},
		"many operations":     {"PATCH", many, 413},
		"no JSON":             {"PATCH", `{"Operations":`, 400},
		"two objects":         {"PUT", `{"userName":"ann"}{"userName":"bob"}`, 400},
		"a list":              {"PUT", `[]`, 400},
		"deep JSON":           {"PUT", strings.Repeat(`{"a":`, 20000), 400},
		"no operations":       {"PATCH", `{"Operations":[]}`, 400},
		"a strange verb":      {"PATCH", `{"Operations":[{"op":"move","path":"active","value":true}]}`, 400},
		"remove nothing":      {"PATCH", `{"Operations":[{"op":"remove"}]}`, 400},
		"remove active":       {"PATCH", `{"Operations":[{"op":"remove","path":"active"}]}`, 400},
		"remove the name":     {"PATCH", `{"Operations":[{"op":"remove","path":"userName"}]}`, 400},
		"another id":          {"PATCH", `{"Operations":[{"op":"replace","path":"id","value":"id9"}]}`, 400},
		"active perhaps":      {"PATCH", `{"Operations":[{"op":"replace","path":"active","value":"perhaps"}]}`, 400},
		"active null":         {"PATCH", `{"Operations":[{"op":"replace","path":"active","value":null}]}`, 400},
		"a path without end":  {"PATCH", `{"Operations":[{"op":"replace","path":"emails[type eq \"work\"","value":"x"}]}`, 400},
		"a path of nothing":   {"PATCH", `{"Operations":[{"op":"replace","path":"..","value":"x"}]}`, 400},
		"lists in lists":      {"PATCH", `{"Operations":[{"op":"add","path":"roles","value":[[["lead"]]]}]}`, 400},
		"half and then wrong": {"PATCH", `{"Operations":[{"op":"replace","path":"displayName","value":"Half"},{"op":"replace","path":"active","value":7}]}`, 400},
	} {
		if status, o, _ := p.call(c.method, "/Users/"+id, c.body); status != c.status {
			t.Errorf("%s: %d %v, want %d", name, status, o, c.status)
		}
	}
	if l := p.listed("ann"); p.entries != before || l.Version != version || l.Name != "" {
		t.Errorf("a refused request changed something: %+v", l)
	}
	// A group whose members are nobody, or which is named as another one.
	group := p.group("SG-Agents", id)
	p.must(400, "PATCH", "/Groups/"+group, `{"Operations":[{"op":"add","path":"members","value":[{"value":"nobody"}]}]}`)
	p.must(409, "POST", "/Groups", `{"displayName":"sg-agents"}`)
	p.must(400, "POST", "/Groups", `{"displayName":" "}`)
	p.must(400, "PATCH", "/Groups/"+group, `{"Operations":[{"op":"add","path":"members[value eq \"x\"]","value":[{"value":"`+id+`"}]}]}`)
}

// TestTokens lets nobody in without one of the tokens, and counts who tries.
func TestTokens(t *testing.T) {
	told := uint64(0)
	p := start(t, func(c *Config) { c.Bad = func(n uint64) { told += n } })
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + testToken, "Bearer " + HashToken(testToken).String(), testToken} {
		for _, path := range []string{"/Users", "/ServiceProviderConfig", "/nothing"} {
			if status, o, h := p.call("GET", path, "", "Authorization: "+header); status != 401 || o["schemas"] == nil || h.Get("WWW-Authenticate") == "" {
				t.Errorf("%q at %s: %d %v", header, path, status, o)
			}
		}
	}
	if told == 0 || told > 2 { // the clock of the test goes a second a look: the first is told at once, the rest once a minute
		t.Errorf("%d wrong tokens were told of", told)
	}
	if status, _, _ := p.call("GET", "/Users", "", "Authorization: bearer another"); status != 200 {
		t.Errorf("the second token: %d", status)
	}
	text, _ := json.Marshal(p.server.c.Tokens)
	if strings.Contains(string(text), testToken) {
		t.Error("the token itself is kept")
	}
}

// TestUnrecorded: what cannot be put on record is answered as an error, and the provider says it again.
func TestUnrecorded(t *testing.T) {
	p := start(t)
	id := p.add("ann", "")
	p.broken = true
	status, o, h := p.call("PATCH", "/Users/"+id, `{"Operations":[{"op":"replace","value":{"active":false}}]}`)
	if status != 503 || h.Get("Retry-After") == "" || strings.Contains(fmt.Sprint(o), "no room") {
		t.Errorf("%d %v", status, o)
	}
	if o := p.must(200, "GET", "/Users/"+id, ""); o["active"] != true {
		t.Error("it is answered as if it held")
	}
	p.broken = false
	p.must(200, "PATCH", "/Users/"+id, `{"Operations":[{"op":"replace","value":{"active":false}}]}`)
}

// FuzzFilter holds the reader of filters to not failing in other ways than by an error, and what it takes to being evaluated.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{`userName eq "a"`, `emails[type eq "work" and value co "x"] or not (active eq false)`, `a.b.c pr`, `"`, `((`, `x eq "\u0000"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseFilter(text, "")
		if err == nil {
			parsed.holds(func(string) []string { return []string{"a"} })
		}
		if at, err := parsePath(text); err == nil && !at.elsewhere && at.attribute != "" && !word(at.attribute) {
			t.Errorf("%q is the attribute of %q", at.attribute, text)
		}
	})
}

// FuzzPatch holds a PATCH of anything to changing nobody's id, place or version by itself.
func FuzzPatch(f *testing.F) {
	f.Add(`{"Operations":[{"op":"Replace","path":"active","value":"False"}]}`)
	f.Add(`{"Operations":[{"op":"add","value":{"roles":[{"value":"lead"}],"name":{"":{}}}}]}`)
	f.Add(`{"operations":[{"OP":"remove","path":"roles[value eq \"x\"]"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		p := start(t)
		id := p.add("ann", `,"roles":["agent"]`)
		status, _, _ := p.call("PATCH", "/Users/"+id, body)
		l := p.listed("ann")
		if l.Staff != "ann" || l.Key != id || l.Gone || l.Place.Role == "lead" || l.Place.Role == "security" {
			t.Errorf("%d: %+v", status, l)
		}
	})
}
