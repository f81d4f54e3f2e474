package serve

// The exit codes of every command.
const (
	ExitOK     = 0
	ExitFound  = 1
	ExitUsage  = 2
	ExitFailed = 3
)
