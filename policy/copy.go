package policy

import (
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"sallyport"
)

// ActionCopy makes what stands in the database another customer's: a token goes into another row, or a row into another
// customer's hands. It is how somebody would launder a victim into a ticket of his own.
const ActionCopy = "copy"

// ByDefault names what decided where no policy did: what is not permitted is denied.
const ByDefault = "default"

// Copiers are the services that may copy, by column (schema.table.column).
type Copiers struct {
	Configured map[string][]sallyport.Staff
	// Attesters are those whose word about tickets or contacts counts: they may say whose one is.
	Attesters map[string][]sallyport.Staff
}

func services(ids []sallyport.Staff) types.Set {
	list := make([]types.Value, len(ids))
	for i, id := range ids {
		list[i] = types.NewEntityUID("Service", types.String(id))
	}
	return types.NewSet(list...)
}

// Copy decides whether somebody may copy into every one of some columns. A person never may, whatever policies say.
func (s *Set) Copy(who sallyport.Staff, service bool, columns []sallyport.Column) sallyport.Decision {
	d := sallyport.Decision{Action: ActionCopy, Columns: columns, Policy: ByDefault}
	if s == nil || len(columns) == 0 {
		return d
	}
	var by []string
	for _, column := range columns {
		r := s.Decide(Ask{Who: who, Service: service, Action: ActionCopy, Column: column, Context: Context{Trust: 100, MFAMinutes: -1, SecondMinutes: -1}})
		if r.Verdict != sallyport.Reveal || !service {
			if len(r.Policies) > 0 && r.Verdict != sallyport.Reveal {
				d.Policy = r.Policy()
			}
			return d
		}
		by = append(by, r.Policies...)
	}
	slices.Sort(by)
	d.Permitted, d.Policy = true, strings.Join(slices.Compact(by), ",")
	return d
}
