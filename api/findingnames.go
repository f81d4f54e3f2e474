package api

import (
	"encoding/json"
	"strings"

	"sallyport"
	"sallyport/control"
)

// A finding is called by whom it is about, and so are the steps that were taken. To whoever may not know him by name they are called by his
// pseudonym, and he finds them by it: by the name they are not there, so that nobody tries names through.

// ofDrill begins the ids of findings of drills.
const ofDrill = "drill-"

// Pseudonymous is an id of a finding or of a step, by what somebody is called.
func Pseudonymous(id string, about sallyport.Staff, called string) string {
	if rest, ok := strings.CutPrefix(id, string(about)+"-"); ok {
		return called + "-" + rest
	}
	if rest, ok := strings.CutPrefix(id, ofDrill+string(about)+"~"); ok { // in a drill an account is called by the drill's number, too
		return ofDrill + called + "~" + rest
	}
	return id
}

// isCalled tells whether somebody may call a finding or a step so.
func (s *Server) isCalled(me sallyport.Staff, asked, id string, about sallyport.Staff) bool {
	return asked == Pseudonymous(id, about, s.c.Names.Person(about)) || asked == id && s.shownTo(me)(about)
}

// findingCalled is a finding by the id that somebody knows, unless it is about himself.
func (s *Server) findingCalled(me sallyport.Staff, asked string) (control.Finding, bool) {
	for _, f := range s.state.Findings() {
		if s.isCalled(me, asked, f.ID, f.About) && !s.aboutHimself(&f, me) {
			return f, true
		}
	}
	return control.Finding{}, false
}

// foundAs is whom a finding is about, by pseudonym: what he did need not stand in the access stream.
func (s *Server) foundAs(pseudonym string) sallyport.Staff {
	for _, f := range s.state.Findings() {
		if f.About != "" && s.c.Names.Person(f.About) == pseudonym {
			return f.About
		}
	}
	return ""
}

// lineTo is a finding's line as somebody may see it.
func (s *Server) lineTo(me sallyport.Staff, f *control.Finding) json.RawMessage {
	var line map[string]json.RawMessage
	var staff []sallyport.Staff
	if json.Unmarshal(f.JSON, &line) != nil || json.Unmarshal(line["staff"], &staff) != nil {
		return json.RawMessage("{}")
	}
	call := s.callsTo(me)
	changed := false
	for i, who := range staff {
		staff[i] = sallyport.Staff(call(who))
		changed = changed || staff[i] != who
	}
	if !changed {
		return f.JSON
	}
	put := func(name string, value any) {
		if text, err := json.Marshal(value); err == nil {
			line[name] = text
		}
	}
	put("staff", staff)
	put("id", Pseudonymous(f.ID, f.About, call(f.About)))
	text, err := json.Marshal(line)
	if err != nil {
		return json.RawMessage("{}")
	}
	return text
}

// answerTo is the id of a finding or of a step as somebody may see it.
func (s *Server) answerTo(id string, call func(sallyport.Staff) string) string {
	finding, _, _ := strings.Cut(id, "/")
	for _, f := range s.state.Findings() {
		if f.ID == finding {
			return Pseudonymous(id, f.About, call(f.About))
		}
	}
	return id
}

// statusTo are the lines of serve's status as somebody may see them: a step that could not be taken is called by whom it is about.
func (s *Server) statusTo(me sallyport.Staff, list []Standby) []Standby {
	if s.c.Names == nil {
		return list
	}
	for i := range list {
		id, rest, ok := strings.Cut(list[i].How, ", ")
		if list[i].What != "failed" || !ok {
			continue
		}
		finding, _, _ := strings.Cut(id, "/")
		for _, f := range s.state.Findings() {
			if f.ID == finding {
				list[i].How = s.answerTo(id, s.callsTo(me)) + ", " + s.masker(me, []sallyport.Staff{f.About})(rest)
			}
		}
	}
	return list
}
