package scim

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"sallyport"
	"sallyport/staff"
)

func (s *Server) group(r *http.Request) (sallyport.ListedGroup, error) {
	return s.groupOf(sallyport.Group(r.PathValue("id")))
}

func (s *Server) groupOf(key sallyport.Group) (sallyport.ListedGroup, error) {
	for _, g := range s.c.Directory.Groups(staff.SCIM) {
		if g.Key == key && !g.Gone {
			return g, nil
		}
	}
	return sallyport.ListedGroup{}, missing("group")
}

func (s *Server) getGroup(r *http.Request) (*answer, error) {
	g, err := s.group(r)
	if err != nil {
		return nil, err
	}
	return s.groupAnswer(r, http.StatusOK, &g)
}

func (s *Server) groupAnswer(r *http.Request, status int, g *sallyport.ListedGroup) (*answer, error) {
	q, err := queryOf(r, nil)
	if err != nil {
		return nil, err
	}
	body := q.trim(s.view().group(r, g, !slices.Contains(q.excluded, "members")))
	return &answer{status: status, body: body, location: location(r, "Groups", string(g.Key)), version: etag(g.Version)}, nil
}

func (s *Server) listGroups(r *http.Request) (*answer, error) {
	q, err := queryOf(r, []string{"id", "externalid", "displayname", "members", "members.value", "meta.created", "meta.lastmodified"})
	if err != nil {
		return nil, err
	}
	v := s.view()
	var found []sallyport.ListedGroup
	for _, g := range s.c.Directory.Groups(staff.SCIM) {
		if !g.Gone && (q.filter == nil || q.filter.holds(func(attribute string) []string { return v.groupValues(&g, attribute) })) {
			found = append(found, g)
		}
	}
	return q.page(len(found), func(i int) map[string]any { return v.group(r, &found[i], !slices.Contains(q.excluded, "members")) }), nil
}

func (v *view) groupValues(g *sallyport.ListedGroup, attribute string) []string {
	switch attribute {
	case "id":
		return []string{string(g.Key)}
	case "externalid":
		return []string{g.External}
	case "displayname":
		return []string{g.Name}
	case "members", "members.value":
		var out []string
		for _, p := range v.members[g.Key] {
			out = append(out, p.Key)
		}
		return out
	}
	return nil
}

// draft is a group with its members, while a request changes it.
type draft struct {
	sallyport.ListedGroup
	members map[string]bool // ids of users
}

// draftOf is a group as it is now.
func (s *Server) draftOf(g sallyport.ListedGroup) *draft {
	d := &draft{g, map[string]bool{}}
	for _, p := range s.users() {
		if slices.Contains(p.Groups, g.Key) {
			d.members[p.Key] = true
		}
	}
	return d
}

func (s *Server) createGroup(r *http.Request) (*answer, error) {
	o, err := object(r)
	if err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	d := &draft{members: map[string]bool{}}
	if err := s.fillGroup(d, o); err != nil {
		return nil, err
	}
	d.Key, d.Created = sallyport.Group(s.c.NewID()), s.c.Now()
	return s.saveGroup(r, http.StatusCreated, d, true)
}

func (s *Server) replaceGroup(r *http.Request) (*answer, error) {
	o, err := object(r)
	if err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	g, err := s.group(r)
	if err != nil {
		return nil, err
	}
	if err := fresh(r, etag(g.Version)); err != nil {
		return nil, err
	}
	d := &draft{g, map[string]bool{}}
	d.External = ""
	if err := s.fillGroup(d, o); err != nil {
		return nil, err
	}
	return s.saveGroup(r, http.StatusOK, d, true)
}

func (s *Server) fillGroup(d *draft, o map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(o)) {
		at, err := parsePath(key)
		if err != nil {
			continue
		}
		if err := s.assignGroup(d, at, o[key], "replace"); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) patchGroup(r *http.Request) (*answer, error) {
	operations, err := operationsOf(r)
	if err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	g, err := s.group(r)
	if err != nil {
		return nil, err
	}
	if err := fresh(r, etag(g.Version)); err != nil {
		return nil, err
	}
	d := s.draftOf(g)
	for _, op := range operations {
		if op.path == nil {
			err = op.each(func(at path, value any) error { return s.assignGroup(d, at, value, op.op) })
		} else {
			err = s.assignGroup(d, *op.path, op.value, op.op)
		}
		if err != nil {
			return nil, err
		}
	}
	return s.saveGroup(r, http.StatusNoContent, d, true)
}

