package scim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/staff"
)

// provider is an identity provider's side of a Server, and the directory behind.
type provider struct {
	t       *testing.T
	server  *Server
	state   *staff.State
	left    []sallyport.Staff // who was locked
	entries int
	broken  bool // nothing can be put on record
	now     time.Time
	ids     int
}

const testToken = "spscim_test"

// start makes a server with a configured person s050 (account boss@example.org), a service svc_billing, and groups that mean something.
func start(t *testing.T, change ...func(*Config)) *provider {
	t.Helper()
	p := &provider{t: t, state: staff.NewState(), now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	mapping := &staff.Mapping{
		Groups: map[string]sallyport.Place{"SG-Agents": {Team: "tier1", Role: "agent"}, "SG-Leads": {Team: "tier1", Role: "lead"}, "SG-Fraud": {Team: "fraud", Role: "agent"}},
		Teams:  []string{"tier2"}, Roles: []string{"agent", "lead", "engineer", "dba", "security"}, Rules: staff.Rules{Teams: []string{"fraud"}},
	}
	c := Config{
		Directory: p.state,
		Record: func(people []sallyport.Listed, groups []sallyport.ListedGroup) error {
			if p.broken {
				return errors.New("no room")
			}
			p.entries++
			p.left = append(p.left, p.state.Apply(staff.SCIM, people, groups)...)
			return nil
		},
		Mapping: func() *staff.Mapping { return mapping },
		Account: func(user string) (sallyport.Staff, bool) {
			return "s050", strings.EqualFold(user, "boss@example.org")
		},
		Known: func(id sallyport.Staff) (sallyport.Staff, bool) {
			if _, ok := p.state.Get(staff.SCIM, id); ok || id == "s050" {
				return id, true
			}
			for _, l := range append(p.state.People(staff.SCIM), sallyport.Listed{Staff: "s050"}) {
				if strings.EqualFold(string(l.Staff), string(id)) {
					return l.Staff, true
				}
			}
			return "", false
		},
		Program: func(id sallyport.Staff) bool { return id == "svc_billing" },
		Tokens:  []Token{HashToken("another"), HashToken(testToken)},
		Now:     func() time.Time { p.now = p.now.Add(time.Second); return p.now },
		NewID:   func() string { p.ids++; return fmt.Sprintf("id%d", p.ids) },
		Log:     slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if p.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	return p
}

// call sends one request, with header fields as "Name: value".
func (p *provider) call(method, path, body string, header ...string) (int, map[string]any, http.Header) {
	p.t.Helper()
	r := httptest.NewRequest(method, "https://sallyport.example/scim/v2"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+testToken)
	r.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	p.server.ServeHTTP(w, r)
	text, _ := io.ReadAll(w.Body)
	var o map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &o); err != nil {
			p.t.Fatalf("%s %s answers no JSON: %q", method, path, text)
		}
	}
	return w.Code, o, w.Header()
}

// must is call, held to a status.
func (p *provider) must(status int, method, path, body string, header ...string) map[string]any {
	p.t.Helper()
	got, o, _ := p.call(method, path, body, header...)
	if got != status {
		p.t.Fatalf("%s %s: %d %v, want %d", method, path, got, o, status)
	}
	return o
}

// add makes a user and returns his id.
func (p *provider) add(user, more string) string {
	p.t.Helper()
	o := p.must(201, "POST", "/Users", fmt.Sprintf(`{"schemas":["%s"],"userName":%q,"active":true%s}`, userSchema, user, more))
	return o["id"].(string)
}

func (p *provider) listed(who sallyport.Staff) sallyport.Listed {
	p.t.Helper()
	l, ok := p.state.Get(staff.SCIM, who)
	if !ok {
		p.t.Fatalf("nobody called %s is listed", who)
	}
	return l
}

func (p *provider) group(name string, members ...string) string {
	p.t.Helper()
	list := []map[string]string{}
	for _, m := range members {
		list = append(list, map[string]string{"value": m})
	}
	text, _ := json.Marshal(map[string]any{"schemas": []string{groupSchema}, "displayName": name, "members": list})
	return p.must(201, "POST", "/Groups", string(text))["id"].(string)
}

