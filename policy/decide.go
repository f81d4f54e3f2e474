package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"sallyport"
)

// Response is what a forbid asks for. The zero value denies.
type Response string

// The responses, mildest first.
const (
	Throttle     Response = "throttle"      // it happens, slowly
	StepUp       Response = "step_up"       // it waits until the person confirms who he is
	SecondPerson Response = "second_person" // it waits until a colleague approves
	MaskInstead  Response = "mask"          // a mask leaves in place of the value
	Refuse       Response = ""              // it does not happen
	Suspend      Response = "suspend"       // nor does anything else of this person's
)

// Responses are those that an annotation may name; without one a forbid refuses.
func Responses() []Response { return []Response{Throttle, StepUp, SecondPerson, MaskInstead, Suspend} }

// severity orders responses: of several policies that forbid the strictest holds.
func (r Response) severity() int {
	return slices.Index([]Response{Throttle, StepUp, SecondPerson, MaskInstead, Refuse, Suspend}, r)
}

// Ask is one question.
type Ask struct {
	Who     sallyport.Staff
	Service bool
	Action  string
	Column  sallyport.Column // of reveal, search, export, write, copy; of query and replicate its table; else ignored
	Context Context
}

// Context is what is known at this second. The zero value is a person of whom nothing is known: trust 0, no log-in.
type Context struct {
	Purpose       *sallyport.Reason // nil: none was given, or it does not exist
	Grant         *Granted
	Via           sallyport.Staff // a service that speaks for the person; empty: none
	Strength      Strength
	MFAMinutes    int64 // since the last confirmation; below 0: there was none
	SecondMinutes int64 // since a colleague agreed; below 0: nobody did
	Trust         int64
	Device        string
	Address       netip.Addr
	Hour          int64 // 0 to 23
	Weekday       int64 // 1 Monday to 7
	OnShift       bool
	SeenHour      int64 // distinct customers revealed
	SeenDay       int64
	SeenMonth     int64
	BudgetUsed    int64 // of his own budget of customers revealed, in percent
	SharedUsed    int64 // of the fullest budget that he shares with others
	Named         bool  // the configuration names him for this very thing: of approve and replicate
	Ended         Ended // what ended his access; empty: it goes on
	// TrainingOverdue is how many days he is behind with what he had to learn; 0: with nothing.
	TrainingOverdue int64
}

// Ended is what ended somebody's access at a date, without anybody doing anything.
type Ended string

// What ends access.
const (
	ByReview   Ended = "review"   // nobody decided by its date that he keeps it, or somebody decided that he does not
	ByContract Ended = "contract" // his, or that of his firm, is over
)

// Granted is a grant that holds.
type Granted struct {
	ID        string
	Customers int64
	Left      int64
}

// Ruling is what policies say to a question. The zero value denies.
type Ruling struct {
	Verdict  sallyport.Verdict
	Respond  Response // of the strictest forbid; Refuse where none forbids
	Policies []string // that decided, by id
	Because  string   // the sentence of the first of them
	Document string   // its paragraph of the written policy
}

// Policy names what decided, for the record.
func (r Ruling) Policy() string {
	if len(r.Policies) == 0 {
		return ByDefault
	}
	return strings.Join(r.Policies, ",")
}

// nothingPermits is why something does not happen that no policy speaks of.
const nothingPermits = "no policy permits this"

// md5Proves is why nothing is revealed to whom the server checked by MD5: its hash is as good as the password, and it stands in backups.
const md5Proves = "your log-in is by MD5, which proves nothing: ask for a SCRAM password"

// Decide answers a question. A nil set permits nothing. A forbid that cannot be evaluated forbids; a permit that cannot, permits nothing.
func (s *Set) Decide(a Ask) Ruling {
	if s == nil {
		return Ruling{Verdict: refusal(a.Action), Because: nothingPermits}
	}
	return s.remembered(&a)
}

