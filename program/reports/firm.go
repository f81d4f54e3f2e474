package reports

import (
	"context"
	"maps"
	"slices"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/program"
	"sallyport/staff"
)

// FirmForClient is what a client reads of an outside firm.
type FirmForClient struct {
	Firm     string                 `json:"firm"`
	Name     string                 `json:"name"`
	Client   string                 `json:"client"`
	From     time.Time              `json:"from"`
	Until    time.Time              `json:"until"`
	Contract time.Time              `json:"contract_until,omitzero"`
	Over     bool                   `json:"over"`
	People   int                    `json:"people"` // of the firm, with access
	Seen     program.ClientExposure `json:"seen"`
	Record   string                 `json:"record"` // id of the stream in which the entries stand
}

// outsiders are all people of outside firms.
func (r *Record) outsiders() (out []program.Outsider) {
	for _, who := range slices.Sorted(maps.Keys(r.Roster.People)) {
		if p := r.Roster.People[who]; p.Firm != "" {
			out = append(out, program.Outsider{Staff: who, Firm: p.Firm, Team: p.Place.Team, Role: p.Place.Role, Until: p.Until, Employment: p.Employment, Over: p.Over(r.Now)})
		}
	}
	return out
}

// firms are what each saw, or what one saw of one client.
func (r *Record) firms(ctx context.Context, q *api.ReportQuestion) (any, error) {
	from := r.Now.AddDate(0, 0, -q.Days)
	x := program.NewExposures(from, r.Now, r.outsiders(), r.Config.Program.ClientList())
	if err := r.accesses(ctx, x.Access); err != nil {
		return nil, err
	}
	until := map[string]time.Time{}
	for name, f := range r.Config.Firms {
		until[name], _ = config.LastDay(f.Until) // checked when the file was read
	}
	list := x.Firms(until, r.Now)
	if q.Report == "firms" {
		return append([]program.FirmExposure{}, list...), nil
	}
	i := slices.IndexFunc(list, func(f program.FirmExposure) bool { return f.Firm == q.Firm })
	if i < 0 {
		return nil, config.Usagef("there is no firm %q; expected one of firms in the configuration", q.Firm)
	}
	if _, ok := r.Config.Program.Clients[q.Client]; !ok && q.Client != program.OtherClients {
		return nil, config.Usagef("there is no client %q; expected one of program.clients, or %s", q.Client, program.OtherClients)
	}
	f := &list[i]
	out := &FirmForClient{
		Firm: f.Firm, Name: r.Config.Firms[f.Firm].Name, Client: q.Client, From: from, Until: r.Now, Contract: f.Until, Over: f.Over, Record: r.Access.ID(),
		Seen: program.ClientExposure{Client: q.Client, Columns: map[string]int{}, Reasons: map[string]int{}},
	}
	if out.Name == "" {
		out.Name = f.Firm
	}
	for _, p := range f.People {
		if p.Employment != staff.Left {
			out.People++
		}
	}
	for _, c := range f.Clients {
		if c.Client == q.Client {
			out.Seen = c
		}
	}
	return out, nil
}

// offboarding is about all people of a firm, or about one person with all of his accounts.
func (r *Record) offboarding(ctx context.Context, of string) ([]program.Ending, error) {
	var people []sallyport.Staff
	for _, x := range r.outsiders() {
		if x.Firm == of {
			people = append(people, r.Config.AccountsOf(x.Staff)...)
		}
	}
	if _, known := r.Roster.People[sallyport.Staff(of)]; known && len(people) == 0 {
		people = r.Config.AccountsOf(sallyport.Staff(of))
	}
	if len(people) == 0 {
		return nil, config.Usagef("nobody is of a firm %q, and nobody has this id", of)
	}
	if r.Asker != "" && slices.Contains(people, r.Asker) {
		return nil, config.Usagef("nobody looks into what is about himself; ask another lead or security")
	}
	slices.Sort(people)
	people = slices.Compact(people)
	o := program.NewOffboarding(people)
	if err := r.orders(ctx, o.Control); err != nil {
		return nil, err
	}
	if err := r.accesses(ctx, o.Access); err != nil {
		return nil, err
	}
	return o.Endings(r.Config.Held(people), func(who sallyport.Staff) bool { return r.State.Standing(who).Locked }, r.Now), nil
}
