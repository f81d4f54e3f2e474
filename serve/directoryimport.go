package serve

import (
	"maps"
	"slices"

	"sallyport"
	"sallyport/api"
	"sallyport/staff"
)

// apiDirectory is the directory as the control socket shows and changes it.
func (s *Server) apiDirectory() *api.Directory {
	delay, _ := s.O.Config.Directory.PowerDelay() // checked
	return &api.Directory{List: s.staffing.list, Show: s.staffing.show, Import: s.staffing.importFile, Delay: delay, Most: s.O.Config.Directory.Leavers}
}

func (p *staffing) list() []api.Member {
	people := p.now().People
	out := make([]api.Member, 0, len(people))
	for _, who := range slices.Sorted(maps.Keys(people)) {
		out = append(out, p.member(people[who]))
	}
	return out
}

func (p *staffing) member(x staff.Person) api.Member {
	st := p.s.State.Standing(x.Staff)
	m := api.Member{
		Staff: x.Staff, Name: x.Name, Team: x.Place.Team, Role: x.Place.Role, Manager: x.Manager, Employment: x.Employment, Sources: x.Sources,
		Locked: st.Locked, Suspended: st.Suspended, Left: st.Left, From: x.From,
	}
	if x.Wants != (sallyport.Place{}) {
		m.Wants = staff.FormatPlace(x.Wants)
		m.Proposal = p.waitingFor(x.Staff)
	}
	return m
}

func (p *staffing) show(who sallyport.Staff) (api.MemberDetails, bool) {
	person, ok := p.person(who)
	if !ok {
		return api.MemberDetails{}, false
	}
	delay, _ := p.s.O.Config.Directory.PowerDelay() // checked
	m := api.MemberDetails{Member: p.member(person), Delay: delay.String(), Listed: map[string]sallyport.Listed{}}
	for _, source := range staff.Sources() {
		if l, ok := p.directory().Get(source, who); ok {
			m.Listed[source] = l
		}
	}
	return m, true
}

// importFile takes the rows of a staff file. What a row says replaces what an earlier file said of that person.
func (p *staffing) importFile(me sallyport.Staff, rows []api.ImportRow, complete, dry bool, give api.GiveImport) (api.ImportResult, error) {
	if dry {
		result, _ := p.compare(me, rows, complete)
		result.Dry = true
		return result, nil
	}
	var result api.ImportResult
	var changed []sallyport.Listed
	if first, list := p.compare(me, rows, complete); len(list) == 0 {
		return first, nil // nothing to put on record
	}
	err := give(func() []sallyport.Listed {
		result, changed = p.compare(me, rows, complete)
		return changed
	})
	return result, err
}

// compare says what rows change, and what is to be put on record for it.
func (p *staffing) compare(me sallyport.Staff, rows []api.ImportRow, complete bool) (api.ImportResult, []sallyport.Listed) {
	result := api.ImportResult{Changes: []api.ImportChange{}, Missing: []string{}, Problems: []api.ImportProblem{}}
	var changed []sallyport.Listed
	mapping, inFile := p.s.O.Config.Mapping(), map[sallyport.Staff]bool{}
	for _, row := range rows {
		inFile[row.Listed.Staff] = true
	}
	for i, row := range rows {
		l := clean(row.Listed)
		old, before := p.directory().Get(staff.CSV, l.Staff)
		if field, text := p.objection(&l, inFile); text != "" {
			result.Problems = append(result.Problems, api.ImportProblem{Row: i, Field: field, Text: text})
			continue
		}
		was := &old
		if !before {
			was = nil
		}
		mapping.Say(&l, row.Says, was)
		fields := staff.Compare(was, &l)
		if len(fields) == 0 && before {
			result.Same++
			continue
		}
		if l.Staff == me {
			result.Problems = append(result.Problems, api.ImportProblem{Row: i, Field: "id", Text: "this is about yourself: somebody else imports it"})
			continue
		}
		changed = append(changed, p.stamp(l, was))
		result.Changes = append(result.Changes, changeOf(was, &l, fields))
	}
	for _, old := range p.directory().People(staff.CSV) {
		if inFile[old.Staff] || old.Inactive {
			continue
		}
		result.Missing = append(result.Missing, string(old.Staff))
		if complete && old.Staff != me {
			l := old
			l.Inactive = true
			changed = append(changed, p.stamp(l, &old))
			result.Changes = append(result.Changes, changeOf(&old, &l, staff.Compare(&old, &l)))
		}
	}
	return result, changed
}

// clean keeps of a listing what a file can say.
func clean(l sallyport.Listed) sallyport.Listed {
	return sallyport.Listed{Staff: l.Staff, Name: l.Name, Mail: l.Mail, UserName: l.UserName, Manager: l.Manager, Employment: l.Employment, Notice: l.Notice, Leaves: l.Leaves, Firm: l.Firm}
}

// stamp says when a listing changed.
func (p *staffing) stamp(l sallyport.Listed, was *sallyport.Listed) sallyport.Listed {
	l.Changed = p.s.O.Clock()
	l.Created = l.Changed
	if was != nil {
		l.Created, l.Version = was.Created, was.Version
	}
	l.Version++
	return l
}

// objection says why a row cannot be taken. The command has held it to its form; here it is held to what there is.
func (p *staffing) objection(l *sallyport.Listed, inFile map[sallyport.Staff]bool) (field, text string) {
	program := p.s.O.Config.IsProgram(l.Staff)
	_, known := p.person(l.Manager)
	same, there := p.known(l.Staff)
	switch {
	case !staff.GoodID(string(l.Staff)):
		return "id", "no id that can be used"
	case program:
		return "id", "a service has this id"
	case there && same != l.Staff:
		return "id", "there is " + string(same) + " already, who differs only in the case of letters"
	case l.Employment != "" && !slices.Contains(staff.Employments(), l.Employment):
		return "employment", "unknown state"
	case l.Firm != "" && !p.s.O.Config.HasFirm(l.Firm):
		return "firm", "there is no firm of this name in the configuration (firms)"
	case l.Manager == l.Staff && l.Manager != "":
		return "manager", "he is his own manager"
	case l.Manager != "" && !known && !inFile[l.Manager]:
		return "manager", "nobody is called " + string(l.Manager) + ", neither here nor in the file"
	}
	return "", ""
}

func changeOf(was, is *sallyport.Listed, fields []staff.Field) api.ImportChange {
	c := api.ImportChange{Staff: is.Staff, New: was == nil, Fields: fields}
	left := func(l *sallyport.Listed) bool { return l != nil && (l.Inactive || l.Employment == staff.Left) }
	c.Leaves = left(is) && !left(was)
	if is.Want != (sallyport.Place{}) && (was == nil || was.Want != is.Want) {
		c.Wants = staff.FormatPlace(is.Want)
	}
	return c
}
