package config

import (
	"maps"
	"slices"
	"strings"

	"sallyport"
	"sallyport/catalog"
)

// Masks tells whether any column is masked in results. That protects nothing.
func (c *Config) Masks() bool { return len(c.Mask.Columns) > 0 }

// Guards tells whether statements on the database are looked at.
func (c *Config) Guards() bool { return c.Protects() || c.Masks() }

// treated is the word for what is done to the columns of the configuration.
func (c *Config) treated() string {
	if c.Protects() {
		return "protected"
	}
	return "masked"
}

// checkSeenBy holds those for whom nothing is masked to people and services that exist.
func (c *Config) checkSeenBy(r *Document) {
	c.checkStaff(r, "mask.seen_by", c.Mask.SeenBy)
}

// SeenBy is for whom nothing is masked, as the gateway takes it.
func (c *Config) SeenBy() []sallyport.Staff {
	out := make([]sallyport.Staff, len(c.Mask.SeenBy))
	for i, id := range c.Mask.SeenBy {
		out[i] = sallyport.Staff(id)
	}
	return out
}

// MaskedLine names the masked columns, for people; empty where there are none.
func (c *Config) MaskedLine() string {
	if !c.Masks() {
		return ""
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.Mask.Columns)) {
		show := c.Mask.Columns[name].Show
		if show == "" {
			show = catalog.ShowNone
		}
		parts = append(parts, name+" (shows "+string(show)+")")
	}
	return "masked, not protected: " + strings.Join(parts, ", ")
}
