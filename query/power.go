package query

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"sallyport"
)

// exercise notes that a statement takes a power.
func (a *analysis) exercise(p sallyport.Power) {
	if p == "" || slices.Contains(a.st.Powers, p) {
		return
	}
	a.st.Powers = append(a.st.Powers, p)
	slices.Sort(a.st.Powers)
}

// powers notes which powers a statement takes by its kind. Whether it may pass is neverAllowed's to say, and then the
// gateway's, who knows the person.
func (a *analysis) powers(node *pg.Node) {
	switch n := node.GetNode().(type) {
	case *pg.Node_GrantStmt, *pg.Node_GrantRoleStmt, *pg.Node_AlterDefaultPrivilegesStmt, *pg.Node_AlterOwnerStmt:
		a.exercise(sallyport.PowerGrant)
	case *pg.Node_CreatePolicyStmt, *pg.Node_AlterPolicyStmt: // its expressions run in everybody's statements
		a.alone(sallyport.PowerGrant)
	case *pg.Node_CreateSchemaStmt:
		if n.CreateSchemaStmt.Authrole != nil { // it is another's
			a.exercise(sallyport.PowerGrant)
		}
	case *pg.Node_CreateRoleStmt, *pg.Node_AlterRoleStmt, *pg.Node_AlterRoleSetStmt, *pg.Node_DropRoleStmt, *pg.Node_ReassignOwnedStmt, *pg.Node_DropOwnedStmt:
		a.exercise(sallyport.PowerRole)
	case *pg.Node_DoStmt, *pg.Node_CreateCastStmt, *pg.Node_CreateTransformStmt, *pg.Node_CreateConversionStmt, *pg.Node_CreateOpClassStmt,
		*pg.Node_CreateOpFamilyStmt, *pg.Node_AlterOpFamilyStmt, *pg.Node_AlterOperatorStmt:
		a.exercise(sallyport.PowerFunction)
	case *pg.Node_CreateFunctionStmt, *pg.Node_AlterFunctionStmt:
		a.alone(sallyport.PowerFunction)
	case *pg.Node_CreateTrigStmt:
		a.alone(sallyport.PowerTrigger)
	case *pg.Node_CreateEventTrigStmt, *pg.Node_AlterEventTrigStmt:
		a.exercise(sallyport.PowerTrigger)
	case *pg.Node_RuleStmt:
		a.exercise(sallyport.PowerRule)
	case *pg.Node_CreateExtensionStmt, *pg.Node_AlterExtensionStmt, *pg.Node_AlterExtensionContentsStmt:
		a.alone(sallyport.PowerExtension)
	case *pg.Node_CreatePlangStmt, *pg.Node_LoadStmt, *pg.Node_CreateAmStmt:
		a.exercise(sallyport.PowerExtension)
	case *pg.Node_AlterSystemStmt:
		a.exercise(sallyport.PowerSystem)
	case *pg.Node_CreatedbStmt, *pg.Node_AlterDatabaseStmt, *pg.Node_AlterDatabaseSetStmt, *pg.Node_DropdbStmt, *pg.Node_AlterDatabaseRefreshCollStmt,
		*pg.Node_CreateTableSpaceStmt, *pg.Node_DropTableSpaceStmt, *pg.Node_AlterTableSpaceOptionsStmt:
		a.exercise(sallyport.PowerDatabase)
	case *pg.Node_DefineStmt:
		a.definePower(n.DefineStmt.Kind)
	case *pg.Node_AlterTableStmt:
		a.tablePowers(n.AlterTableStmt)
	default:
		a.farPowers(node)
	}
}

