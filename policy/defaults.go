package policy

import "embed"

//go:embed defaults/*.cedar
var defaults embed.FS

//go:embed defaults/cases.yaml
var defaultCases string

// Defaults are the policies that hold where the configuration names no folder. In a demonstration a log-in at the database is good enough, and nobody
// confirms who he is before his own budget is used up.
func Defaults(demonstration bool) []Text {
	names := []string{"budgets", "copying", "firms", "grants", "people", "reasons", about, "shared", "strength", "training", "trust"}
	var out []Text
	for _, name := range names {
		if demonstration && (name == "strength" || name == "budgets") {
			continue
		}
		text, err := defaults.ReadFile("defaults/" + name + ".cedar")
		if err != nil {
			panic("the program lacks its own policies: " + name) // they are compiled in
		}
		out = append(out, Text{Name: name + ".cedar", Content: string(text)})
	}
	return out
}

// about is the file with what holds of Sallyport itself where policies say nothing.
const about = "sallyport"

// DefaultCases are the tests of the default policies, for Cases.
func DefaultCases() Text { return Text{Name: "cases.yaml", Content: defaultCases} }
