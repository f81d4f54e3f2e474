package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/catalog"
	"sallyport/protect"
	"sallyport/token"
)

// FormColumns are the columns with keys that are none.
func (c *Config) FormColumns() ([]protect.Column, error) {
	ring, err := c.FormRing()
	if err != nil {
		return nil, err
	}
	return c.Codecs(ring)
}

// FormRing makes the ring with a key that is none: it shows the form of tokens, for which any key will do.
func (c *Config) FormRing() (*token.Ring, error) {
	root, err := token.NewSecret(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		return nil, err
	}
	return c.Ring(token.OneKey(root))
}

// ProtectSet is what this configuration protects and how.
func (c *Config) ProtectSet() (protect.Set, error) {
	ring, err := c.FormRing()
	if err != nil {
		return nil, err
	}
	columns, err := c.Codecs(ring)
	if err != nil {
		return nil, err
	}
	return protect.SetOf(columns), nil
}

// Codecs makes the codec of each protected column.
func (c *Config) Codecs(ring *token.Ring) ([]protect.Column, error) {
	var columns []protect.Column
	for _, name := range slices.Sorted(maps.Keys(c.Protect.Columns)) {
		column, ok := catalog.ParseColumn(name)
		if !ok {
			return nil, fmt.Errorf("read column %q: expected schema.table.column", name)
		}
		settings := c.Protect.Columns[name]
		codec, err := ring.Codec(token.Spec{Column: column, Scheme: settings.Scheme, Group: settings.Group, Prefixes: settings.Prefixes, NextPrefixes: settings.NextPrefixes, Region: settings.Region, Canonical: settings.Canonical, Shred: settings.Shred})
		if err != nil {
			return nil, err
		}
		made := protect.Column{Column: column, Codec: codec}
		if settings.Overflow == catalog.Vault {
			if made.Overflow, err = codec.Overflow(); err != nil {
				return nil, fmt.Errorf("protect %s: %w", column, err)
			}
		}
		columns = append(columns, made)
	}
	return columns, nil
}

// CustomerColumn is the column of a table that holds the customer's key; empty: its rows find their customer by another table's.
func (c *Config) CustomerColumn(table string) string {
	if table == c.Protect.Customer.Table {
		return c.Protect.Customer.Key
	}
	if path := c.Protect.Paths[table]; !strings.Contains(path, "->") {
		return strings.TrimSpace(path)
	}
	return ""
}

// Turns for who only prepares them.
func (c *Config) Turns(group string) []*protect.Turn {
	var turns []*protect.Turn
	for _, column := range c.GroupColumns(group) {
		if !catalog.Formless(c.Protect.Columns[column.String()].Scheme) {
			continue
		}
		table := protect.Table{Schema: column.Schema, Name: column.Table}
		i := slices.IndexFunc(turns, func(t *protect.Turn) bool { return t.Table == table })
		if i < 0 {
			i, turns = len(turns), append(turns, &protect.Turn{Table: table, Group: group})
		}
		turns[i].Columns = append(turns[i].Columns, protect.Column{Column: column})
	}
	return turns
}
