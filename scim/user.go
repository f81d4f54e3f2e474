package scim

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"sallyport"
	"sallyport/staff"
)

func (s *Server) users() []sallyport.Listed {
	return slices.DeleteFunc(s.c.Directory.People(staff.SCIM), func(p sallyport.Listed) bool { return p.Gone })
}

// user is whom a request's path names.
func (s *Server) user(r *http.Request) (sallyport.Listed, error) {
	p, ok := s.c.Directory.ByKey(staff.SCIM, r.PathValue("id"))
	if !ok || p.Gone {
		return p, missing("user")
	}
	return p, nil
}

func (s *Server) getUser(r *http.Request) (*answer, error) {
	p, err := s.user(r)
	if err != nil {
		return nil, err
	}
	return s.userAnswer(r, http.StatusOK, &p)
}

func (s *Server) listUsers(r *http.Request) (*answer, error) {
	q, err := queryOf(r, userAttributes())
	if err != nil {
		return nil, err
	}
	v := s.view()
	var found []*sallyport.Listed
	people := s.users()
	for i := range people {
		if q.filter == nil || q.filter.holds(func(attribute string) []string { return v.values(&people[i], attribute) }) {
			found = append(found, &people[i])
		}
	}
	return q.page(len(found), func(i int) map[string]any { return v.user(r, found[i]) }), nil
}

func (s *Server) createUser(r *http.Request) (*answer, error) {
	o, err := object(r)
	if err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	p := sallyport.Listed{}
	if err := s.fill(&p, o); err != nil {
		return nil, err
	}
	if p.Staff, err = s.identify(&p); err != nil {
		return nil, err
	}
	p.Key, p.Created = s.c.NewID(), s.c.Now()
	if old, ok := s.c.Directory.Get(staff.SCIM, p.Staff); ok {
		p.Version = old.Version // a reader never takes the new one for the old one
	}
	if err := s.save(&p, nil); err != nil {
		return nil, err
	}
	return s.userAnswer(r, http.StatusCreated, &p)
}

func (s *Server) replaceUser(r *http.Request) (*answer, error) {
	o, err := object(r)
	if err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	old, err := s.user(r)
	if err != nil {
		return nil, err
	}
	if err := fresh(r, etag(old.Version)); err != nil {
		return nil, err
	}
	// What the request leaves out is gone, but for what it cannot say (groups) and for active: leaving that out brings nobody back.
	p := sallyport.Listed{Staff: old.Staff, Key: old.Key, Groups: old.Groups, Inactive: old.Inactive, Version: old.Version, Created: old.Created}
	if err := s.fill(&p, o); err != nil {
		return nil, err
	}
	return s.changed(r, &p, &old)
}

func (s *Server) patchUser(r *http.Request) (*answer, error) {
	operations, err := operationsOf(r)
	if err != nil {
		return nil, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	old, err := s.user(r)
	if err != nil {
		return nil, err
	}
	if err := fresh(r, etag(old.Version)); err != nil {
		return nil, err
	}
	p := old
	p.Groups, p.Said = slices.Clone(old.Groups), slices.Clone(old.Said)
	for _, op := range operations {
		if err := s.patch(&p, op); err != nil {
			return nil, err
		}
	}
	return s.changed(r, &p, &old)
}

// changed saves what a person was changed into, if that is anything else.
func (s *Server) changed(r *http.Request, p, old *sallyport.Listed) (*answer, error) {
	if p.UserName == "" {
		return nil, bad(invalidValue, "userName is required.")
	}
	if other := s.claims(p); len(other) > 0 {
		return nil, taken("userName, externalId or employeeNumber is another user's.")
	}
	if err := s.save(p, old); err != nil {
		return nil, err
	}
	return s.userAnswer(r, http.StatusOK, p)
}

func (s *Server) deleteUser(r *http.Request) (*answer, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	old, err := s.user(r)
	if err != nil {
		return nil, err
	}
	if err := fresh(r, etag(old.Version)); err != nil {
		return nil, err
	}
	p := old
	p.Gone, p.Groups, p.Said = true, nil, nil
	if err := s.save(&p, &old); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusNoContent}, nil
}