func (s *Server) deleteGroup(r *http.Request) (*answer, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	g, err := s.group(r)
	if err != nil {
		return nil, err
	}
	if err := fresh(r, etag(g.Version)); err != nil {
		return nil, err
	}
	g.Gone = true
	return s.saveGroup(r, http.StatusNoContent, &draft{g, nil}, false)
}

// assignGroup changes an attribute of a group.
func (s *Server) assignGroup(d *draft, at path, value any, op string) error {
	if at.elsewhere || at.schema != "" {
		return nil
	}
	switch at.attribute {
	case "displayname":
		if op == "remove" {
			return bad(mutability, "displayName cannot be removed.")
		}
		return text(&d.Name, value)
	case "externalid":
		if op == "remove" {
			value = nil
		}
		return text(&d.External, value)
	case "members":
		return s.assignMembers(d, at, value, op)
	case "id":
		if id, ok := value.(string); ok && d.Key != "" && id != string(d.Key) {
			return bad(mutability, "id cannot be changed.")
		}
	}
	return nil
}

// assignMembers adds to, replaces, or removes from the members: those of a filter in the path, else those of the value, else all.
func (s *Server) assignMembers(d *draft, at path, value any, op string) error {
	if at.filter != nil {
		if op != "remove" {
			return bad(invalidPath, "Members are added and replaced by their ids in the value.")
		}
		maps.DeleteFunc(d.members, func(id string, _ bool) bool {
			return at.filter.holds(func(attribute string) []string { return map[string][]string{"members.value": {id}}[attribute] })
		})
		return nil
	}
	ids, err := membersIn(value)
	if err != nil {
		return err
	}
	if op == "remove" {
		if value == nil {
			clear(d.members)
		}
		for _, id := range ids {
			delete(d.members, id)
		}
		return nil
	}
	for _, id := range ids {
		if p, ok := s.c.Directory.ByKey(staff.SCIM, id); !ok || p.Gone {
			return bad(invalidValue, "A member is no user that there is.")
		}
	}
	if op == "replace" {
		clear(d.members)
	}
	for _, id := range ids {
		d.members[id] = true
	}
	return nil
}

func membersIn(value any) (out []string, err error) {
	if o, ok := value.(map[string]any); ok {
		value = []any{o}
	}
	if value == nil {
		return nil, nil
	}
	list, ok := value.([]any)
	if !ok {
		return nil, bad(invalidValue, "members is a list of objects with a value.")
	}
	for _, entry := range list {
		id := ""
		if o, ok := entry.(map[string]any); ok {
			entry = member(o, "value")
		}
		if err := text(&id, entry); err != nil {
			return nil, err
		}
		if id == "" {
			return nil, bad(invalidValue, "A member has no value.")
		}
		out = append(out, id)
	}
	return out, nil
}

// saveGroup puts a group, and everybody whose place it changes, on record as one entry.
func (s *Server) saveGroup(r *http.Request, status int, d *draft, named bool) (*answer, error) {
	if named {
		if strings.TrimSpace(d.Name) == "" {
			return nil, bad(invalidValue, "displayName is required.")
		}
		for _, g := range s.c.Directory.Groups(staff.SCIM) {
			if g.Key != d.Key && !g.Gone && sameName(g.Name, d.Name) {
				return nil, taken("There is a group of this name already.")
			}
		}
	}
	old, err := s.groupOf(d.Key)
	names := s.groupNames()
	names[d.Key] = d.Name
	if d.Gone {
		delete(names, d.Key)
	}
	people := s.moved(d, names)
	if err != nil || len(people) > 0 || old.Name != d.Name || old.External != d.External || d.Gone {
		d.Version, d.Changed = d.Version+1, s.c.Now()
		if err := s.c.Record(people, []sallyport.ListedGroup{d.ListedGroup}); err != nil {
			return nil, err
		}
	}
	if status == http.StatusNoContent {
		return &answer{status: status, version: etag(d.Version)}, nil
	}
	return s.groupAnswer(r, status, &d.ListedGroup)
}

// moved are those who are somewhere else once the group is as drafted.
func (s *Server) moved(d *draft, names map[sallyport.Group]string) (out []sallyport.Listed) {
	for _, old := range s.users() {
		p := old
		p.Groups = slices.DeleteFunc(slices.Clone(old.Groups), func(g sallyport.Group) bool { return g == d.Key })
		if d.members[p.Key] {
			p.Groups = append(p.Groups, d.Key)
			slices.Sort(p.Groups)
		}
		s.resolve(&p, &old, names)
		if len(staff.Compare(&old, &p)) > 0 {
			p.Version, p.Changed = p.Version+1, s.c.Now()
			out = append(out, p)
		}
	}
	return out
}
