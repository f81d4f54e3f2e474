package scim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/staff"
)

// view is users and groups as they are sent, at one moment.
type view struct {
	groups  map[sallyport.Group]string // names of those that there are
	members map[sallyport.Group][]*sallyport.Listed
	keys    map[sallyport.Staff]string // ids of users
}

func (s *Server) groupNames() map[sallyport.Group]string {
	names := map[sallyport.Group]string{}
	for _, g := range s.c.Directory.Groups(staff.SCIM) {
		if !g.Gone {
			names[g.Key] = g.Name
		}
	}
	return names
}

func (s *Server) view() *view {
	v := &view{groups: s.groupNames(), members: map[sallyport.Group][]*sallyport.Listed{}, keys: map[sallyport.Staff]string{}}
	people := s.users()
	for i := range people {
		p := &people[i]
		v.keys[p.Staff] = p.Key
		for _, g := range p.Groups {
			v.members[g] = append(v.members[g], p)
		}
	}
	return v
}

// userAttributes are those that a filter of users may name.
func userAttributes() []string {
	return []string{
		"id", "externalid", "username", "displayname", "active", "name.givenname", "name.familyname", "emails", "emails.value", "emails.type",
		"roles", "roles.value", "groups", "groups.value", "employeenumber", "department", "manager", "manager.value", "employment",
		"meta.created", "meta.lastmodified",
	}
}

