package entrance

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/config"
	"sallyport/internal/upstream"
)

// lookTimeout is how long a look at the server may take, and a connection for it.
const lookTimeout = 10 * time.Second

// Reader is how Sallyport itself connects to its server, with the password of the configuration's file.
func Reader(c *config.Config, server *upstream.Server) (*pgx.ConnConfig, error) {
	password := ""
	if file := c.Upstream.Reader.PasswordFile; file != "" {
		var err error
		password, err = config.ReadSecretFile(c.Path(file))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w ('sallyport protect' makes it beside the configuration: run that first, or bring the file from where it ran)", err)
		}
		if err != nil {
			return nil, err
		}
	}
	return As(server, c.Upstream.Database, c.Upstream.Reader.User, password)
}

// As is how Sallyport itself connects.
func As(server *upstream.Server, database, user, password string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig("host=127.0.0.1 sslmode=disable")
	if err != nil {
		return nil, errors.New("prepare the reader's connection: the PG… variables of the environment are malformed")
	}
	if err := server.Configure(&config.Config); err != nil {
		return nil, err
	}
	config.Database, config.User, config.Password = database, user, password
	// Rows that row security hides from the reader are an error: what a reason covers would be missed silently, and what an older key is for.
	config.RuntimeParams = map[string]string{"application_name": "sallyport", "row_security": "off"}
	config.ConnectTimeout = lookTimeout
	return config, nil
}
