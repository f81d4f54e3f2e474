package sallyport

// Power is a kind of statement that changes who may do what in the database, or leaves something behind that works on when the
// session is gone. Each is recorded as an event of its own and passes for those only whom the configuration names.
type Power string

// The powers. docs/statements.md says which statements belong to each, and what is refused to everybody.
const (
	PowerGrant       Power = "grant"       // GRANT, REVOKE, default privileges, owners
	PowerRole        Power = "role"        // roles, their passwords and settings
	PowerSetRole     Power = "set_role"    // being another role for a while
	PowerFunction    Power = "function"    // functions, and whatever else runs or redefines code
	PowerTrigger     Power = "trigger"     // triggers and event triggers
	PowerRule        Power = "rule"        // rules
	PowerForeign     Power = "foreign"     // other servers
	PowerReplication Power = "replication" // publications, subscriptions, slots
	PowerSystem      Power = "system"      // settings of the server
	PowerDatabase    Power = "database"    // databases and tablespaces, and their settings
	PowerExtension   Power = "extension"   // extensions and languages
	PowerFile        Power = "file"        // the server's files and programs; nobody can be named for it
)

// Powers are those that somebody can be named for.
func Powers() []Power {
	return []Power{
		PowerGrant, PowerRole, PowerSetRole, PowerFunction, PowerTrigger, PowerRule, PowerForeign, PowerReplication, PowerSystem,
		PowerDatabase, PowerExtension,
	}
}

// PowerUse is what became of a statement that takes powers.
type PowerUse struct {
	Kinds   []Power `cbor:"1,keyasint"`
	Refused bool    `cbor:"2,keyasint,omitempty"` // else it was forwarded; what the server made of it is not known yet
}
