package serve

import (
	"context"
	"fmt"
	"slices"

	"sallyport"
	"sallyport/control"
	"sallyport/keys"
)

// goneKeys lists keys by their group and epoch.
func goneKeys(leaves []sallyport.Leaf) (all []sallyport.GoneKeys) {
	for _, l := range leaves {
		i := slices.IndexFunc(all, func(g sallyport.GoneKeys) bool { return g.Group == l.Group && g.Epoch == l.Epoch })
		if i < 0 {
			i, all = len(all), append(all, sallyport.GoneKeys{Group: l.Group, Epoch: l.Epoch})
		}
		if !slices.Contains(all[i].Leaves, l.At) {
			all[i].Leaves = append(all[i].Leaves, l.At)
		}
	}
	return all
}

// destroyGone destroys the keys that the record lists, where they are there: also where the file of keys is older than the record.
func (g *guard) destroyGone() error {
	if turns := g.s.turning(); turns != nil && turns.g == g {
		turns.mu.Lock()
		defer turns.mu.Unlock()
	}
	return DestroyListed(g.keyring, g.s.State)
}

// DestroyListed is destroyGone where no serve runs.
func DestroyListed(opened *keys.Keyring, state *control.State) error {
	standing := opened.Standing(state.GoneKeys())
	if len(standing) == 0 {
		return nil
	}
	if _, err := opened.DestroyLeaves(standing); err != nil {
		return fmt.Errorf("destroy the keys of a customer's names and texts: %w", err)
	}
	return nil
}

// replayGone is destroyGone before anybody is served.
func (g *guard) replayGone(context.Context) error {
	if g.keyring == nil {
		return nil
	}
	return g.destroyGone()
}

// everyEpoch adds the keys of the same tokens in other epochs: while keys are rotated, backups hold a token under the older one.
func (g *guard) everyEpoch(leaves []sallyport.Leaf) (all []sallyport.Leaf) {
	if turns := g.s.turning(); turns != nil && turns.g == g {
		turns.mu.Lock()
		defer turns.mu.Unlock()
	}
	seen := map[sallyport.Leaf]bool{}
	for _, l := range leaves {
		for _, epoch := range append(g.keyring.Epochs(l.Group), l.Epoch) {
			if l.Epoch = epoch; !seen[l] {
				seen[l] = true
				all = append(all, l)
			}
		}
	}
	return all
}

// tiedKeys are the keys of tokens that the record ties to a customer: also of those in whose place others stand now, which backups hold.
func (g *guard) tiedKeys(who sallyport.Subject) (tied []sallyport.Leaf) {
	if g.ties == nil {
		return nil
	}
	leaves := g.ties.Leaves(who)
	if turns := g.s.turning(); turns != nil && turns.g == g {
		turns.mu.Lock()
		defer turns.mu.Unlock()
	}
	for _, group := range g.s.O.Config.OwnGroupsOf(g.s.O.Config.Protect.Customer.Named()) {
		for _, epoch := range g.keyring.Epochs(group) {
			for _, at := range leaves {
				tied = append(tied, sallyport.Leaf{Group: group, Epoch: epoch, At: at})
			}
		}
	}
	return tied
}