// decide evaluates the policies.
func (s *Set) decide(a *Ask) Ruling {
	if r, over := a.over(); over {
		return r
	}
	request := a.request(s.reads[a.Action])
	entities := s.knowing(request.Principal)
	principal, resource := entityOf(entities, request.Principal), entityOf(entities, request.Resource)
	_, forbid := cedar.Authorize(s.forbids[a.Action].about(principal, resource), entities, request)
	strictest, because := Throttle, []cedar.PolicyID(nil)
	for _, r := range forbid.Reasons {
		because = append(because, r.PolicyID)
	}
	for _, e := range forbid.Errors {
		because = append(because, e.PolicyID)
	}
	for _, id := range because {
		if r := s.rules[id]; r.respond.severity() > strictest.severity() {
			strictest = r.respond
		}
	}
	if len(because) > 0 && strictest.severity() >= Refuse.severity() {
		return s.ruling(refusal(a.Action), strictest, because)
	}
	if a.Context.strength() == ByMD5 && (a.Action == ActionReveal || a.Action == ActionExport) {
		return Ruling{Verdict: refusal(a.Action), Because: md5Proves} // whatever the company's own policies forgot
	}
	allowed, permit := cedar.Authorize(s.permits[a.Action].about(principal, resource), entities, request)
	if !allowed {
		return Ruling{Verdict: refusal(a.Action), Because: nothingPermits}
	}
	if len(because) == 0 {
		for _, r := range permit.Reasons {
			because = append(because, r.PolicyID)
		}
		return s.ruling(sallyport.Reveal, Refuse, because)
	}
	return s.ruling(answer(strictest), strictest, because)
}

// over tells what becomes of a question of somebody whose access has ended, whatever the company's own policies forgot. What a review ends is to read, and a
// grant opens it; a contract that is over ends everything.
func (a *Ask) over() (Ruling, bool) {
	r := Ruling{Verdict: refusal(a.Action), Policies: []string{"sallyport.ended-by-" + string(a.Context.Ended)}}
	switch a.Context.Ended {
	case "":
		return r, false
	case ByReview:
		reads := a.Action == ActionReveal || a.Action == ActionExport
		r.Because = "the review of your access has ended it: ask for a grant"
		return r, reads && a.Context.Grant == nil
	case ByContract:
		r.Because = "your contract is over, and with it your access"
	default:
		r.Because = "your access has ended"
	}
	return r, true
}

// knowing is the set's entities and one more where nobody knows the principal: he is in no team and has no role.
func (s *Set) knowing(who types.EntityUID) types.EntityGetter {
	if s.member != nil && who.Type == typeStaff {
		if m, ok := s.member(sallyport.Staff(who.ID)); ok {
			return stranger{s.entities, m.entity()}
		}
		return stranger{s.entities, (&Member{ID: sallyport.Staff(who.ID)}).entity()}
	}
	if _, ok := s.entities[who]; ok {
		return s.entities
	}
	return stranger{s.entities, types.Entity{UID: who, Attributes: types.NewRecord(types.RecordMap{"employment": types.String(employment(""))})}}
}

// stranger is somebody beside those of the directory.
type stranger struct {
	cedar.EntityMap
	who types.Entity
}

// Get is types.EntityGetter's.
func (s stranger) Get(uid types.EntityUID) (types.Entity, bool) {
	if uid == s.who.UID {
		return s.who, true
	}
	return s.EntityMap.Get(uid)
}

// answer is the verdict of a forbid that does not refuse.
func answer(r Response) sallyport.Verdict {
	switch r {
	case Throttle:
		return sallyport.Reveal
	case MaskInstead:
		return sallyport.Mask
	case StepUp, SecondPerson:
		return sallyport.Wait
	case Refuse, Suspend:
	}
	return sallyport.Deny
}

// refusal is the verdict of what may not be: a value stays a token, all else is denied.
func refusal(action string) sallyport.Verdict {
	if action == ActionReveal {
		return sallyport.Token
	}
	return sallyport.Deny
}