// TestEntraID plays what Entra ID sends, in the shapes that Microsoft documents ("Develop and plan provisioning for a SCIM endpoint").
func TestEntraID(t *testing.T) {
	p := start(t)
	const user = "Test_User_ab6490ee-1e48-479e-a20b-2d77186b5dd1"

	// It looks first whether the user is there.
	o := p.must(200, "GET", "/Users?filter="+url.QueryEscape(`userName eq "`+user+`"`), "")
	if o["totalResults"] != 0.0 || len(o["Resources"].([]any)) != 0 {
		t.Errorf("an empty list is %v", o)
	}
	o = p.must(201, "POST", "/Users", `{
		"UserName": "`+user+`", "Active": true, "DisplayName": "BobIsAmazing",
		"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
		"externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", "name": {"formatted": "Ryan Leenay", "familyName": "Leenay", "givenName": "Ryan"},
		"emails": [{"primary": true, "type": "work", "value": "testing@bob2.com"}],
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"Department": "Support", "employeeNumber": 4711},
		"meta": {"resourceType": "User"}, "roles": []}`)
	id := o["id"].(string)
	if o["userName"] != user || o["active"] != true || o["displayName"] != "BobIsAmazing" || o[enterpriseSchema].(map[string]any)["employeeNumber"] != "4711" {
		t.Errorf("created: %v", o)
	}
	l := p.listed(user)
	if l.Mail != "testing@bob2.com" || l.Given != "Ryan" || l.Family != "Leenay" || l.Department != "Support" || l.External == "" {
		t.Errorf("listed: %+v", l)
	}
	if o := p.must(200, "GET", "/Users?filter="+url.QueryEscape(`userName eq "`+strings.ToUpper(user)+`"`), ""); o["totalResults"] != 1.0 {
		t.Errorf("a user name has no case: %v", o)
	}

	// Attributes one by one, some of which we keep and some not.
	o = p.must(200, "PATCH", "/Users/"+id, `{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
		{"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "updatedEmail@microsoft.com"},
		{"op": "Replace", "path": "name.familyName", "value": "updatedFamilyName"},
		{"op": "Add", "path": "addresses[type eq \"work\"].country", "value": "DE"},
		{"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+49 30 1234"},
		{"op": "Add", "path": "emails[type eq \"home\"].value", "value": "home@example.org"},
		{"op": "Replace", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "Fraud"},
		{"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User:tag", "value": "x"},
		{"op": "Replace", "value": {"displayName": "Bob", "name.givenName": "Robert"}}]}`)
	l = p.listed(user)
	if l.Mail != "updatedEmail@microsoft.com" || l.Family != "updatedFamilyName" || l.Given != "Robert" || l.Department != "Fraud" || l.Name != "Bob" {
		t.Errorf("patched: %+v", l)
	}
	if o["name"].(map[string]any)["familyName"] != "updatedFamilyName" {
		t.Errorf("a PATCH answers %v", o)
	}

	// A manager, by an id alone, and how it is asked for.
	boss := p.add("boss@example.org", "")
	p.must(200, "PATCH", "/Users/"+id, `{"Operations": [{"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", "value": "`+boss+`"}]}`)
	if l := p.listed(user); l.Manager != "s050" {
		t.Errorf("his manager is %q", l.Manager)
	}
	ask := url.QueryEscape(`id eq "`+id+`" and manager eq "`+boss+`"`) + "&attributes=id"
	if o := p.must(200, "GET", "/Users?filter="+ask, ""); o["totalResults"] != 1.0 || len(o["Resources"].([]any)[0].(map[string]any)) != 2 {
		t.Errorf("by manager: %v", o)
	}

	// A group, its members, and how they are asked for.
	group := p.must(201, "POST", "/Groups", `{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group", "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
		"externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159", "displayName": "SG-Agents", "meta": {"resourceType": "Group"}}`)["id"].(string)
	p.must(204, "PATCH", "/Groups/"+group, `{"Operations": [{"op": "Add", "path": "members", "value": [{"$ref": null, "value": "`+id+`"}]}]}`)
	if l := p.listed(user); l.Place != (sallyport.Place{Team: "tier1", Role: "agent"}) {
		t.Errorf("in the group he is %+v", l.Place)
	}
	ask = url.QueryEscape(`id eq "` + group + `" and members eq "` + id + `"`)
	if o := p.must(200, "GET", "/Groups?filter="+ask+"&excludedAttributes=members", ""); o["totalResults"] != 1.0 || o["Resources"].([]any)[0].(map[string]any)["members"] != nil {
		t.Errorf("by member: %v", o)
	}
	if o := p.must(200, "GET", "/Groups/"+group, ""); len(o["members"].([]any)) != 1 {
		t.Errorf("the group: %v", o)
	}
	p.must(204, "PATCH", "/Groups/"+group, `{"Operations": [{"op": "Remove", "path": "members", "value": [{"$ref": null, "value": "`+id+`"}]}]}`)
	if l := p.listed(user); l.Place != (sallyport.Place{}) {
		t.Errorf("out of the group he is still %+v", l.Place)
	}

	// Deactivated by the text "False".
	p.must(200, "PATCH", "/Users/"+id, `{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "Replace", "path": "active", "value": "False"}]}`)
	if l := p.listed(user); !l.Inactive || len(p.left) != 1 || p.left[0] != user {
		t.Errorf("deactivated: %+v, left %v", l, p.left)
	}
	if o := p.must(200, "GET", "/Users?filter="+url.QueryEscape("active eq false"), ""); o["totalResults"] != 1.0 {
		t.Errorf("inactive: %v", o)
	}
	p.must(204, "DELETE", "/Users/"+id, "")
	p.must(404, "GET", "/Users/"+id, "")
	p.must(204, "DELETE", "/Groups/"+group, "")
	p.must(404, "GET", "/Groups/"+group, "")
}