// sallyports refuses statements about Sallyport's own roles and tables: by them it knows that a database is protected.
func (a *analysis) sallyports(node *pg.Node) {
	visit(node.ProtoReflect(), func(m proto.Message) bool {
		own := false
		switch m := m.(type) {
		case *pg.RoleSpec:
			own = strings.HasPrefix(m.Rolename, "sallyport")
		case *pg.AccessPriv:
			own = strings.HasPrefix(m.PrivName, "sallyport")
		case *pg.CreateRoleStmt:
			own = strings.HasPrefix(m.Role, "sallyport")
		case *pg.RenameStmt:
			own = strings.HasPrefix(m.Subname, "sallyport") || strings.HasPrefix(m.Newname, "sallyport")
		case *pg.RangeVar:
			own = m.Schemaname == "sallyport"
		case *pg.ObjectWithArgs:
			names := m.Objname
			own = len(names) > 1 && names[len(names)-2].GetString_().GetSval() == "sallyport"
		}
		if own {
			a.refuse(forbidden("Sallyport's own roles and objects are not changed through the gateway", directly, -1))
		}
		return true
	})
}

// farPowers are those over what reaches further than this database, and those of statements about an object of any kind.
func (a *analysis) farPowers(node *pg.Node) {
	switch n := node.GetNode().(type) {
	case *pg.Node_CreateFdwStmt, *pg.Node_AlterFdwStmt, *pg.Node_CreateForeignServerStmt, *pg.Node_AlterForeignServerStmt, *pg.Node_CreateForeignTableStmt,
		*pg.Node_ImportForeignSchemaStmt, *pg.Node_CreateUserMappingStmt, *pg.Node_AlterUserMappingStmt, *pg.Node_DropUserMappingStmt:
		a.exercise(sallyport.PowerForeign)
	case *pg.Node_CreateSubscriptionStmt, *pg.Node_AlterSubscriptionStmt, *pg.Node_DropSubscriptionStmt, *pg.Node_CreatePublicationStmt, *pg.Node_AlterPublicationStmt:
		a.exercise(sallyport.PowerReplication)
	case *pg.Node_DropStmt:
		a.exercise(objectPower(n.DropStmt.RemoveType))
	case *pg.Node_RenameStmt:
		a.exercise(objectPower(n.RenameStmt.RenameType))
	case *pg.Node_AlterObjectSchemaStmt:
		if p := objectPower(n.AlterObjectSchemaStmt.ObjectType); p != "" {
			a.alone(p)
		}
	case *pg.Node_AlterObjectDependsStmt:
		a.exercise(objectPower(n.AlterObjectDependsStmt.ObjectType))
	}
}

// alone is exercise for what others must be able to see before anything is done with it.
func (a *analysis) alone(p sallyport.Power) {
	a.st.Alone = true
	a.exercise(p)
}

func (a *analysis) definePower(kind pg.ObjectType) {
	switch kind { //nolint:exhaustive // the others hold no code
	case pg.ObjectType_OBJECT_COLLATION, pg.ObjectType_OBJECT_TSCONFIGURATION, pg.ObjectType_OBJECT_TSDICTIONARY:
	default:
		a.exercise(sallyport.PowerFunction)
	}
}

// objectPower is the power over an object that is dropped, renamed or moved; empty: none.
func objectPower(kind pg.ObjectType) sallyport.Power {
	switch kind { //nolint:exhaustive // of many kinds these few
	case pg.ObjectType_OBJECT_ROLE:
		return sallyport.PowerRole
	case pg.ObjectType_OBJECT_FUNCTION, pg.ObjectType_OBJECT_PROCEDURE, pg.ObjectType_OBJECT_ROUTINE, pg.ObjectType_OBJECT_AGGREGATE, pg.ObjectType_OBJECT_OPERATOR,
		pg.ObjectType_OBJECT_OPCLASS, pg.ObjectType_OBJECT_OPFAMILY, pg.ObjectType_OBJECT_CAST, pg.ObjectType_OBJECT_CONVERSION, pg.ObjectType_OBJECT_TRANSFORM:
		return sallyport.PowerFunction
	case pg.ObjectType_OBJECT_POLICY:
		return sallyport.PowerGrant
	case pg.ObjectType_OBJECT_TRIGGER, pg.ObjectType_OBJECT_EVENT_TRIGGER:
		return sallyport.PowerTrigger
	case pg.ObjectType_OBJECT_RULE:
		return sallyport.PowerRule
	case pg.ObjectType_OBJECT_FDW, pg.ObjectType_OBJECT_FOREIGN_SERVER, pg.ObjectType_OBJECT_FOREIGN_TABLE, pg.ObjectType_OBJECT_USER_MAPPING:
		return sallyport.PowerForeign
	case pg.ObjectType_OBJECT_PUBLICATION, pg.ObjectType_OBJECT_SUBSCRIPTION:
		return sallyport.PowerReplication
	case pg.ObjectType_OBJECT_DATABASE, pg.ObjectType_OBJECT_TABLESPACE:
		return sallyport.PowerDatabase
	case pg.ObjectType_OBJECT_EXTENSION, pg.ObjectType_OBJECT_LANGUAGE, pg.ObjectType_OBJECT_ACCESS_METHOD:
		return sallyport.PowerExtension
	}
	return ""
}

