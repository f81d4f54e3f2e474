// Command sallyport stands in front of a PostgreSQL that holds customer data: serve runs the gateway, the other commands
// talk to a running serve, prepare a database for it, or show everything on this machine (demo). They stand in package cli.
package main

import (
	"os"

	"sallyport/cli"
)

func main() { os.Exit(cli.Execute()) }
