package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/catalog"
	"sallyport/protect"
	"sallyport/token"
)

// checkEpochs looks through some tokens of each column for those of an epoch that the ring has no key of: then the ring was put back from a
// backup, or the database was, and what they stand for could not be read. The record may not know it: it may have been put back, too.
func (g *guard) checkEpochs(ctx context.Context, columns []protect.Column) error {
	if _, err := g.conn.Exec(ctx, "SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'"); err != nil {
		return fmt.Errorf("look at tokens: %w", err)
	}
	states := g.states()
	for _, c := range columns {
		if state := states[c.Column.String()]; state != catalog.Settled && state != catalog.Rotating && state != catalog.Turning {
			continue // plain values stand there, and one may look like a token
		}
		others := g.otherEpochs(c.Codec)
		name := pgx.Identifier{c.Column.Name}.Sanitize()
		rows, err := g.conn.Query(ctx, fmt.Sprintf("SELECT %s::pg_catalog.text FROM %s WHERE %[1]s IS NOT NULL LIMIT %[3]d",
			name, pgx.Identifier{c.Column.Schema, c.Column.Table}.Sanitize(), mostTokens))
		if err != nil {
			return fmt.Errorf("look at tokens of %s: %w", c.Column, err)
		}
		stored, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if answer, ok := errors.AsType[*pgconn.PgError](err); ok && (answer.Code == undefinedTable || answer.Code == undefinedColumn) {
			continue // the catalogue says it better, with the place in the configuration
		}
		if err != nil {
			return fmt.Errorf("look at tokens of %s: %w", c.Column, err)
		}
		stored = slices.DeleteFunc(stored, func(tok string) bool { return g.dead(c, tok) }) // drawn at random, whatever key there was then
		if epoch, is := anyOther(stored, c.Codec, others); is {
			err := fmt.Errorf("open keys: a token of %s is of another epoch (%d, or one that looks the same) than the ring in %s has keys of (docs/keys.md, An older ring)", c.Column, epoch, g.s.O.Data)
			if _, agreed := g.s.State.AcceptedMark(); !agreed {
				return &hopeless{err}
			}
			g.s.log.Warn("two people accepted this record; tokens of an epoch without a key stay unreadable", "why", err.Error())
		}
	}
	return nil
}

// otherEpochs are codecs of a column that know the tokens of the epochs beside those of the ring. Their keys are none: only forms are looked at.
func (g *guard) otherEpochs(codec *token.Codec) []*token.Codec {
	var others []*token.Codec
	spec, epochs := codec.Spec(), codec.Epochs()
	for _, newer := range []int{epochs[0] + 2, epochs[len(epochs)-1] - 1} {
		secret, err := token.NewSecret(bytes.Repeat([]byte{1}, 32))
		if err != nil || newer < 1 {
			continue
		}
		keys := token.Keys{Record: secret, Groups: map[string][]token.DataKey{spec.Group: {{Epoch: newer, Secret: secret}}}}
		if newer > 1 {
			keys.Groups[spec.Group] = append(keys.Groups[spec.Group], token.DataKey{Epoch: newer - 1, Secret: secret})
		}
		ring, err := g.s.O.Config.Ring(keys)
		if err != nil {
			continue // past the last epoch
		}
		if other, err := ring.Codec(spec); err == nil { // a number without next_prefixes, or what has no form, never was of another epoch
			others = append(others, other)
		}
	}
	return others
}

// anyOther tells of which other epoch one of the tokens is.
func anyOther(stored []string, own *token.Codec, others []*token.Codec) (epoch int, is bool) {
	for _, tok := range stored {
		if epoch, is := epochAmong([]byte(tok), own, others); is {
			return epoch, true
		}
	}
	return 0, false
}

// epochAmong tells of which other epoch a token is that the column's own codec does not know.
func epochAmong(tok []byte, own *token.Codec, others []*token.Codec) (epoch int, is bool) {
	if own.IsToken(tok) {
		return 0, false
	}
	for _, other := range others {
		if other.IsToken(tok) {
			return other.Epoch(tok), true
		}
	}
	return 0, false
}