// tablePowers are those that hide in ALTER TABLE.
func (a *analysis) tablePowers(n *pg.AlterTableStmt) {
	for _, c := range n.Cmds {
		name := c.GetAlterTableCmd().GetSubtype().String()
		toggles := strings.HasPrefix(name, "AT_Enable") || strings.HasPrefix(name, "AT_Disable")
		switch {
		case name == "AT_ChangeOwner", strings.HasSuffix(name, "RowSecurity"):
			a.exercise(sallyport.PowerGrant)
		case toggles && strings.Contains(name, "Trig"):
			a.exercise(sallyport.PowerTrigger)
		case toggles && strings.Contains(name, "Rule"):
			a.exercise(sallyport.PowerRule)
		}
	}
}

// functionPower is the power that calling a function takes; empty: none.
func functionPower(name string) sallyport.Power {
	lower := strings.ToLower(name)
	for _, f := range []struct {
		power sallyport.Power
		parts []string
	}{
		{sallyport.PowerReplication, []string{"_replication_slot", "pg_replication_slot", "pg_logical_slot", "pg_replication_origin", "pg_sync_replication"}},
		{sallyport.PowerSystem, []string{
			"pg_reload_conf", "pg_rotate_logfile", "pg_promote", "pg_start_backup", "pg_stop_backup", "pg_backup_start", "pg_backup_stop",
			"pg_switch_wal", "pg_create_restore_point", "pg_wal_replay_", "pg_stat_reset", "pg_stat_statements_reset", "pg_import_system_collations", "pg_log_standby_snapshot",
		}},
		{sallyport.PowerForeign, []string{"dblink", "postgres_fdw"}},
		{sallyport.PowerFile, []string{"lo_import", "lo_export", "pg_read_file", "pg_read_binary_file", "pg_stat_file", "pg_ls_", "pg_execute_server_program", "pg_file_"}},
	} {
		if slices.ContainsFunc(f.parts, func(part string) bool { return strings.Contains(lower, part) }) {
			return f.power
		}
	}
	return ""
}

// setConfig is set_config(), by which a role is set as well. A name that does not stand in the text may be one of those.
func (a *analysis) setConfig(name string, args []*pg.Node) {
	if !strings.EqualFold(name, "set_config") {
		return
	}
	a.st.exact = true
	setting, known := text(args, 0)
	value, plain := text(args, 1)
	if strings.EqualFold(setting, actorSetting) { // it would say nothing to anybody, and who wrote it believes that it does
		a.refuse(notLocal())
	}
	if known && sleeps(setting) && !(plain && awake(value)) {
		a.exercise(sallyport.PowerTrigger)
	}
	if setsRole(setting) || !known && !(plain && noRole(value)) {
		a.exercise(sallyport.PowerSetRole)
	}
}

