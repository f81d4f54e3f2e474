package config

import (
	"fmt"
	"maps"
	"slices"

	"sallyport"
)

// checkPowers holds each power to one that exists, and whoever has it to people and services that do.
func (c *Config) checkPowers(r *Document) {
	var kinds []string
	for _, p := range sallyport.Powers() {
		kinds = append(kinds, string(p))
	}
	for _, kind := range slices.Sorted(maps.Keys(c.Powers)) {
		path := "powers." + kind
		switch {
		case kind == string(sallyport.PowerFile):
			r.problem(r.Keys[path], "nobody may use the server's files and programs through the gateway; expected no key %q", kind)
			continue
		case !slices.Contains(kinds, kind):
			r.problem(r.Keys[path], "there is no power %q; expected %s", kind, OneOf(kind, kinds))
			continue
		}
		c.checkStaff(r, path, c.Powers[kind])
	}
}

// checkStaff holds a list of ids to people and services that exist, each once.
func (c *Config) checkStaff(r *Document, path string, ids []string) {
	known := slices.Concat(slices.Sorted(maps.Keys(c.People)), slices.Sorted(maps.Keys(c.Services)))
	seen := map[string]bool{}
	for i, id := range ids {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case !slices.Contains(known, id):
			r.problemAt(at, "nobody is called %q; expected %s", id, OneOf(id, known))
		case seen[id]:
			r.problemAt(at, "%q stands twice; expected each id once", id)
		}
		seen[id] = true
	}
}

// PowersHeld is who may use which power, as the gateway takes it.
func (c *Config) PowersHeld() map[sallyport.Power][]sallyport.Staff {
	out := map[sallyport.Power][]sallyport.Staff{}
	for kind, ids := range c.Powers {
		for _, id := range ids {
			out[sallyport.Power(kind)] = append(out[sallyport.Power(kind)], sallyport.Staff(id))
		}
	}
	return out
}
