package cli

import (
	"context"
	"maps"
	"slices"
	"strings"

	"sallyport/config"
	"sallyport/serve"
)

// serviceFindings are what `check` tells of services: keys that cannot be read, and accounts for which nobody answers.
func serviceFindings(c *config.Config, ctx context.Context) []serve.Finding {
	var out []serve.Finding
	for _, id := range slices.Sorted(maps.Keys(c.Services)) {
		if c.Services[id].Owner == "" {
			out = append(out, serve.Finding{Where: "services." + id, What: "nobody answers for this account; name a person: owner: ID", Note: true})
		}
	}
	v, err := c.Verifier()
	if v != nil {
		err = v.Load(ctx)
	}
	if err != nil {
		out = append(out, serve.Finding{Where: "assertions", What: strings.ReplaceAll(err.Error(), "\n", "; ")})
	}
	return out
}