// text is the literal that an argument is.
func text(args []*pg.Node, i int) (s string, ok bool) {
	if i >= len(args) {
		return "", false
	}
	n := args[i]
	for n.GetTypeCast() != nil {
		n = n.GetTypeCast().Arg
	}
	c := n.GetAConst().GetSval()
	return c.GetSval(), c != nil
}

// noRole tells whether a value is one that settings have and roles do not. pg_dump sets by set_config(name, 'view,
// foreign-table', false) FROM pg_settings what servers before its own may not know.
func noRole(value string) bool {
	switch value {
	case "", "on", "off", "view", "foreign-table", "view, foreign-table":
		return true
	}
	return false
}

// setsRole tells whether a setting makes a session another role's.
func setsRole(setting string) bool {
	return strings.EqualFold(setting, "role") || strings.EqualFold(setting, "session_authorization")
}

// sleeps tells whether a setting has triggers, foreign keys among them, and rules sleep, and others wake up.
func sleeps(setting string) bool { return strings.EqualFold(setting, "session_replication_role") }

// awake tells whether a value of it is the usual state.
func awake(value string) bool {
	return strings.EqualFold(value, "origin") || strings.EqualFold(value, "local")
}

// setRole is SET ROLE and SET SESSION AUTHORIZATION; the way back takes no power.
func (a *analysis) setRole(n *pg.VariableSetStmt) {
	if sleeps(n.Name) && !(len(n.Args) == 1 && awake(n.Args[0].GetAConst().GetSval().GetSval())) {
		a.exercise(sallyport.PowerTrigger)
	}
	if !setsRole(n.Name) {
		return
	}
	back := strings.EqualFold(n.Name, "role") && len(n.Args) == 1 && n.Args[0].GetAConst().GetSval().GetSval() == "none"
	if !back {
		a.exercise(sallyport.PowerSetRole)
	}
}

// loadsCode tells whether a setting has the server, or later sessions, run something that nobody looked into, or read its
// rules from elsewhere.
func loadsCode(setting string) bool {
	for _, part := range []string{"_preload_libraries", "library_path", "_command", "_library", "_file", "_directory", "_directories", "jit_provider", "_conninfo", "control_path"} {
		if strings.HasSuffix(setting, part) {
			return true
		}
	}
	return false
}

// newFunction holds a new function to what the gateway can follow once it is committed: it is in a language that the catalogue
// reads, has a name of its own, and says nothing about what is protected. Its text is a literal that the server keeps, so what
// it would compare with protected columns, or write there, would stand in it in plain.
func (a *analysis) newFunction(n *pg.CreateFunctionStmt) {
	qualifier, name := lastName(n.Funcname)
	if qualifier == "" || strings.HasPrefix(strings.ToLower(qualifier), "pg_") || strings.EqualFold(qualifier, "information_schema") {
		a.refuse(forbidden("a new function needs the name of its schema, which is neither temporary nor the server's own", "CREATE FUNCTION SCHEMA.NAME …", -1))
		return
	}
	if a.taken(strings.ToLower(name)) {
		a.refuse(forbidden("a new function may not have the name of one that is there, nor one that stands in the text of another function",
			"Choose another name: what calls the one that is there, maybe from a trigger of a protected table, would call yours.", -1))
		return
	}
	language, body := "sql", ""
	for _, o := range n.Options {
		switch d := o.GetDefElem(); d.GetDefname() {
		case "set":
			a.setLater(d.GetArg().GetVariableSetStmt())
			if set := strings.ToLower(d.GetArg().GetVariableSetStmt().GetName()); setsRole(set) || sleeps(set) {
				a.refuse(forbidden("a function may not be given this setting", "SET it in the session that needs it.", -1))
			}
		case "language":
			language = strings.ToLower(d.GetArg().GetString_().GetSval())
		case "as":
			for _, part := range d.GetArg().GetList().GetItems() {
				body += part.GetString_().GetSval() + "\n"
			}
		}
	}
	if language != "sql" && language != "plpgsql" {
		a.refuse(forbidden("functions in languages other than sql and plpgsql are not made through the gateway, which cannot look into them", directly, -1))
		return
	}
	if a.unfit(a.sql[a.st.Start:a.st.End]+"\n"+body, body) {
		a.refuse(forbidden("a function is not made through the gateway if its text names something protected, makes up SQL, or takes powers of its own", directly, -1))
	}
}

