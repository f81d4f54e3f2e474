package scim

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"sallyport"
	"sallyport/staff"
)

// path is where in a resource a value goes: attribute[filter].sub, in lower case but for the filter's values.
type path struct {
	schema    string // enterpriseSchema or ownSchema; empty: the core one
	attribute string
	filter    filter // nil: none
	sub       string
	elsewhere bool // in a schema that we know nothing of
}

// parsePath reads a path of RFC 7644 (3.5.2), or the key of an object, which providers write in the same way.
func parsePath(text string) (path, error) {
	var p path
	if len(text) > maxFilter {
		return p, bad(invalidPath, "The path is longer than %d bytes.", maxFilter)
	}
	schema, rest, known := schemaOf(text)
	if p.schema = schema; !known {
		return path{elsewhere: true}, nil
	}
	if rest == "" && text != "" { // the extension as a whole
		return p, nil
	}
	before, inner, filtered := strings.Cut(rest, "[")
	after := ""
	if filtered {
		end := strings.LastIndexByte(inner, ']')
		if end < 0 {
			return p, bad(invalidPath, "The path has a [ without ].")
		}
		var err error
		if p.filter, err = parseFilter(inner[:end], before+"."); err != nil {
			return p, bad(invalidPath, "The filter in the path cannot be read: %v.", err)
		}
		rest, after = before, inner[end+1:]
		if after != "" && after[0] != '.' {
			return p, bad(invalidPath, "After ] of a path stands nothing, or a dot and a name.")
		}
		p.sub = strings.ToLower(strings.TrimPrefix(after, "."))
	} else if name, sub, dotted := strings.Cut(rest, "."); dotted {
		rest, p.sub = name, strings.ToLower(sub)
	}
	p.attribute = strings.ToLower(strings.TrimSpace(rest))
	if !word(p.attribute) || p.sub != "" && !word(p.sub) {
		return p, bad(invalidPath, "The path is none of RFC 7644.")
	}
	return p, nil
}

// schemaOf cuts the schema off a name that begins with its URN.
func schemaOf(text string) (schema, rest string, known bool) {
	if len(text) < 4 || !strings.EqualFold(text[:4], "urn:") {
		return "", text, true
	}
	for name, short := range map[string]string{userSchema: "", groupSchema: "", enterpriseSchema: enterpriseSchema, ownSchema: ownSchema} {
		if len(text) < len(name) || !strings.EqualFold(text[:len(name)], name) {
			continue
		}
		if after := text[len(name):]; after == "" || after[0] == ':' {
			return short, strings.TrimPrefix(after, ":"), true
		}
	}
	return "", "", false
}

func word(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-$", r)
	})
}

// fill takes a whole user as POST and PUT send it.
func (s *Server) fill(p *sallyport.Listed, o map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(o)) {
		at, err := parsePath(key)
		if err != nil {
			continue // no attribute of ours has such a name
		}
		if err := s.assign(p, at, o[key], false); err != nil {
			return err
		}
	}
	if p.UserName == "" {
		return bad(invalidValue, "userName is required.")
	}
	return nil
}

// assign sets an attribute of a user; add keeps what a list has. What we have no use for is passed over: providers send much more.
func (s *Server) assign(p *sallyport.Listed, at path, value any, add bool) error {
	switch {
	case at.elsewhere:
		return nil
	case at.attribute == "":
		return s.extension(p, at.schema, value, add)
	case at.schema == enterpriseSchema:
		return s.assignEnterprise(p, at, value)
	case at.schema == ownSchema:
		if at.attribute != "employment" {
			return nil
		}
		return assignEmployment(p, value)
	}
	switch at.attribute {
	case "username":
		return text(&p.UserName, value)
	case "externalid":
		return text(&p.External, value)
	case "displayname":
		return text(&p.Name, value)
	case "name":
		return assignName(p, at.sub, value)
	case "emails":
		return assignMail(p, at, value)
	case "roles":
		return assignRoles(p, value, add && at.filter == nil)
	case "active":
		active, err := truth(value)
		if err != nil {
			return err
		}
		p.Inactive = !active
	case "id":
		if id, ok := value.(string); ok && p.Key != "" && id != p.Key {
			return bad(mutability, "id cannot be changed.")
		}
	}
	return nil
}

