package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/config"
	"sallyport/keys"
)

// errStarting is for whoever comes too early.
var errStarting = errors.New("serve is still starting")

// mayRotate says why the keys of a group cannot be rotated now.
func (s *Server) mayRotate(group string) error {
	turns := s.turning()
	if turns == nil {
		return errStarting
	}
	if err := s.mayRotateThere(group); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	return turns.mayRotate(ctx, group)
}

// mayDestroy says why the older key of a group cannot be destroyed now.
func (s *Server) mayDestroy(group string) error {
	turns := s.turning()
	if turns == nil {
		return errStarting
	}
	return turns.mayDestroy(group)
}

func (s *Server) turning() *rotations {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns == nil || s.turns.g.keyring == nil {
		return nil
	}
	return s.turns
}

// mayRotate says why a group cannot be rotated.
func (r *rotations) mayRotate(ctx context.Context, group string) error {
	columns := r.g.s.O.Config.GroupColumns(group)
	if len(columns) == 0 {
		return fmt.Errorf("no column is of the join group %q; expected %s", group, config.OneOf(group, r.g.s.O.Config.Groups()))
	}
	if err := r.g.ring.Rotatable(group); err != nil {
		return err
	}
	if err := r.atRest(group); err != nil {
		return err
	}
	conn, err := r.g.renewing(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only reads
	var missing []string
	for _, c := range columns {
		var may bool
		err := conn.QueryRow(ctx, "SELECT pg_catalog.has_column_privilege(pg_catalog.quote_ident($1) || '.' || pg_catalog.quote_ident($2), $3, 'UPDATE')", c.Schema, c.Table, c.Name).Scan(&may)
		if err != nil {
			return fmt.Errorf("look at the reader's privileges on %s: %w", c, err)
		}
		if !may {
			missing = append(missing, c.String())
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the role %s may not change %s: give --config and --owner once, or grant it", r.g.reader.User, strings.Join(missing, ", "))
	}
	return r.mayHide(ctx, conn, group)
}

// mayDestroy says why a group's older key cannot be destroyed.
func (r *rotations) mayDestroy(group string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.g.keyring.Rotating(), func(k keys.Rotation) bool { return k.Group == group })
	switch p := r.seen[group]; {
	case i < 0:
		return fmt.Errorf("the join group %q has no older key", group)
	case p == nil || !p.clean || r.g.fellBehind(group):
		return fmt.Errorf("tokens of the older key of %s are still being renewed ('sallyport status' shows how far it is)", group)
	}
	return nil
}
