package cli

import (
	"context"

	"sallyport/config"
	"sallyport/keys"
	"sallyport/serve"
)

// makeKeys makes the ring, under the secret of a quorum where there is one.
func makeKeys(c *config.Config, ctx context.Context, where serve.Keyring, split *keys.Split) (*keys.Keyring, error) {
	if split == nil {
		return serve.OpenKeys(c, ctx, where, true)
	}
	return keys.Open(ctx, keys.Options{Dir: where.Data, Provider: split, Tenant: c.Keys.Tenant, Groups: c.Groups(), Own: c.OwnGroups(), Make: true, Now: where.Clock, Known: where.Known})
}
