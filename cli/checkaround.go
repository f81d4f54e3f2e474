package cli

import (
	"context"

	"sallyport/config"
	"sallyport/serve"
)

// checkAround looks for ways around the gateway as the owner or, without one, as the reader. It is asked where everything else
// is in order: before that, there is nothing to go around.
func checkAround(ctx context.Context, path, owner string, sound bool) ([]serve.Detour, error) {
	ways := []serve.Detour{}
	if !sound {
		return ways, nil
	}
	config, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	if !config.Guards() {
		return ways, nil
	}
	ctx, cancel := context.WithTimeout(ctx, serve.DatabaseTimeout)
	defer cancel()
	conn, err := serve.Watcher(config, ctx, owner)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	a := &serve.Surroundings{Config: config, Conn: conn}
	found, err := a.Look(ctx)
	if err != nil {
		return nil, err
	}
	return append(append(ways, found...), serve.Detour{
		Kind: "unseen", What: "sessions around the gateway and changed passwords are seen by a running serve only", Next: "Its log and its record (kind around) tell of them.",
	}), nil
}
