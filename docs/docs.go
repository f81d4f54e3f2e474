// Package docs holds the pages that go with evidence to somebody outside: how a record and a ledger are written, and the program that checks
// them without anything of ours.
package docs

import _ "embed" // the pages

// The specification of what a verifier does.
var (
	//go:embed record.md
	Record []byte //nolint:gochecknoglobals // embedded
	//go:embed ledger.md
	Ledger []byte //nolint:gochecknoglobals // embedded
	//go:embed evidence.md
	Evidence []byte //nolint:gochecknoglobals // embedded
	//go:embed verify/verify.py
	Verify []byte //nolint:gochecknoglobals // embedded
	//go:embed verify/event.py
	VerifyEvent []byte //nolint:gochecknoglobals // embedded
	//go:embed verify/pack.py
	VerifyPack []byte //nolint:gochecknoglobals // embedded
)
