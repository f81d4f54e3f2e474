package staff

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

var (
	noon  = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	lead  = sallyport.Place{Team: "tier1", Role: "lead"}
	agent = sallyport.Place{Team: "tier1", Role: "agent"}
)

func mapping() *Mapping {
	return &Mapping{
		Groups: map[string]sallyport.Place{"agents": agent, "leads": lead, "approvers": {Team: "fraud"}, "devs": {Role: "engineer"}},
		Teams:  []string{"tier2"}, Roles: []string{"agent", "lead", "engineer", "dba", "security"}, Rules: Rules{Teams: []string{"fraud"}, Roles: []string{"dba"}},
	}
}

// TestResolve says what groups and roles mean: at once what has no power, as a wish what has.
func TestResolve(t *testing.T) {
	for name, tt := range map[string]struct {
		groups, said []string
		place, want  sallyport.Place
	}{
		"nothing":            {},
		"unknown":            {groups: []string{"canteen"}, said: []string{"king"}},
		"an agent":           {groups: []string{"AGENTS"}, place: agent},
		"a team by name":     {groups: []string{"Tier2"}, place: sallyport.Place{Team: "tier2"}},
		"a lead":             {groups: []string{"leads"}, place: sallyport.Place{Team: "tier1"}, want: lead},
		"lead and agent":     {groups: []string{"leads", "agents"}, place: agent, want: lead},
		"two teams":          {groups: []string{"tier2", "agents"}, place: agent},
		"the milder of two":  {groups: []string{"devs", "agents"}, place: agent},
		"a team with power":  {groups: []string{"agents", "approvers"}, place: agent, want: sallyport.Place{Team: "fraud", Role: "agent"}},
		"a role outright":    {said: []string{"Security"}, want: sallyport.Place{Role: "security"}},
		"lead and security":  {said: []string{"lead", "security"}, want: sallyport.Place{Role: "security"}},
		"one of the company": {said: []string{"dba"}, want: sallyport.Place{Role: "dba"}},
	} {
		l := sallyport.Listed{Said: tt.said}
		mapping().Resolve(&l, tt.groups, nil)
		if l.Place != tt.place || l.Want != tt.want || l.Placed != (l.Place != sallyport.Place{} || l.Want != sallyport.Place{}) {
			t.Errorf("%s: %+v, wants %+v, placed %v", name, l.Place, l.Want, l.Placed)
		}
	}
}

// say has a source say something of somebody.
func (s *State) say(source string, l sallyport.Listed) []sallyport.Staff {
	return s.Apply(source, []sallyport.Listed{l}, nil)
}

