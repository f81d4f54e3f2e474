//go:build clouds

package keys

import (
	"context"
	"fmt"
	"time"

	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/awskms"        // awskms://
	_ "gocloud.dev/secrets/azurekeyvault" // azurekeyvault://
	_ "gocloud.dev/secrets/gcpkms"        // gcpkms://
)

// cloud wraps by a cloud's key service. Its credentials are those that the cloud's own tools find: no key of ours holds them.
type cloud struct {
	url    string
	keeper *secrets.Keeper
}

// cloudTimeout bounds one call with the retries that the cloud's own library makes.
const cloudTimeout = 30 * time.Second

func cloudsBuilt() error { return nil }

func openCloud(ctx context.Context, url string) (Provider, error) {
	keeper, err := secrets.OpenKeeper(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", url, err)
	}
	return &cloud{url: url, keeper: keeper}, nil
}

func (c *cloud) Name() string { return c.url }

func (c *cloud) Wrap(ctx context.Context, key []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, cloudTimeout)
	defer cancel()
	wrapped, err := c.keeper.Encrypt(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("ask %s to encrypt: %w", c.url, err)
	}
	return wrapped, nil
}

func (c *cloud) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, cloudTimeout)
	defer cancel()
	key, err := c.keeper.Decrypt(ctx, wrapped)
	if err != nil {
		return nil, fmt.Errorf("ask %s to decrypt: %w", c.url, err)
	}
	if len(key) != KeySize {
		clear(key)
		return nil, fmt.Errorf("ask %s to decrypt: its answer holds no key of ours", c.url)
	}
	return key, nil
}
