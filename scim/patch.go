package scim

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"sallyport"
)

// operation is one of a PATCH (RFC 7644, 3.5.2).
type operation struct {
	op    string // add, replace, remove
	path  *path  // nil: the value is an object of attributes
	value any
}

// operationsOf reads a PATCH. Entra ID capitalises the verbs.
func operationsOf(r *http.Request) ([]operation, error) {
	o, err := object(r)
	if err != nil {
		return nil, err
	}
	list, ok := member(o, "Operations").([]any)
	if !ok || len(list) == 0 {
		return nil, bad(invalidSyntax, "A PATCH has a list of Operations.")
	}
	if len(list) > maxOperations {
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Detail: "A PATCH has more operations than are taken at once."}
	}
	out := make([]operation, 0, len(list))
	for _, entry := range list {
		one, ok := entry.(map[string]any)
		if !ok {
			return nil, bad(invalidSyntax, "An operation is an object.")
		}
		verb, _ := member(one, "op").(string)
		op := operation{op: strings.ToLower(verb), value: member(one, "value")}
		if !slices.Contains([]string{"add", "replace", "remove"}, op.op) {
			return nil, bad(invalidSyntax, "An operation's op is add, replace or remove.")
		}
		if where, _ := member(one, "path").(string); where != "" {
			at, err := parsePath(where)
			if err != nil {
				return nil, err
			}
			op.path = &at
		} else if op.op == "remove" {
			return nil, bad(noTarget, "A remove needs a path.")
		}
		out = append(out, op)
	}
	return out, nil
}

// each calls do with every attribute that an operation without a path names.
func (op *operation) each(do func(at path, value any) error) error {
	o, ok := op.value.(map[string]any)
	if !ok {
		return bad(invalidValue, "An operation without a path has an object as its value.")
	}
	for _, key := range slices.Sorted(maps.Keys(o)) {
		at, err := parsePath(key)
		if err != nil {
			return err
		}
		if err := do(at, o[key]); err != nil {
			return err
		}
	}
	return nil
}

// patch changes a user by one operation.
func (s *Server) patch(p *sallyport.Listed, op operation) error {
	add := op.op == "add"
	switch {
	case op.path == nil:
		return op.each(func(at path, value any) error { return s.assign(p, at, value, add) })
	case op.op == "remove":
		return s.remove(p, *op.path)
	}
	return s.assign(p, *op.path, op.value, add)
}

// remove empties an attribute. Without active nobody is active again: that is said, not left out.
func (s *Server) remove(p *sallyport.Listed, at path) error {
	switch {
	case at.schema == "" && (at.attribute == "username" || at.attribute == "id" || at.attribute == "active"):
		return bad(mutability, "userName, id and active cannot be removed.")
	case at.schema == "" && at.attribute == "roles" && at.filter != nil:
		p.Said = slices.DeleteFunc(p.Said, func(role string) bool {
			return at.filter.holds(func(attribute string) []string {
				return map[string][]string{"roles.value": {role}, "roles.primary": {"true"}}[attribute]
			})
		})
		return nil
	case at.attribute == "": // an extension as a whole
		switch at.schema {
		case enterpriseSchema:
			p.Number, p.Department, p.Manager = "", "", ""
		case ownSchema:
			p.Employment = ""
		}
		return nil
	}
	return s.assign(p, at, nil, false)
}
