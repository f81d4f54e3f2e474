package cli

import (
	"slices"
	"strconv"
	"strings"

	"sallyport"
	"sallyport/token"
)

// turnedIn is what a dump says of integers and uuids of a table and join group: of which epoch their tokens are.
type turnedIn struct {
	columns []string
	epoch   int
	done    bool
}

// leftAsTheyAre says what was not turned back, rather than turned into other numbers.
const leftAsTheyAre = "%s: left as they are, since nothing in front of their rows says that their tokens are of the present key. " +
	"The dump must be of now, and begin with the table that says so: (pg_dump --data-only -t sallyport.turning …; pg_dump …) | sallyport keys recover …"

// noteTurned reads a row of sallyport.turning.
func (r *recovery) noteTurned(names []string, fields [][]byte) {
	of := func(name string) string {
		if i := slices.Index(names, name); i >= 0 && i < len(fields) {
			return string(appendUnescaped(nil, fields[i]))
		}
		return ""
	}
	epoch, err := strconv.Atoi(of("epoch"))
	if err != nil {
		return
	}
	at := turnedIn{epoch: epoch, done: of("done") == "t"}
	for name := range strings.SplitSeq(strings.Trim(of("columns"), "{}"), ",") {
		at.columns = append(at.columns, strings.Trim(name, `"`))
	}
	if r.turned == nil {
		r.turned = map[string]turnedIn{}
	}
	r.turned[of("relation")+"\x00"+of("join_group")] = at
}

// tells tells whether the tokens of a column are known to be of the key that would read them. Those with a form say it themselves; others were never
// rotated, or the dump has said so in front of them.
func (r *recovery) tells(column sallyport.Column, codec *token.Codec) bool {
	if codec.Recognisable() {
		return true
	}
	recorded := r.state.TurnedEpochs()[column.String()]
	at, said := r.turned[column.Schema+"."+column.Table+"\x00"+codec.Spec().Group]
	if said = said && slices.Contains(at.columns, column.String()); said && at.done && at.epoch >= recorded.Last && at.epoch <= codec.Epochs()[0] {
		return true
	}
	if !said && recorded.Last == 0 {
		return true
	}
	if r.left == nil {
		r.left = map[string]bool{}
	}
	r.left[column.String()] = true
	return false
}