// TestOkta plays what Okta sends, in the shapes of its "Build a SCIM provisioning integration".
func TestOkta(t *testing.T) {
	p := start(t)
	o := p.must(200, "GET", "/Users?filter=userName%20eq%20%22test.user%40okta.local%22&startIndex=1&count=100", "")
	if o["totalResults"] != 0.0 || o["startIndex"] != 1.0 || o["itemsPerPage"] != 0.0 {
		t.Errorf("an empty page: %v", o)
	}
	o = p.must(201, "POST", "/Users", `{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "test.user@okta.local", "name": {"givenName": "Test", "familyName": "User"},
		"emails": [{"primary": true, "value": "test.user@okta.local", "type": "work"}], "displayName": "Test User", "locale": "en-US", "externalId": "00ujl29u0le5T6Aj10h7", "groups": [], "password": "1mz050nq", "active": true}`)
	id := o["id"].(string)
	if _, there := o["password"]; there {
		t.Error("a password came back")
	}
	p.must(200, "PUT", "/Users/"+id, `{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "`+id+`", "userName": "test.user@okta.local", "name": {"givenName": "Another", "middleName": "", "familyName": "User"},
		"emails": [{"primary": true, "value": "test.user@okta.local", "type": "work", "display": "test.user@okta.local"}], "active": true, "groups": [], "meta": {"resourceType": "User"}}`)
	if l := p.listed("test.user@okta.local"); l.Given != "Another" || l.Name != "" {
		t.Errorf("replaced: %+v", l)
	}
	// A group with members, pushed, renamed, replaced.
	group := p.must(201, "POST", "/Groups", `{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Test SCIMv2", "members": []}`)["id"].(string)
	p.must(204, "PATCH", "/Groups/"+group, `{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "value": {"id": "`+group+`", "displayName": "SG-Agents"}}]}`)
	p.must(204, "PATCH", "/Groups/"+group, `{"Operations": [{"op": "replace", "path": "members", "value": [{"value": "`+id+`", "display": "test.user@okta.local"}]}]}`)
	if l := p.listed("test.user@okta.local"); l.Place.Team != "tier1" {
		t.Errorf("in the group: %+v", l.Place)
	}
	p.must(204, "PATCH", "/Groups/"+group, `{"Operations": [{"op": "remove", "path": "members[value eq \"`+id+`\"]"}]}`)
	if l := p.listed("test.user@okta.local"); l.Place.Team != "" {
		t.Errorf("out of the group: %+v", l.Place)
	}
	o = p.must(200, "PUT", "/Groups/"+group, `{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "id": "`+group+`", "displayName": "SG-Agents", "members": [{"value": "`+id+`", "display": "test.user@okta.local"}]}`)
	if len(o["members"].([]any)) != 1 {
		t.Errorf("replaced: %v", o)
	}
	// Deactivated by a boolean without a path; and here again.
	o = p.must(200, "PATCH", "/Users/"+id, `{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "value": {"active": false}}]}`)
	if o["active"] != false || len(p.left) == 0 {
		t.Errorf("deactivated: %v", o)
	}
	if o := p.must(200, "PATCH", "/Users/"+id, `{"Operations": [{"op": "replace", "value": {"active": true}}]}`); o["active"] != true {
		t.Errorf("reactivated: %v", o)
	}
}