// save resolves somebody's place and puts him on record, unless nothing changed.
func (s *Server) save(p, old *sallyport.Listed) error {
	s.resolve(p, old, s.groupNames())
	if old != nil && old.Gone == p.Gone && len(staff.Compare(old, p)) == 0 {
		p.Version, p.Changed = old.Version, old.Changed
		return nil
	}
	p.Version, p.Changed = p.Version+1, s.c.Now()
	return s.c.Record([]sallyport.Listed{*p}, nil)
}

// resolve sets the place that somebody's groups and roles mean.
func (s *Server) resolve(p, old *sallyport.Listed, names map[sallyport.Group]string) {
	var groups []string
	for _, g := range p.Groups {
		if name, ok := names[g]; ok {
			groups = append(groups, name)
		}
	}
	if there, ok := s.c.Directory.Get(staff.SCIM, p.Staff); ok && old == nil {
		old = &there // deleted, and here again
	}
	s.c.Mapping().Resolve(p, groups, old)
}

// identify says who a new user is. Whoever was here before is the same person, also under another id of the provider's: a lock holds whom it
// was given to.
func (s *Server) identify(p *sallyport.Listed) (sallyport.Staff, error) {
	before := sallyport.Staff("")
	for _, other := range s.claims(p) {
		if !other.Gone {
			return "", taken("There is a user with this userName, externalId or employeeNumber already.")
		}
		if before != "" && before != other.Staff {
			return "", taken("userName, externalId and employeeNumber are those of two people who were deleted.")
		}
		before = other.Staff
	}
	who, known := s.c.Account(p.UserName)
	if !known {
		attribute, _ := identifying(s.c.ID)
		id := attribute(p)
		if !staff.GoodID(id) {
			return "", bad(invalidValue, "%s is the id of staff here, and cannot be one as it is: it takes printable ASCII without spaces, colons and commas.", s.c.ID)
		}
		if who, known = s.c.Known(sallyport.Staff(id)); !known {
			who = sallyport.Staff(id)
		}
	}
	if before != "" && before != who {
		if known {
			return "", taken("This is one person by its id, and another one, who was deleted, by userName, externalId or employeeNumber.")
		}
		who = before
	}
	if s.c.Program(who) {
		return "", taken("A service has this id.")
	}
	if there, ok := s.c.Directory.Get(staff.SCIM, who); ok && !there.Gone {
		return "", taken("There is a user for this person already.")
	}
	return who, nil
}

// claims are other users, deleted ones too, with which a user shares what tells people apart.
func (s *Server) claims(p *sallyport.Listed) (out []sallyport.Listed) {
	for _, other := range s.c.Directory.People(staff.SCIM) {
		if other.Key == p.Key && p.Key != "" || other.Staff == p.Staff && p.Staff != "" {
			continue
		}
		if sameName(other.UserName, p.UserName) || other.External == p.External && p.External != "" || sameName(other.Number, p.Number) && p.Number != "" {
			out = append(out, other)
		}
	}
	return out
}

// fold is what user names are compared by: RFC 7643 says that their case does not matter, and two ways to write an ü are one.
func fold(s string) string { return strings.ToLower(norm.NFKC.String(s)) }

func sameName(a, b string) bool { return fold(a) == fold(b) }

// identifying reads the attribute that is the id of new staff.
func identifying(name string) (func(*sallyport.Listed) string, bool) {
	switch strings.ToLower(name) {
	case "", "username":
		return func(p *sallyport.Listed) string { return p.UserName }, true
	case "externalid":
		return func(p *sallyport.Listed) string { return p.External }, true
	case "employeenumber":
		return func(p *sallyport.Listed) string { return p.Number }, true
	}
	return nil, false
}
