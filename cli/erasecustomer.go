package cli

import (
	"fmt"
	"strings"

	"sallyport/api"
	"sallyport/config"
)

// owedLines say what an erasure does not reach.
func owedLines(o *api.Owed) string {
	var b strings.Builder
	say := func(n int, format string, args ...any) {
		if n > 0 {
			fmt.Fprintf(&b, "  "+format+"\n", args...)
		}
	}
	say(o.Young, "%d are younger than %d days: budgets count what was seen; ask again after %s", o.Young, config.FewestDays, o.Until.Format("2006-01-02"))
	say(o.Shared, "%d entries speak of other customers, too, and stay until their time is up: %s", o.Shared, strings.Join(o.SharedEntries, " "))
	say(o.Held, "%d are held: as evidence, or by retention.hold", o.Held)
	say(o.Needed, "%d say who may see what (facts about tickets, ties, shredding): they are kept", o.Needed)
	say(o.Later, "%d do not fit into one proposal: ask again once this one is done", o.Later)
	if len(o.Sent) > 0 {
		fmt.Fprintf(&b, "  what was sent to %s cannot be taken back: the notice (kind erasing, with the ids) goes there, too\n", strings.Join(o.Sent, ", "))
	}
	b.WriteString("  backups, and exports that somebody made, hold what they held\n")
	return b.String()
}
