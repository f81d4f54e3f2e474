// Package examples holds what a company may begin with: the written policy that the program's own policies enforce.
package examples

import _ "embed" // the written policy

// AccessPolicyName is how the program's own policies name it.
const AccessPolicyName = "access-policy.md"

// AccessPolicy is its text.
//
//go:embed access-policy.md
var AccessPolicy []byte //nolint:gochecknoglobals // embedded
