package api

import "strings"

// Trouble tells whether something is wrong with this part, or waits for somebody, so that nobody who looks for ten seconds has to read all of them.
func (x Standby) Trouble() bool {
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(x.How, w) {
				return true
			}
		}
		return false
	}
	switch what, _, _ := strings.Cut(x.What, " "); what {
	case "failed", "sealed", "leavers": // a step that was not done, a gateway without keys, leavers who are not locked yet
		return true
	case "clients":
		return has("are refused")
	case "disk":
		return has("FULL")
	case "ledger":
		return has("FOR TOO LONG", "does not go on")
	case "witness", "checkpoint":
		return has("not the newest")
	case "source":
		return has("covers nothing")
	case "files":
		return has("not approved")
	case "detects":
		return has("nobody looks")
	case "gateways":
		here, rest, _ := strings.Cut(x.How, " of ")
		all, _, _ := strings.Cut(rest, " ")
		return here != all
	}
	return strings.HasPrefix(x.How, "cannot") || has("refused:")
}
