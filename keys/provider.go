package keys

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Choice names a provider and what it takes to reach it.
type Choice struct {
	Provider string // empty or "age"; "quorum"; vault://HOST:PORT/MOUNT/KEY; or a cloud's KMS: awskms://…, gcpkms://…, azurekeyvault://…
	Dir      string // the data folder
	KeyFile  string // of age
	Token    string // of a Vault
	CA       string // of a Vault
	// Assembly gathers the shares of a quorum.
	Assembly *Assembly
}

// AgeProvider is the provider where none is named.
const AgeProvider = "age"

// cloudSchemes are those of gocloud.dev/secrets that leave the key in a cloud.
func cloudSchemes() []string { return []string{"awskms", "gcpkms", "azurekeyvault"} }

// CheckProvider says what is wrong with the name of a provider, nil if it can be one.
func CheckProvider(name string) error {
	u, err := url.Parse(name)
	switch {
	case name == "" || name == AgeProvider || name == QuorumProvider:
		return nil
	case err == nil && u.Scheme == "vault":
		_, err := NewVault(VaultOptions{URL: name, Token: "any"})
		return err
	case err == nil && slices.Contains(cloudSchemes(), u.Scheme):
		return cloudsBuilt()
	}
	return errors.New("there is no such provider: it is age, quorum, vault://HOST:PORT/transit/KEY, or one of " + strings.Join(cloudSchemes(), "://…, ") + "://…")
}

// Choose makes a provider. Only a cloud's may be spoken to; the others are when the ring is opened.
func Choose(ctx context.Context, c Choice) (Provider, error) {
	if err := CheckProvider(c.Provider); err != nil {
		return nil, fmt.Errorf("choose a key provider: %w", err)
	}
	switch {
	case c.Provider == "" || c.Provider == AgeProvider:
		return &KeyFile{Path: c.KeyFile, Dir: c.Dir}, nil
	case c.Provider == QuorumProvider && c.Assembly == nil:
		return nil, fmt.Errorf("choose a key provider: a ring of a quorum is made by 'sallyport keys init --quorum', and there is none: %w", ErrNone)
	case c.Provider == QuorumProvider:
		return c.Assembly, nil
	case strings.HasPrefix(c.Provider, vaultScheme):
		return NewVault(VaultOptions{URL: c.Provider, Token: c.Token, CA: c.CA})
	}
	return openCloud(ctx, c.Provider)
}