// TestPages lists more than a page.
func TestPages(t *testing.T) {
	p := start(t)
	for i := range 25 {
		p.add(fmt.Sprintf("u%02d", i), "")
	}
	seen := map[string]bool{}
	for first := 1; first <= 25; first += 10 {
		o := p.must(200, "GET", fmt.Sprintf("/Users?startIndex=%d&count=10", first), "")
		if o["totalResults"] != 25.0 {
			t.Fatalf("%v", o)
		}
		for _, r := range o["Resources"].([]any) {
			seen[r.(map[string]any)["userName"].(string)] = true
		}
	}
	if len(seen) != 25 {
		t.Errorf("pages show %d of 25", len(seen))
	}
	for query, want := range map[string]int{"count=0": 0, "count=-3": 0, "startIndex=-5&count=3": 3, "startIndex=26": 0, "startIndex=25&count=9223372036854775807": 1} {
		if o := p.must(200, "GET", "/Users?"+query, ""); len(o["Resources"].([]any)) != want {
			t.Errorf("%s: %d, want %d", query, len(o["Resources"].([]any)), want)
		}
	}
	p.must(400, "GET", "/Users?count=many", "")
}

// TestDiscovery reads what a provider looks at before it speaks.
func TestDiscovery(t *testing.T) {
	p := start(t)
	if o := p.must(200, "GET", "/ServiceProviderConfig", ""); o["patch"].(map[string]any)["supported"] != true || o["bulk"].(map[string]any)["supported"] != false {
		t.Errorf("%v", o)
	}
	if o := p.must(200, "GET", "/ResourceTypes", ""); o["totalResults"] != 2.0 {
		t.Errorf("%v", o)
	}
	if o := p.must(200, "GET", "/ResourceTypes/Group", ""); o["schema"] != groupSchema {
		t.Errorf("%v", o)
	}
	for _, id := range []string{userSchema, groupSchema, enterpriseSchema, ownSchema} {
		if o := p.must(200, "GET", "/Schemas/"+id, ""); o["id"] != id || len(o["attributes"].([]any)) == 0 {
			t.Errorf("%v", o)
		}
	}
	if o := p.must(404, "GET", "/Schemas/urn:none", ""); o["status"] != "404" || o["schemas"].([]any)[0] != errorSchema {
		t.Errorf("an error is %v", o)
	}
	p.must(404, "POST", "/Bulk", "{}")
}

// TestVersions holds changes to the version that somebody has seen.
func TestVersions(t *testing.T) {
	p := start(t)
	id := p.add("ann", "")
	_, _, h := p.call("GET", "/Users/"+id, "")
	tag := h.Get("ETag")
	if status, _, _ := p.call("GET", "/Users/"+id, "", "If-None-Match: "+tag); status != 304 {
		t.Errorf("an unchanged user: %d", status)
	}
	p.must(200, "PATCH", "/Users/"+id, `{"Operations":[{"op":"replace","value":{"active":false}}]}`, "If-Match: "+tag)
	before := p.entries
	// The older PUT comes late: who sent it had seen an active user.
	p.must(412, "PUT", "/Users/"+id, `{"userName":"ann","active":true}`, "If-Match: "+tag)
	p.must(412, "DELETE", "/Users/"+id, "", "If-Match: "+tag)
	if !p.listed("ann").Inactive || p.entries != before {
		t.Error("an older request changed something")
	}
	// What changes nothing is no entry of the record.
	p.must(200, "PATCH", "/Users/"+id, `{"Operations":[{"op":"Replace","path":"active","value":"False"}]}`)
	if p.entries != before {
		t.Errorf("%d entries for nothing", p.entries-before)
	}
	// A PUT without active brings nobody back.
	p.must(200, "PUT", "/Users/"+id, `{"userName":"ann"}`)
	if !p.listed("ann").Inactive {
		t.Error("a PUT that leaves active out brought somebody back")
	}
}
