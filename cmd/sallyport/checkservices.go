package main

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// serviceFindings are what `check` tells of services: keys that cannot be read, and accounts for which nobody answers.
func (c *Config) serviceFindings(ctx context.Context) []finding {
	var out []finding
	for _, id := range slices.Sorted(maps.Keys(c.Services)) {
		if c.Services[id].Owner == "" {
			out = append(out, finding{Where: "services." + id, What: "nobody answers for this account; name a person: owner: ID", Note: true})
		}
	}
	v, err := c.verifier()
	if v != nil {
		err = v.Load(ctx)
	}
	if err != nil {
		out = append(out, finding{Where: "assertions", What: strings.ReplaceAll(err.Error(), "\n", "; ")})
	}
	return out
}
