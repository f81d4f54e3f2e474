package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"sallyport"
)

// ActionCopy makes what stands in the database another customer's: a token goes into another row, or a row into another
// customer's hands. It is how somebody would launder a victim into a ticket of his own.
const ActionCopy = "copy"

// ByDefault names what decided where no policy did: what is not permitted is denied.
const ByDefault = "default"

// copyPolicies are all policies about copying. Cedar denies what none of them permits, and a forbid overrides every permit.
const copyPolicies = `
@id("copy.configured")
permit (principal is Service, action == Action::"copy", resource is Column)
when { resource.copiers.contains(principal) };

@id("copy.reasons")
permit (principal is Service, action == Action::"copy", resource is Column)
when { resource.attesters.contains(principal) };

@id("copy.people")
forbid (principal is Person, action == Action::"copy", resource);
`

// Copiers are the services that may copy, by column (schema.table.column).
type Copiers struct {
	Configured map[string][]sallyport.Staff
	// Attesters are those whose word about tickets or contacts counts: they may say whose one is.
	Attesters map[string][]sallyport.Staff
}

// Rules decide about actions by Cedar policies. They are immutable.
type Rules struct {
	policies *cedar.PolicySet
	entities cedar.EntityMap
}

// NewRules reads the policies.
func NewRules(c Copiers) (*Rules, error) {
	list, err := cedar.NewPolicyListFromBytes("copy.cedar", []byte(copyPolicies))
	if err != nil {
		return nil, fmt.Errorf("read the policies about copying: %w", err)
	}
	r := &Rules{policies: cedar.NewPolicySet(), entities: cedar.EntityMap{}}
	for _, p := range list {
		id := p.Annotations()["id"]
		if id == "" || !r.policies.Add(cedar.PolicyID(id), p) {
			return nil, fmt.Errorf("read the policies about copying: %q is no id of one policy", id)
		}
	}
	for column := range c.Configured {
		r.column(column, c)
	}
	for column := range c.Attesters {
		r.column(column, c)
	}
	return r, nil
}

// column makes a column known to the policies.
func (r *Rules) column(name string, c Copiers) {
	uid := types.NewEntityUID("Column", types.String(name))
	r.entities[uid] = types.Entity{UID: uid, Attributes: types.NewRecord(types.RecordMap{
		"copiers": services(c.Configured[name]), "attesters": services(c.Attesters[name]),
	})}
}

func services(ids []sallyport.Staff) types.Set {
	list := make([]types.Value, len(ids))
	for i, id := range ids {
		list[i] = types.NewEntityUID("Service", types.String(id))
	}
	return types.NewSet(list...)
}

// Copy decides whether somebody may copy into every one of some columns. The zero Rules permit nothing.
func (r *Rules) Copy(who sallyport.Staff, service bool, columns []sallyport.Column) sallyport.Decision {
	d := sallyport.Decision{Action: ActionCopy, Columns: columns, Policy: ByDefault}
	if r == nil || r.policies == nil || len(columns) == 0 {
		return d
	}
	kind := types.EntityType("Person")
	if service {
		kind = "Service"
	}
	var by []string
	for _, column := range columns {
		permitted, policies := r.ask(types.NewEntityUID(kind, types.String(who)), column)
		if !permitted {
			if len(policies) > 0 {
				d.Policy = strings.Join(policies, ",")
			}
			return d
		}
		by = append(by, policies...)
	}
	slices.Sort(by)
	d.Permitted, d.Policy = true, strings.Join(slices.Compact(by), ",")
	return d
}

// ask is one question to the policies. A column of which nobody is named is not known to them: then no permit fits it.
func (r *Rules) ask(who types.EntityUID, column sallyport.Column) (permitted bool, by []string) {
	resource := types.NewEntityUID("Column", types.String(column.String()))
	entities := r.entities
	if _, known := entities[resource]; !known {
		entities = cedar.EntityMap{resource: {UID: resource, Attributes: types.NewRecord(types.RecordMap{"copiers": types.NewSet(), "attesters": types.NewSet()})}}
	}
	decision, why := cedar.Authorize(r.policies, entities, cedar.Request{
		Principal: who, Action: types.NewEntityUID("Action", ActionCopy), Resource: resource, Context: types.NewRecord(nil),
	})
	for _, reason := range why.Reasons {
		by = append(by, string(reason.PolicyID))
	}
	slices.Sort(by)
	return bool(decision) && len(why.Errors) == 0, by
}
