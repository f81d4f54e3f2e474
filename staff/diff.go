package staff

import (
	"strings"
	"time"

	"sallyport"
)

// Field is one thing about somebody that changes.
type Field struct {
	Name   string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Compare says in what two listings differ, but for their versions. A nil before is somebody new.
func Compare(before *sallyport.Listed, after *sallyport.Listed) (out []Field) {
	if before == nil {
		before = &sallyport.Listed{}
	}
	was, is := fields(before), fields(after)
	for i := range is {
		if was[i].After != is[i].After {
			out = append(out, Field{is[i].Name, was[i].After, is[i].After})
		}
	}
	return out
}

// fields are what a listing says, in a fixed order, as After of each.
func fields(p *sallyport.Listed) []Field {
	groups := make([]string, len(p.Groups))
	for i, g := range p.Groups {
		groups[i] = string(g)
	}
	return []Field{
		{"name", "", p.Name},
		{"user_name", "", p.UserName},
		{"external", "", p.External},
		{"mail", "", p.Mail},
		{"number", "", p.Number},
		{"given", "", p.Given},
		{"family", "", p.Family},
		{"department", "", p.Department},
		{"manager", "", string(p.Manager)},
		{"groups", "", strings.Join(groups, " ")},
		{"said", "", strings.Join(p.Said, " ")},
		{"team", "", p.Place.Team},
		{"role", "", p.Place.Role},
		{"wants", "", wants(p.Want)},
		{"employment", "", first(p.Employment, Employed)},
		{"notice_from", "", day(p.Notice)},
		{"left", "", day(p.Leaves)},
		{"firm", "", p.Firm},
		{"active", "", map[bool]string{true: "no", false: "yes"}[p.Inactive || p.Gone]},
		{"key", "", p.Key},
	}
}

func wants(p sallyport.Place) string {
	if p == (sallyport.Place{}) {
		return ""
	}
	return FormatPlace(p)
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