// TestPerson merges what configuration and sources say.
func TestPerson(t *testing.T) {
	listed := func(place, want sallyport.Place, employment string) sallyport.Listed {
		return sallyport.Listed{Staff: "a", Place: place, Want: want, Placed: true, Employment: employment}
	}
	for name, tt := range map[string]struct {
		own  *Own
		said map[string]sallyport.Listed
		want Person
	}{
		"configuration alone": {own: &Own{Place: agent}, want: Person{Place: agent, Employment: Employed}},
		"scim before csv":     {said: map[string]sallyport.Listed{SCIM: listed(agent, sallyport.Place{}, ""), CSV: listed(sallyport.Place{Team: "x", Role: "engineer"}, sallyport.Place{}, "")}, want: Person{Place: agent, Employment: Employed}},
		"scim says nothing of a place yet": {
			said: map[string]sallyport.Listed{SCIM: {Staff: "a"}, CSV: listed(agent, sallyport.Place{}, "")}, want: Person{Place: agent, Employment: Employed},
		},
		"scim took his place away": {
			said: map[string]sallyport.Listed{SCIM: {Staff: "a", Placed: true}, CSV: listed(agent, sallyport.Place{}, "")}, want: Person{Employment: Employed},
		},
		"the strictest employment": {
			own:  &Own{Place: agent, Employment: Notice},
			said: map[string]sallyport.Listed{SCIM: listed(agent, sallyport.Place{}, Employed), CSV: listed(agent, sallyport.Place{}, Leave)}, want: Person{Place: agent, Employment: Leave},
		},
		"an employment that nobody knows": {said: map[string]sallyport.Listed{CSV: listed(agent, sallyport.Place{}, "retired")}, want: Person{Place: agent, Employment: Left}},
		"inactive is left":                {said: map[string]sallyport.Listed{SCIM: {Staff: "a", Place: agent, Placed: true, Inactive: true}}, want: Person{Place: agent, Employment: Left}},
		"gone is left":                    {said: map[string]sallyport.Listed{SCIM: {Staff: "a", Gone: true}, CSV: listed(agent, sallyport.Place{}, "")}, want: Person{Place: agent, Employment: Left}},
		"notice from yesterday":           {said: map[string]sallyport.Listed{CSV: {Staff: "a", Notice: noon.Add(-24 * time.Hour)}}, want: Person{Employment: Notice}},
		"notice from tomorrow":            {said: map[string]sallyport.Listed{CSV: {Staff: "a", Notice: noon.Add(24 * time.Hour)}}, want: Person{Employment: Employed}},
		"his last day was yesterday":      {said: map[string]sallyport.Listed{CSV: {Staff: "a", Leaves: noon}}, want: Person{Employment: Left, Until: noon}},
		"a lead only wants to be":         {said: map[string]sallyport.Listed{SCIM: listed(agent, lead, "")}, want: Person{Place: agent, Employment: Employed, Wants: lead}},
		"the configuration's role holds": {
			own: &Own{Place: agent}, said: map[string]sallyport.Listed{SCIM: listed(agent, lead, "")}, want: Person{Place: agent, Employment: Employed},
		},
		"whose tickets a lead sees no import says": {
			own: &Own{Place: sallyport.Place{Role: "lead"}}, said: map[string]sallyport.Listed{SCIM: listed(agent, sallyport.Place{}, "")}, want: Person{Place: sallyport.Place{Role: "lead"}, Employment: Employed},
		},
		"a place that has got power since": {said: map[string]sallyport.Listed{SCIM: listed(sallyport.Place{Team: "fraud", Role: "agent"}, sallyport.Place{}, "")}, want: Person{Employment: Employed}},
	} {
		s := NewState()
		for _, source := range []string{CSV, SCIM} { // in the order in which they came
			if l, ok := tt.said[source]; ok {
				s.say(source, l)
			}
		}
		got, ok := s.Person("a", tt.own, mapping().Rules, noon)
		got.Staff, got.Sources = "", nil
		if diff := cmp.Diff(tt.want, got); !ok || diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, ok := NewState().Person("nobody", nil, Rules{}, noon); ok {
		t.Error("nobody is somebody")
	}
}

// TestContract: whoever is of an outside firm has left when its contract or his own is over, at that very moment, and at once where nobody knows the firm.
func TestContract(t *testing.T) {
	s := NewState()
	later := noon.Add(24 * time.Hour)
	s.say(CSV, sallyport.Listed{Staff: "listed", Firm: "north", Place: agent, Placed: true})
	s.say(CSV, sallyport.Listed{Staff: "stray", Firm: "gone"})
	rules := Rules{Firms: map[string]time.Time{"north": later, "endless": {}}}
	own := map[sallyport.Staff]*Own{
		"own": {Firm: "north", Until: noon.Add(time.Hour)}, "long": {Firm: "north", Until: later.Add(time.Hour)}, "endless": {Firm: "endless"}, "hired": {Until: later},
	}
	for _, tt := range []struct {
		who  sallyport.Staff
		at   time.Time
		left bool
	}{
		{"listed", later.Add(-1), false}, {"listed", later, true}, {"stray", noon, true}, {"own", noon.Add(time.Hour), true}, {"own", noon, false},
		{"long", later.Add(-1), false}, {"long", later, true}, {"endless", later.AddDate(9, 0, 0), false}, {"hired", later.Add(-1), false}, {"hired", later, true},
	} {
		p, ok := s.Person(tt.who, own[tt.who], rules, tt.at)
		if !ok || (p.Employment == Left) != tt.left || p.Over(tt.at) != tt.left {
			t.Errorf("%s at %s: %+v", tt.who, tt.at, p)
		}
	}
	r := s.Roster(own, rules, noon)
	if !r.Until.Equal(noon.Add(time.Hour)) || s.Current(r, noon.Add(time.Hour)) {
		t.Errorf("a roster holds until %s, when the first contract is over", r.Until)
	}
}

// TestPower: two people's word holds after the delay, for this very place, and not for longer than a source wants it.
func TestPower(t *testing.T) {
	s := NewState()
	wish := sallyport.Listed{Staff: "a", Place: agent, Want: lead, Placed: true}
	role := func(at time.Time) string {
		p, _ := s.Person("a", nil, Rules{}, at)
		return p.Place.Role
	}
	later := noon.Add(24 * time.Hour)
	s.Empower("a", lead, "p0", noon) // before anybody wants it
	s.say(SCIM, wish)
	if role(later) != "agent" {
		t.Error("an approval from before the wish counts")
	}
	s.Empower("a", sallyport.Place{Team: "tier2", Role: "lead"}, "p1", noon)
	if role(later) != "agent" {
		t.Error("an approval for another team counts")
	}
	s.Empower("a", lead, "p2", later)
	if role(later.Add(-time.Nanosecond)) != "agent" || role(later) != "lead" {
		t.Error("the delay is not what was agreed")
	}
	r := s.Roster(nil, Rules{}, noon)
	if !r.Until.Equal(later) || !s.Current(r, later.Add(-1)) || s.Current(r, later) {
		t.Errorf("the roster holds until %s", r.Until)
	}
	moved := wish
	moved.Want.Team = "tier2"
	s.say(SCIM, moved)
	if role(later) == "lead" {
		t.Error("he leads another team than two people agreed to")
	}
	s.say(SCIM, wish)
	if role(later) == "lead" {
		t.Error("he leads again without two people")
	}
	s.Empower("a", lead, "p3", noon)
	gone := wish
	gone.Gone = true
	if left := s.say(SCIM, gone); !slices.Equal(left, []sallyport.Staff{"a"}) || !s.HasLeft("a") || s.Wanted("a") != (sallyport.Place{}) {
		t.Errorf("deleted: left %v", left)
	}
	s.say(SCIM, wish)
	if role(later) == "lead" || s.HasLeft("a") {
		t.Error("who comes back has his power back")
	}
	// A source that nobody knows says nothing.
	if s.say("rumour", wish); len(s.People("rumour")) != 0 {
		t.Error("a source that there is not was heard")
	}
}

// TestReadCSV reads what is right and names what is not, by line and column.
func TestReadCSV(t *testing.T) {
	text := "\ufeffid,Name,team,role,manager,notice_from,left,site\r\n" +
		"s001,Ada Example,tier1,agent,s050,,,Berlin\r\n" +
		"s002,\"Example, Bob\",tier1,agent,s050,2026-03-01,,\r\n" +
		",No Id,tier1,agent,,,,\r\n" +
		"s003,,tier1,agent,,,,\r\n" +
		"s004,Dora,tier1,king,,,,\r\n" +
		"s001,Twin,tier1,agent,,,,\r\n" +
		"s005,Eva,tier1,agent,,01.03.2026,,\r\n" +
		"s006,\"Fa\"by,tier1,agent,,,,\r\n" +
		"s007,Gus,tier1\r\n" +
		"s 8,Hal,tier1,agent,,,,\r\n" +
		"s009,Ida,tier1,agent,s009,,,\r\n" +
		"s010,Jo,tier1,agent,,,2026-12-31T18:00:00+01:00,\r\n"
	rows, problems, err := ReadCSV(strings.NewReader(text), []string{"agent", "lead"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, string(r.Listed.Staff)+" "+r.Listed.Name+" "+FormatPlace(r.Says))
	}
	if diff := cmp.Diff([]string{"s001 Ada Example agent@tier1", "s002 Example, Bob agent@tier1", "s007 Gus @tier1", "s010 Jo agent@tier1"}, got); diff != "" {
		t.Error(diff)
	}
	if rows[3].Listed.Leaves != time.Date(2026, 12, 31, 17, 0, 0, 0, time.UTC) || rows[1].Listed.Notice.Day() != 1 {
		t.Errorf("dates: %+v", rows[3].Listed)
	}
	if line, column := rows[1].Place("manager"); line != 3 || column != 33 {
		t.Errorf("the manager stands at %d:%d", line, column)
	}
	var where [][2]int
	for _, p := range problems {
		where = append(where, [2]int{p.Line, p.Column})
	}
	if diff := cmp.Diff([][2]int{{4, 1}, {5, 6}, {6, 17}, {7, 1}, {8, 23}, {9, 9}, {11, 1}, {12, 22}}, where); diff != "" {
		t.Errorf("%s\n%v", diff, problems)
	}
	for _, header := range []string{"", "name\n", "id,name,id\n", "\"id\n"} {
		if _, _, err := ReadCSV(strings.NewReader(header), nil); err == nil {
			t.Errorf("a file that begins %q was read", header)
		}
	}
	if rows, _, err := ReadCSV(strings.NewReader("id;name;role\ns1;A;lead\n"), []string{"lead"}); err != nil || len(rows) != 1 || rows[0].Says.Role != "lead" {
		t.Errorf("with semicolons: %v %v", rows, err)
	}
}

// FuzzReadCSV holds the reader to lines that exist and rows that can be somebody.
func FuzzReadCSV(f *testing.F) {
	f.Add("id,name\ns1,A\n")
	f.Add("id;name\n\"s1;A\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, problems, _ := ReadCSV(strings.NewReader(text), []string{"agent"})
		for _, r := range rows {
			if !GoodID(string(r.Listed.Staff)) || r.Listed.Name == "" || r.Line < 1 {
				t.Errorf("%+v", r)
			}
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Text == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}
