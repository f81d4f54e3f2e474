package protect

import (
	"context"
	"fmt"
)

// setAside decides about a column whose tokens have no form. What stands in it cannot be told from tokens, so a run that was cut off
// could not be taken up again: it is protected only before it holds anything, and is left alone from then on. A sentence says what
// stands against that.
func (r *run) setAside(ctx context.Context, t *table, c *column) (problem string, err error) {
	name := c.String()
	if r.marked && (r.known[name] != "" || r.Recorded[name] != "") {
		return "", nil
	}
	var holds bool
	if err := r.main.QueryRow(ctx, fmt.Sprintf("SELECT EXISTS (SELECT FROM %s WHERE %s IS NOT NULL)", t.sql(), c.sql())).Scan(&holds); err != nil {
		return "", fmt.Errorf("look for values in %s: %w", c, withoutValues(err))
	}
	if holds {
		return fmt.Sprintf("it holds values, and a token of the scheme %s looks like any other value of its type: this version cannot move such columns in. Protect a new, empty column and write the values through Sallyport", c.codec.Spec().Scheme), nil
	}
	return "", nil
}