// extension takes the attributes of an extension, which stand in an object under its URN.
func (s *Server) extension(p *sallyport.Listed, schema string, value any, add bool) error {
	o, ok := value.(map[string]any)
	if !ok {
		return bad(invalidValue, "An extension is an object.")
	}
	for _, key := range slices.Sorted(maps.Keys(o)) {
		at, err := parsePath(key)
		if err != nil || at.attribute == "" {
			continue
		}
		at.schema = schema
		if err := s.assign(p, at, o[key], add); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) assignEnterprise(p *sallyport.Listed, at path, value any) error {
	switch at.attribute {
	case "employeenumber":
		return text(&p.Number, value)
	case "department":
		return text(&p.Department, value)
	case "manager":
		if at.sub != "" && at.sub != "value" {
			return nil
		}
		return s.assignManager(p, value)
	}
	return nil
}

// assignManager takes {"value": ID}, or the id alone as Entra ID sends it. One whom nobody knows is none: the rest of what the request says,
// that somebody left for one, is not to be lost for it.
func (s *Server) assignManager(p *sallyport.Listed, value any) error {
	if o, ok := value.(map[string]any); ok {
		value = member(o, "value")
	}
	id := ""
	if err := text(&id, value); err != nil {
		return err
	}
	p.Manager = ""
	if id == "" {
		return nil
	}
	if m, ok := s.c.Directory.ByKey(staff.SCIM, id); ok {
		p.Manager = m.Staff
		return nil
	}
	for _, m := range s.users() {
		if sameName(m.UserName, id) || m.Number != "" && m.Number == id {
			p.Manager = m.Staff
			return nil
		}
	}
	if who, ok := s.c.Known(sallyport.Staff(id)); ok {
		p.Manager = who
		return nil
	}
	s.c.Log.Warn("a manager whom nobody knows: provision managers first", "staff", p.Staff)
	return nil
}

func assignEmployment(p *sallyport.Listed, value any) error {
	state := ""
	if err := text(&state, value); err != nil {
		return err
	}
	state = strings.ToLower(state)
	if state != "" && !slices.Contains(staff.Employments(), state) {
		return bad(invalidValue, "employment is one of %s.", strings.Join(staff.Employments(), ", "))
	}
	p.Employment = state
	return nil
}

func assignName(p *sallyport.Listed, sub string, value any) error {
	switch sub {
	case "givenname":
		return text(&p.Given, value)
	case "familyname":
		return text(&p.Family, value)
	case "":
	default:
		return nil
	}
	if value == nil {
		p.Given, p.Family = "", ""
		return nil
	}
	o, ok := value.(map[string]any)
	if !ok {
		return bad(invalidValue, "name is an object.")
	}
	for key, inner := range o {
		if key == "" { // it would be taken for the whole
			continue
		}
		if err := assignName(p, strings.ToLower(key), inner); err != nil {
			return err
		}
	}
	return nil
}

// assignMail keeps one address: that for work, else the primary one, else the first.
func assignMail(p *sallyport.Listed, at path, value any) error {
	if at.filter != nil && !at.filter.holds(func(attribute string) []string {
		return map[string][]string{"emails.type": {"work"}, "emails.primary": {"true"}, "emails.value": {p.Mail}}[attribute]
	}) {
		return nil // another address than the one that is kept
	}
	if at.sub != "" && at.sub != "value" {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		if o, single := value.(map[string]any); single {
			value = member(o, "value")
		}
		return text(&p.Mail, value)
	}
	best, address := -1, ""
	for _, entry := range list {
		o, ok := entry.(map[string]any)
		if !ok {
			return bad(invalidValue, "emails is a list of objects.")
		}
		rank := 0
		if primary, err := truth(member(o, "primary")); err == nil && primary {
			rank = 1
		}
		if kind, _ := member(o, "type").(string); strings.EqualFold(kind, "work") {
			rank = 2
		}
		if rank <= best {
			continue
		}
		best = rank
		if err := text(&address, member(o, "value")); err != nil {
			return err
		}
	}
	p.Mail = address
	return nil
}

// assignRoles takes a list of objects, an object, a text, or, as Entra ID's AssertiveAppRoleAssignmentsComplex sends it, an object in a text.
func assignRoles(p *sallyport.Listed, value any, add bool) error {
	roles, err := rolesIn(value)
	if err != nil {
		return err
	}
	if add {
		roles = append(slices.Clone(p.Said), roles...)
	}
	slices.Sort(roles)
	p.Said = slices.Compact(roles)
	if len(p.Said) > 100 {
		return bad(invalidValue, "More than 100 roles.")
	}
	return nil
}

func rolesIn(value any) (out []string, err error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case []any:
		for _, entry := range v {
			if _, nested := entry.([]any); nested {
				return nil, bad(invalidValue, "roles is a list of objects.")
			}
			more, err := rolesIn(entry)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
		return out, nil
	case map[string]any:
		inner, _ := member(v, "value").(string)
		value = inner
	case string:
		var o map[string]any
		if strings.HasPrefix(v, "{") && json.Unmarshal([]byte(v), &o) == nil {
			inner, _ := member(o, "value").(string)
			value = inner
		}
	}
	role := ""
	if err := text(&role, value); err != nil || role == "" {
		return nil, err
	}
	return []string{role}, nil
}

// member is an attribute of an object, whatever the case of its name.
func member(o map[string]any, name string) any {
	for key, value := range o {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return nil
}

// text takes a string of one line; null empties it. Numbers are taken as they are written: employee numbers come so.
func text(into *string, value any) error {
	got := ""
	switch v := value.(type) {
	case nil:
	case string:
		got = strings.TrimSpace(v)
	case json.Number:
		got = v.String()
	default:
		return bad(invalidValue, "A text is expected where something else stands.")
	}
	if len(got) > maxText || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return bad(invalidValue, "A text is longer than %d bytes, or has characters that no line has.", maxText)
	}
	*into = got
	return nil
}

// truth takes true and false, also as the text that Entra ID sends.
func truth(value any) (bool, error) {
	switch v := value.(type) {
	case bool:
		return v, nil
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	}
	return false, bad(invalidValue, "true or false is expected where %s stands.", kindOf(value))
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "nothing"
	case string:
		return "another text"
	case json.Number:
		return "a number"
	}
	return "something else"
}