// ruling is a verdict with the words of the strictest of its policies, of the first id among equals.
func (s *Set) ruling(v sallyport.Verdict, respond Response, ids []cedar.PolicyID) Ruling {
	out := Ruling{Verdict: v, Respond: respond}
	slices.Sort(ids)
	for _, id := range ids {
		r := s.rules[id]
		out.Policies = append(out.Policies, r.id)
		if out.Because == "" && (r.policy.Effect() == cedar.Permit || r.respond == respond) {
			out.Because, out.Document = r.because, r.document
		}
	}
	return out
}

// request is the question in Cedar's terms, with what of the context is read.
func (a *Ask) request(reads mentions) cedar.Request {
	kind := typeStaff
	if a.Service {
		kind = typeService
	}
	resource := types.NewEntityUID(typeColumn, types.String(a.Column.String()))
	switch {
	case a.Action == ActionQuery || a.Action == ActionReplicate:
		resource = types.NewEntityUID(typeTable, types.String(tableOf(a.Column)))
	case OfSallyport(a.Action):
		resource = types.NewEntityUID(typeSystem, systemName)
	}
	return cedar.Request{
		Principal: types.NewEntityUID(kind, types.String(a.Who)),
		Action:    types.NewEntityUID(typeAction, types.String(a.Action)),
		Resource:  resource,
		Context:   a.Context.record(reads),
	}
}

// attributes are a record in the making. What nobody reads is left out: making it took a third of a decision.
type attributes struct {
	types.RecordMap
	of    string
	reads mentions
}

func (a *attributes) put(name types.String, v types.Value) {
	if a.reads.wants(a.of, string(name)) {
		a.RecordMap[name] = v
	}
}

// putText leaves out what is empty.
func (a *attributes) putText(name types.String, text string) {
	if text != "" {
		a.put(name, types.String(text))
	}
}

// putEntity likewise.
func (a *attributes) putEntity(name types.String, kind types.EntityType, id string) {
	if id != "" {
		a.put(name, types.NewEntityUID(kind, types.String(id)))
	}
}

// putMinutes leaves out what never was.
func (a *attributes) putMinutes(name types.String, minutes int64) {
	if minutes >= 0 {
		a.put(name, types.Long(minutes))
	}
}

// record is the context as policies read it.
func (c *Context) record(reads mentions) types.Record {
	m := attributes{RecordMap: types.RecordMap{}, reads: reads}
	m.putEntity("strength", typeStrength, string(c.strength()))
	m.put("trust", types.Long(c.Trust))
	m.put("hour", types.Long(c.Hour))
	m.put("weekday", types.Long(c.Weekday))
	m.put("onShift", types.Boolean(c.OnShift))
	m.put("seenHour", types.Long(c.SeenHour))
	m.put("seenDay", types.Long(c.SeenDay))
	m.put("seenMonth", types.Long(c.SeenMonth))
	m.put("budgetUsed", types.Long(c.BudgetUsed))
	m.put("sharedUsed", types.Long(c.SharedUsed))
	m.put("named", types.Boolean(c.Named))
	m.put("trainingOverdue", types.Long(c.TrainingOverdue))
	m.putText("ended", string(c.Ended))
	if c.Purpose != nil { // whether there is one is asked without a word about what it says
		m.RecordMap["purpose"] = reason(c.Purpose, reads)
	}
	if g := c.Grant; g != nil {
		m.RecordMap["grant"] = types.NewRecord(types.RecordMap{"id": types.String(g.ID), "customers": types.Long(g.Customers), "left": types.Long(g.Left)})
	}
	m.putEntity("via", typeService, string(c.Via))
	m.putMinutes("mfaMinutes", c.MFAMinutes)
	m.putMinutes("secondMinutes", c.SecondMinutes)
	m.putText("device", c.Device)
	if c.Address.IsValid() {
		m.put("address", types.IPAddr(netip.PrefixFrom(c.Address, c.Address.BitLen())))
	}
	return types.NewRecord(m.RecordMap)
}

