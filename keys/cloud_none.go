//go:build !clouds

package keys

import (
	"context"
	"errors"
)

// cloudsBuilt says that this program was built without the clouds' libraries, which would make it half as large again.
func cloudsBuilt() error {
	return errors.New("this program was built without the clouds' key services: build it with 'make build TAGS=clouds'")
}

func openCloud(context.Context, string) (Provider, error) { return nil, cloudsBuilt() }
