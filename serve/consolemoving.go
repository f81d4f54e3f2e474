package serve

import (
	"context"
	"time"

	"sallyport/protect"
)

// movedFor is how long the database may take to say how far columns are: a page waits for it.
const movedFor = 2 * time.Second

// movedShares are the shares of rows that are through, by table on its way (schema.table). What the database does not say is missing: a page goes without.
func (s *Server) movedShares(ctx context.Context, moving bool) map[string]float64 {
	if !moving {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, movedFor)
	defer cancel()
	conn, err := s.asReader(ctx)
	if err != nil {
		s.log.Debug("nobody can tell how far columns are", "why", "the database does not let the reader in, or is not served here")
		return nil
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	shares, err := protect.Moved(ctx, conn)
	if err != nil {
		s.log.Debug("nobody can tell how far columns are", "why", err.Error())
	}
	return shares
}