// taken tells whether somebody may call another function by this name, or does once this one has it.
func (a *analysis) taken(name string) bool {
	_, builtIn := a.schema.BuiltIn[name]
	_, own := a.schema.Functions[name]
	_, spoken := a.schema.Spoken[name]
	return builtIn || own || spoken
}

const directly = "Let an administrator do it directly at the database; the gateway picks it up."

// unfit reads a function as words, not as a program: what a word may mean counts as meant (see catalog/risk.go).
func (a *analysis) unfit(all, body string) bool {
	all = strings.ToLower(all)
	if strings.Contains(all, `u&"`) {
		return true
	}
	words := wordsOf(all)
	if a.namesGuarded(all, words) {
		return true
	}
	for word := range words {
		if word == "execute" || dynamic("", word, -1) != nil || functionPower(word) != "" {
			return true
		}
	}
	inside := wordsOf(strings.ToLower(body))
	for _, word := range []string{"grant", "revoke", "create", "alter", "drop", "reassign", "copy", "load", "do", "role", "authorization", "set_config", "import", "session_replication_role", "pg_settings"} {
		if inside[word] && !(word == "do" && inside["conflict"]) {
			return true
		}
	}
	return writesCatalogue(strings.ToLower(body), inside)
}

// writesCatalogue tells whether a body may change the server's own relations, under whose names it speaks: functions, which stand
// before a parenthesis, aside.
func writesCatalogue(lower string, words map[string]bool) bool {
	if !words["insert"] && !words["update"] && !words["delete"] && !words["merge"] && !words["truncate"] {
		return false
	}
	for at := 0; ; {
		i := strings.Index(lower[at:], "pg_")
		if i < 0 {
			return false
		}
		start := at + i
		end := start
		for end < len(lower) && nameRune(rune(lower[end])) {
			end++
		}
		at = end
		name, rest := lower[start:end], strings.TrimLeft(lower[end:], " \t\r\n\"")
		if start > 0 && nameRune(rune(lower[start-1])) || name == "pg_catalog" || name == "pg_temp" || strings.HasPrefix(rest, "(") {
			continue
		}
		return true
	}
}

// namesGuarded tells whether a text names a relation that matters, or a function, type or operator that may touch one.
func (a *analysis) namesGuarded(lower string, words map[string]bool) bool {
	names := func(name string) bool {
		name = strings.ToLower(strings.TrimPrefix(name, "operator "))
		return words[name] || strings.ContainsFunc(name, func(c rune) bool { return !nameRune(c) }) && strings.Contains(lower, name)
	}
	for _, r := range a.schema.Relations {
		if r.guarded() && names(r.Name) {
			return true
		}
	}
	for name, risk := range a.schema.Functions {
		if (risk.Writes || risk.Why != "") && names(name) {
			return true
		}
	}
	return false
}

func wordsOf(lower string) map[string]bool {
	words := map[string]bool{}
	for _, word := range strings.FieldsFunc(lower, func(c rune) bool { return !nameRune(c) }) {
		words[word] = true
	}
	return words
}

// nameRune follows PostgreSQL's scan.l: letters, digits, underscore, dollar, and everything beyond ASCII.
func nameRune(c rune) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// newTrigger lets triggers be made on tables that nothing hangs on, with functions that the catalogue can read.
func (a *analysis) newTrigger(n *pg.CreateTrigStmt) {
	if rel := a.find(n.Relation); rel != nil && rel.guarded() {
		a.refuse(guardedDefinition(int(n.Relation.GetLocation())))
	}
	_, name := lastName(n.Funcname)
	a.checkFunction(name, -1, value{open: true})
}