// values are what a user has under an attribute's name.
func (v *view) values(p *sallyport.Listed, attribute string) []string {
	one := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	switch attribute {
	case "id":
		return one(p.Key)
	case "externalid":
		return one(p.External)
	case "username":
		return one(p.UserName)
	case "displayname":
		return one(p.Name)
	case "active":
		return one(strconv.FormatBool(!p.Inactive))
	case "name.givenname":
		return one(p.Given)
	case "name.familyname":
		return one(p.Family)
	case "emails", "emails.value":
		return one(p.Mail)
	case "emails.type":
		if p.Mail != "" {
			return one("work")
		}
	case "roles", "roles.value":
		return p.Said
	case "groups", "groups.value":
		var ids []string
		for _, g := range p.Groups {
			ids = append(ids, string(g))
		}
		return ids
	case "employeenumber":
		return one(p.Number)
	case "department":
		return one(p.Department)
	case "manager", "manager.value":
		return one(v.keys[p.Manager])
	case "employment":
		return one(p.Employment)
	case "meta.created":
		return one(p.Created.UTC().Format(time.RFC3339Nano))
	case "meta.lastmodified":
		return one(p.Changed.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// user is one as JSON.
func (v *view) user(r *http.Request, p *sallyport.Listed) map[string]any {
	o := map[string]any{
		"schemas": []string{userSchema, enterpriseSchema, ownSchema}, "id": p.Key, "userName": p.UserName, "active": !p.Inactive,
		"meta": meta(r, "User", p.Key, p.Version, p.Created, p.Changed),
	}
	put(o, "externalId", p.External)
	put(o, "displayName", p.Name)
	name := map[string]any{}
	put(name, "givenName", p.Given)
	put(name, "familyName", p.Family)
	if len(name) > 0 {
		o["name"] = name
	}
	if p.Mail != "" {
		o["emails"] = []map[string]any{{"value": p.Mail, "type": "work", "primary": true}}
	}
	if len(p.Said) > 0 {
		roles := []map[string]any{}
		for _, role := range p.Said {
			roles = append(roles, map[string]any{"value": role})
		}
		o["roles"] = roles
	}
	groups := []map[string]any{}
	for _, g := range p.Groups {
		if name, ok := v.groups[g]; ok {
			groups = append(groups, map[string]any{"value": string(g), "display": name, "$ref": location(r, "Groups", string(g))})
		}
	}
	if len(groups) > 0 {
		o["groups"] = groups
	}
	enterprise := map[string]any{}
	put(enterprise, "employeeNumber", p.Number)
	put(enterprise, "department", p.Department)
	if key := v.keys[p.Manager]; key != "" {
		enterprise["manager"] = map[string]any{"value": key, "$ref": location(r, "Users", key)}
	}
	o[enterpriseSchema] = enterprise
	own := map[string]any{"staff": string(p.Staff)}
	put(own, "employment", p.Employment)
	o[ownSchema] = own
	return o
}

// group is one as JSON.
func (v *view) group(r *http.Request, g *sallyport.ListedGroup, withMembers bool) map[string]any {
	o := map[string]any{
		"schemas": []string{groupSchema}, "id": string(g.Key), "displayName": g.Name,
		"meta": meta(r, "Group", string(g.Key), g.Version, g.Created, g.Changed),
	}
	put(o, "externalId", g.External)
	if withMembers {
		members := []map[string]any{}
		for _, p := range v.members[g.Key] {
			members = append(members, map[string]any{"value": p.Key, "display": p.UserName, "type": "User", "$ref": location(r, "Users", p.Key)})
		}
		o["members"] = members
	}
	return o
}

func put(o map[string]any, name, value string) {
	if value != "" {
		o[name] = value
	}
}

func meta(r *http.Request, kind, key string, version uint64, created, changed time.Time) map[string]any {
	return map[string]any{
		"resourceType": kind, "location": location(r, kind+"s", key), "version": etag(version),
		"created": created.UTC().Format(time.RFC3339Nano), "lastModified": changed.UTC().Format(time.RFC3339Nano),
	}
}

func location(r *http.Request, kind, key string) string {
	return "https://" + r.Host + "/scim/v2/" + kind + "/" + key
}

func (s *Server) userAnswer(r *http.Request, status int, p *sallyport.Listed) (*answer, error) {
	q, err := queryOf(r, nil)
	if err != nil {
		return nil, err
	}
	return &answer{status: status, body: q.trim(s.view().user(r, p)), location: location(r, "Users", p.Key), version: etag(p.Version)}, nil
}

// query is what a request asks of a resource or a list.
type query struct {
	filter         filter
	start, count   int
	only, excluded []string // attributes, in lower case
}

// queryOf reads a request's query; a filter may name attributes only.
func queryOf(r *http.Request, attributes []string) (*query, error) {
	values := r.URL.Query()
	q := &query{start: 1, count: usualResults}
	if text := values.Get("filter"); text != "" && attributes != nil {
		var err error
		if q.filter, err = parseFilter(text, "", attributes...); err != nil {
			return nil, bad(invalidFilter, "The filter cannot be read: %v.", err)
		}
	}
	for name, into := range map[string]*int{"startIndex": &q.start, "count": &q.count} {
		if text := values.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return nil, bad(invalidValue, "%s is a number.", name)
			}
			*into = n
		}
	}
	q.start, q.count = max(q.start, 1), min(max(q.count, 0), mostResults)
	for name, into := range map[string]*[]string{"attributes": &q.only, "excludedAttributes": &q.excluded} {
		for part := range strings.SplitSeq(values.Get(name), ",") {
			if part = strings.ToLower(strings.TrimSpace(part)); part != "" {
				*into = append(*into, part)
			}
		}
	}
	return q, nil
}

// page is a list of what was found, of which make makes one.
func (q *query) page(found int, build func(i int) map[string]any) *answer {
	resources := []map[string]any{}
	for i := q.start - 1; i < found && len(resources) < q.count; i++ {
		resources = append(resources, q.trim(build(i)))
	}
	return &answer{status: http.StatusOK, body: map[string]any{
		"schemas": []string{listSchema}, "totalResults": found, "startIndex": q.start, "itemsPerPage": len(resources), "Resources": resources,
	}}
}

// trim leaves out what was not asked for; id and schemas always stand there.
func (q *query) trim(o map[string]any) map[string]any {
	for key := range o {
		name := strings.ToLower(key)
		if name == "id" || name == "schemas" {
			continue
		}
		named := func(list []string) bool {
			return slices.ContainsFunc(list, func(a string) bool {
				return a == name || strings.HasPrefix(a, name+".") || strings.HasPrefix(a, name+":")
			})
		}
		if len(q.only) > 0 && !named(q.only) || slices.Contains(q.excluded, name) {
			delete(o, key)
		}
	}
	return o
}
