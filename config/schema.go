package config

import (
	_ "embed"
)

// Schema is the shape of sallyport.yaml as a JSON schema. A test makes it of the struct Config and its comments, and holds it to
// the file.
//
//go:embed sallyport.schema.json
var Schema []byte //nolint:gochecknoglobals // go:embed takes a variable
