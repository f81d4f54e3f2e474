package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// traceViews finds out where the outputs of views come from: Parse and Describe of a view's query name the table and column of
// each output that is a plain column, and nothing is executed. pg_depend alone has no mapping of outputs.
func (b *builder) traceViews(ctx context.Context, conn *pgx.Conn) error {
	for _, oid := range slices.Sorted(maps.Keys(b.relations)) {
		if err := b.traceView(ctx, conn, b.relations[oid], 0); err != nil {
			return err
		}
	}
	return nil
}

// maxViewDepth bounds how deep views may lie over views.
const maxViewDepth = 200

func (b *builder) traceView(ctx context.Context, conn *pgx.Conn, v *relation, depth int) error {
	if !v.isView() || v.traced {
		return nil
	}
	v.traced = true
	if !b.matters(v, map[*relation]bool{}) || depth > maxViewDepth {
		b.untraceable(v)
		return nil
	}
	for _, u := range v.uses {
		if below := b.relations[u.Relation]; below != nil {
			if err := b.traceView(ctx, conn, below, depth+1); err != nil {
				return err
			}
		}
	}
	description, err := conn.PgConn().Prepare(ctx, "", b.raw.definitions[v.OID], nil)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && !conn.IsClosed():
		b.drift("views."+v.table().String(), "the reader cannot describe this view (%s): nothing in it is traced; give it USAGE on the schemas", refused.Code)
		b.untraceable(v)
		return nil
	case err != nil:
		return fmt.Errorf("describe view %s: %w", v.table(), err)
	case len(description.Fields) != len(v.columns):
		b.untraceable(v)
		return nil
	}
	for i, field := range description.Fields {
		b.traceOutput(v, v.columns[i], field)
	}
	v.origins[0].Opaque, v.origins[0].Veiled = v.hot, v.veiled
	return nil
}

// traceOutput says what one output of a view means.
func (b *builder) traceOutput(v *relation, c rawColumn, field pgconn.FieldDescription) {
	const boolean = 16 // pg_type.dat; a truth value cannot hold a token
	from := b.relations[field.TableOID]
	switch {
	case from != nil && int(field.TableAttributeNumber) < len(from.origins):
		v.origins[c.Number] = from.origins[field.TableAttributeNumber]
		number := int16(field.TableAttributeNumber) //nolint:gosec // below len(origins), at most 1,600
		v.links[c.Number] = from.links[number]
	default:
		v.origins[c.Number].Opaque = v.hot && field.DataTypeOID != boolean
		v.origins[c.Number].Veiled = v.veiled
	}
}

// untraceable makes all outputs of a view opaque if it has to do with anything protected, and veiled if with anything masked.
func (b *builder) untraceable(v *relation) {
	for i := range v.origins {
		v.origins[i].Opaque, v.origins[i].Veiled = v.hot, v.veiled
	}
}

// matters tells whether a view's outputs may be anything that the catalogue speaks of. Most views of a large database are not worth
// a round trip. seen are those that were looked at: views may lie in a circle (CREATE OR REPLACE makes one; the server refuses its use
// only), and many over the same.
func (b *builder) matters(v *relation, seen map[*relation]bool) bool {
	if v.hot || v.veiled {
		return true
	}
	seen[v] = true
	for _, u := range v.uses {
		below := b.relations[u.Relation]
		if below != nil && (len(below.links) > 0 || below.isView() && !seen[below] && b.matters(below, seen)) {
			return true
		}
	}
	return false
}