func (c *Context) strength() Strength {
	if c.Strength == "" {
		return NoLogin
	}
	return c.Strength
}

func reason(f *sallyport.Reason, reads mentions) types.Record {
	m := attributes{RecordMap: types.RecordMap{}, of: "purpose", reads: reads}
	m.put("kind", types.NewEntityUID(typeKind, types.String(f.Kind)))
	m.put("covers", types.Boolean(f.Covers))
	m.put("open", types.Boolean(f.Open))
	m.put("state", types.String(f.State))
	m.put("mine", types.Boolean(f.Mine))
	m.put("minutes", types.Long(f.Minutes))
	m.put("openedBySelf", types.Boolean(f.OpenedBySelf))
	m.put("assignedBySelf", types.Boolean(f.AssignedBySelf))
	m.put("contacted", types.Boolean(f.Contacted))
	m.put("looks", types.Long(f.Looks))
	m.put("lookers", types.Long(f.Lookers))
	m.put("ownLooks", types.Long(f.OwnLooks))
	m.putEntity("assignee", typeStaff, string(f.Assignee))
	m.putEntity("openedBy", typeStaff, string(f.OpenedBy))
	m.putEntity("assignedBy", typeStaff, string(f.AssignedBy))
	m.putText("openedByProgram", f.OpenedByProgram)
	m.putText("assignedByProgram", f.AssignedByProgram)
	m.putEntity("team", typeTeam, f.Team)
	return types.NewRecord(m.RecordMap)
}

// entities are the world as policies see it.
func (w *World) entities(c Copiers) cedar.EntityMap {
	m := cedar.EntityMap{}
	put := func(uid types.EntityUID, attributes types.RecordMap, parents ...types.EntityUID) {
		m[uid] = types.Entity{UID: uid, Parents: types.NewEntityUIDSet(parents...), Attributes: types.NewRecord(attributes)}
	}
	for i := range w.Staff {
		e := w.Staff[i].entity()
		m[e.UID] = e
	}
	for _, s := range w.Services {
		attributes := types.RecordMap{}
		if s.Owner != "" {
			attributes["owner"] = types.NewEntityUID(typeStaff, types.String(s.Owner))
		}
		put(types.NewEntityUID(typeService, types.String(s.ID)), attributes, groups(s.Team, "")...)
	}
	for _, column := range w.Columns {
		parents := []types.EntityUID{types.NewEntityUID(typeTable, types.String(tableOf(column.Column)))}
		if column.Class != "" {
			parents = append(parents, types.NewEntityUID(typeClass, types.String(column.Class)))
		}
		put(types.NewEntityUID(typeColumn, types.String(column.String())), types.RecordMap{
			"scheme":  types.String(column.Scheme),
			"copiers": services(c.Configured[column.String()]), "attesters": services(c.Attesters[column.String()]),
		}, parents...)
	}
	return m
}

// entity is a person as policies see him.
func (p *Member) entity() types.Entity {
	attributes := types.RecordMap{"employment": types.String(employment(p.Employment))}
	if p.Firm != "" {
		attributes["firm"] = types.String(p.Firm)
	}
	if p.Manager != "" {
		attributes["manager"] = types.NewEntityUID(typeStaff, types.String(p.Manager))
	}
	return types.Entity{
		UID: types.NewEntityUID(typeStaff, types.String(p.ID)), Parents: types.NewEntityUIDSet(groups(p.Team, p.Role)...), Attributes: types.NewRecord(attributes),
	}
}

func employment(e string) string {
	if e == "" {
		return "employed"
	}
	return e
}

func groups(team, role string) []types.EntityUID {
	var out []types.EntityUID
	if team != "" {
		out = append(out, types.NewEntityUID(typeTeam, types.String(team)))
	}
	if role != "" {
		out = append(out, types.NewEntityUID(typeRole, types.String(role)))
	}
	return out
}
