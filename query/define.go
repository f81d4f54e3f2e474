package query

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"sallyport"
)

// define handles everything that is neither data nor session: most of it changes the catalogue. What the gateway's picture
// of the database cannot follow at once, even inside an open transaction, is refused.
func (a *analysis) define(node *pg.Node) {
	a.powers(node)
	if slices.ContainsFunc(a.st.Powers, func(p sallyport.Power) bool { return p == sallyport.PowerGrant || p == sallyport.PowerRole }) {
		a.sallyports(node)
	}
	if sentence := a.neverAllowed(node); sentence != "" {
		a.refuse(forbidden(sentence, "Let an administrator do it directly at the database while nobody works; the gateway picks it up.", -1))
	}
	if a.maintains(node) {
		return
	}
	a.st.Writes, a.st.DDL = true, true
	switch n := node.GetNode().(type) {
	case *pg.Node_CreateSchemaStmt:
		for _, e := range n.CreateSchemaStmt.SchemaElts {
			a.define(e)
		}
		return
	case *pg.Node_CreateFunctionStmt:
		a.newFunction(n.CreateFunctionStmt)
	case *pg.Node_CreateTrigStmt:
		a.newTrigger(n.CreateTrigStmt)
	case *pg.Node_CreatePublicationStmt, *pg.Node_AlterPublicationStmt:
		if !filters(node) {
			return // whole rows leave as they are stored
		}
	case *pg.Node_AlterSystemStmt:
		a.setLater(n.AlterSystemStmt.Setstmt)
	case *pg.Node_CreateStmt:
		a.creates(n.CreateStmt.Relation)
	case *pg.Node_ViewStmt:
		a.creates(n.ViewStmt.View)
	case *pg.Node_CreateSeqStmt:
		a.creates(n.CreateSeqStmt.Sequence)
	case *pg.Node_CreateDomainStmt:
		_, name := lastName(n.CreateDomainStmt.Domainname)
		a.namesType(name, -1)
	case *pg.Node_CreateEnumStmt:
		_, name := lastName(n.CreateEnumStmt.TypeName)
		a.namesType(name, -1)
	case *pg.Node_CompositeTypeStmt:
		a.creates(n.CompositeTypeStmt.Typevar)
	case *pg.Node_DropStmt:
		a.drop(n.DropStmt)
	case *pg.Node_RenameStmt:
		a.rename(n.RenameStmt)
	case *pg.Node_AlterTableStmt:
		a.alterTable(n.AlterTableStmt)
	case *pg.Node_IndexStmt:
		a.index(n.IndexStmt)
		return
	case *pg.Node_AlterRoleSetStmt:
		a.setLater(n.AlterRoleSetStmt.Setstmt)
	case *pg.Node_AlterDatabaseSetStmt:
		a.setLater(n.AlterDatabaseSetStmt.Setstmt)
	}
	a.mentions(node)
}

// neverAllowed are the kinds that run or make code, reach other servers, or redefine what operators and types mean.
func (a *analysis) neverAllowed(node *pg.Node) string {
	const tail = " is not allowed in a protected database"
	switch n := node.GetNode().(type) {
	case *pg.Node_DoStmt:
		return "DO" + tail
	case *pg.Node_AlterFunctionStmt, *pg.Node_AlterObjectSchemaStmt:
		if redirects(node) {
			return "changing what the names in a function mean" + tail
		}
	case *pg.Node_CreateEventTrigStmt, *pg.Node_AlterEventTrigStmt:
		return "making or changing event triggers" + tail
	case *pg.Node_RuleStmt:
		return "making rules" + tail
	case *pg.Node_CreateCastStmt, *pg.Node_CreateTransformStmt, *pg.Node_CreateConversionStmt, *pg.Node_CreateOpClassStmt,
		*pg.Node_CreateOpFamilyStmt, *pg.Node_AlterOpFamilyStmt, *pg.Node_AlterOperatorStmt, *pg.Node_CreateRangeStmt:
		return "making casts, conversions and operator classes" + tail
	case *pg.Node_DefineStmt:
		switch n.DefineStmt.Kind {
		case pg.ObjectType_OBJECT_TSCONFIGURATION, pg.ObjectType_OBJECT_TSDICTIONARY:
			return ""
		case pg.ObjectType_OBJECT_COLLATION: // by one of one's own making anything equals anything
			return "making collations" + tail
		}
		return "making aggregates, operators and base types" + tail
	case *pg.Node_CreatePlangStmt, *pg.Node_LoadStmt, *pg.Node_CreateAmStmt, *pg.Node_AlterExtensionContentsStmt:
		return "loading code and installing languages" + tail
	case *pg.Node_CreateFdwStmt, *pg.Node_AlterFdwStmt, *pg.Node_CreateForeignServerStmt, *pg.Node_AlterForeignServerStmt,
		*pg.Node_CreateForeignTableStmt, *pg.Node_ImportForeignSchemaStmt, *pg.Node_CreateUserMappingStmt, *pg.Node_AlterUserMappingStmt:
		return "reaching other servers" + tail
	case *pg.Node_CreateSubscriptionStmt, *pg.Node_AlterSubscriptionStmt: // what comes from there is in plain
		return "taking rows from other servers" + tail
	case *pg.Node_AlterDomainStmt, *pg.Node_AlterTypeStmt: // a new CHECK compares what stands in columns of the domain
		return "changing domains and types" + tail
	case *pg.Node_DropOwnedStmt:
		return "DROP OWNED" + tail
	}
	return ""
}

// redirects tells whether a function that is there, maybe a trigger's on a protected table, would find other objects under the
// names in its text, or callers another function under its name.
func redirects(node *pg.Node) bool {
	switch n := node.GetNode().(type) {
	case *pg.Node_AlterFunctionStmt:
		return slices.ContainsFunc(n.AlterFunctionStmt.Actions, func(a *pg.Node) bool { return a.GetDefElem().GetDefname() == "set" })
	case *pg.Node_AlterObjectSchemaStmt:
		return objectPower(n.AlterObjectSchemaStmt.ObjectType) == sallyport.PowerFunction
	}
	return false
}

// maintains handles kinds that change neither rows nor the catalogue's meaning.
func (a *analysis) maintains(node *pg.Node) bool {
	switch node.GetNode().(type) {
	case *pg.Node_VacuumStmt, *pg.Node_ClusterStmt, *pg.Node_ReindexStmt, *pg.Node_LockStmt, *pg.Node_RefreshMatViewStmt, *pg.Node_CommentStmt,
		*pg.Node_GrantStmt, *pg.Node_GrantRoleStmt, *pg.Node_AlterDefaultPrivilegesStmt, *pg.Node_CreateRoleStmt, *pg.Node_AlterRoleStmt,
		*pg.Node_DropRoleStmt, *pg.Node_SecLabelStmt, *pg.Node_ReassignOwnedStmt, *pg.Node_CreatedbStmt, *pg.Node_AlterDatabaseStmt, *pg.Node_DropdbStmt,
		*pg.Node_CreateTableSpaceStmt, *pg.Node_DropTableSpaceStmt, *pg.Node_AlterTableSpaceOptionsStmt, *pg.Node_AlterTableMoveAllStmt,
		*pg.Node_DropUserMappingStmt, *pg.Node_DropSubscriptionStmt, *pg.Node_AlterDatabaseRefreshCollStmt:
		a.st.Writes = true
		return true
	}
	return false
}

// mentions refuses definitions that lean on protected relations or on functions that cannot be traced. What analysis relies
// on in other relations, the columns through which rows find their customer and the columns of facts, may not change either.
func (a *analysis) mentions(node *pg.Node) {
	changes := alters(node)
	visit(node.ProtoReflect(), func(m proto.Message) bool {
		switch m := m.(type) {
		case *pg.TableLikeClause:
			return false
		case *pg.Constraint:
			a.foreignKey(m)
			if m.Pktable != nil {
				return false
			}
		case *pg.RangeVar:
			if rel := a.find(m); rel != nil && (rel.closed() || changes && rel.guarded() || empties(node) && len(rel.Adrift) > 0) {
				a.refuse(guardedDefinition(int(m.Location)))
			}
		case *pg.FuncCall:
			a.storedCall(m)
		case *pg.TypeName:
			a.checkType(m, value{open: true})
		}
		return true
	})
}

// alters tells whether a definition changes relations that are there.
func alters(node *pg.Node) bool {
	switch node.GetNode().(type) {
	case *pg.Node_AlterTableStmt, *pg.Node_RenameStmt, *pg.Node_AlterObjectSchemaStmt, *pg.Node_CreateStmt:
		return true
	}
	return false
}

// empties tells whether a statement deletes all rows at once.
func empties(node *pg.Node) bool { return node.GetTruncateStmt() != nil }

// storedCall is a function inside a definition: it runs later, on arguments that nobody will see.
func (a *analysis) storedCall(m *pg.FuncCall) {
	qualifier, name := lastName(m.Funcname)
	if refusal := dynamic(qualifier, name, int(m.Location)); refusal != nil {
		a.refuse(refusal)
	}
	a.setConfig(name, m.Args)
	a.checkFunction(name, int(m.Location), value{open: true})
}

func guardedDefinition(at int) *Refusal {
	return forbidden("definitions that change or build on a protected table are not allowed through the gateway", directly, at)
}

// foreignKey refuses keys that would compare unprotected columns with protected ones.
func (a *analysis) foreignKey(n *pg.Constraint) {
	if n.Pktable == nil {
		return
	}
	rel := a.find(n.Pktable)
	if rel == nil {
		return
	}
	for _, attribute := range n.PkAttrs {
		for i := range rel.Columns {
			c := &rel.Columns[i]
			if c.Name == attribute.GetString_().GetSval() && (c.Protect != nil || c.Opaque || c.Mask != nil) {
				a.refuse(guardedDefinition(int(n.Location)))
			}
		}
	}
}

// creates refuses a new relation that would take a protected one's name: an unqualified name might then mean either.
func (a *analysis) creates(n *pg.RangeVar) {
	if n == nil {
		return
	}
	a.namesType(n.Relname, int(n.Location)) // its rows are of a type of that name
	if a.schema.shadows(n.Relname) {
		a.refuse(forbidden("a new relation may not have the name of a protected one", "Choose another name.", int(n.Location)))
	}
}

// namesType refuses a type under the name of one that casts are known by: in a schema that is searched first, and that of temporary
// objects always is, ::text would run the checks of it.
func (a *analysis) namesType(name string, at int) {
	if known := kindNamed(name); known != otherType || typed(sallyport.Scheme(name)) {
		a.refuse(forbidden("a new type or relation may not have the name of a type of the server's own", "Choose another name.", at))
	}
}

func (a *analysis) drop(n *pg.DropStmt) {
	for _, object := range n.Objects {
		names := dottedName(object)
		if len(names) == 0 {
			continue
		}
		guarded := false
		switch n.RemoveType {
		case pg.ObjectType_OBJECT_SCHEMA:
			guarded = a.schema.holdsProtected(names[0])
		case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW, pg.ObjectType_OBJECT_FOREIGN_TABLE:
			guarded = a.named(names)
		case pg.ObjectType_OBJECT_TRIGGER, pg.ObjectType_OBJECT_RULE, pg.ObjectType_OBJECT_POLICY:
			guarded = len(names) > 1 && a.named(names[:len(names)-1])
		}
		if guarded {
			a.refuse(guardedDefinition(-1))
		}
	}
}

// named tells whether a dotted name may mean a relation that analysis relies on.
func (a *analysis) named(names []string) bool {
	schema := ""
	if len(names) > 1 {
		schema = names[len(names)-2]
	}
	for _, r := range a.schema.Find(schema, names[len(names)-1]) {
		if r.guarded() {
			a.touch(r)
			return true
		}
	}
	return false
}

// dottedName reads the object of DROP: a list of words, or one.
func dottedName(n *pg.Node) []string {
	if s := n.GetString_(); s != nil {
		return []string{s.Sval}
	}
	var names []string
	for _, part := range n.GetList().GetItems() {
		if s := part.GetString_(); s != nil {
			names = append(names, s.Sval)
		}
	}
	return names
}

func (a *analysis) rename(n *pg.RenameStmt) {
	switch n.RenameType {
	case pg.ObjectType_OBJECT_SCHEMA:
		if a.schema.holdsProtected(n.Subname) {
			a.refuse(guardedDefinition(-1))
		}
	case pg.ObjectType_OBJECT_TYPE, pg.ObjectType_OBJECT_DOMAIN:
		a.namesType(n.Newname, -1)
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW, pg.ObjectType_OBJECT_FOREIGN_TABLE, pg.ObjectType_OBJECT_SEQUENCE:
		a.namesType(n.Newname, -1)
		if a.schema.shadows(n.Newname) {
			a.refuse(forbidden("a relation may not take the name of a protected one", "Choose another name.", -1))
		}
	case pg.ObjectType_OBJECT_FUNCTION, pg.ObjectType_OBJECT_PROCEDURE, pg.ObjectType_OBJECT_ROUTINE, pg.ObjectType_OBJECT_AGGREGATE:
		a.refuse(forbidden("making or changing functions is not allowed in a protected database", "Let an administrator do it directly at the database.", -1))
	}
}

// alterTable refuses what could wake up a trigger or rule that the catalogue holds for asleep.
func (a *analysis) alterTable(n *pg.AlterTableStmt) {
	for _, c := range n.Cmds {
		name := c.GetAlterTableCmd().GetSubtype().String()
		if strings.HasPrefix(name, "AT_Enable") && (strings.Contains(name, "Trig") || strings.Contains(name, "Rule")) {
			a.refuse(forbidden("making or changing triggers is not allowed in a protected database", "Let an administrator do it directly at the database.", -1))
		}
	}
}

// index allows indexes on protected columns, but not with values in them.
func (a *analysis) index(n *pg.IndexStmt) {
	sc := &scope{}
	a.fromItem(&pg.Node{Node: &pg.Node_RangeVar{RangeVar: n.Relation}}, sc)
	for _, p := range n.IndexParams {
		e := p.GetIndexElem()
		v, _ := sc.column(e.GetName(), span{})
		if e.GetExpr() != nil {
			if v = a.output(e.Expr, sc); v.veiled() > bare {
				a.refuse(unmasking("an index computes something from a masked column", &v, a.location(e.Expr)))
			}
		}
		a.read(v)
	}
	a.condition(n.WhereClause, sc)
	a.skipOptions(n.Options)
	visit(n.ProtoReflect(), func(m proto.Message) bool {
		if call, ok := m.(*pg.FuncCall); ok {
			a.storedCall(call)
		}
		return true
	})
	for _, s := range a.literals {
		if len(s.demands) > 0 {
			a.refuse(guardedDefinition(int(n.Relation.GetLocation())))
		}
	}
}

// setLater refuses settings that would speak for the gateway in later sessions.
func (a *analysis) setLater(n *pg.VariableSetStmt) {
	name := strings.ToLower(n.GetName())
	if strings.HasPrefix(name, "sallyport.") || rereads(name) {
		a.refuse(forbidden("a role, database or server may not be given this setting", "SET it in the session that needs it.", -1))
	}
	if loadsCode(name) {
		a.refuse(forbidden("settings that load code, run commands or move the server's files are not allowed in a protected database", directly, -1))
	}
}

// filters tells whether a publication has a condition: values in it would be held against columns.
func filters(node *pg.Node) bool {
	found := false
	visit(node.ProtoReflect(), func(m proto.Message) bool {
		if t, ok := m.(*pg.PublicationTable); ok && t.WhereClause != nil {
			found = true
		}
		return true
	})
	return found
}

// verb is the statement's name for the record: one word, or two for definitions.
func (a *analysis) verb(node *pg.Node) string {
	switch node.GetNode().(type) {
	case *pg.Node_SelectStmt:
		return "SELECT"
	case *pg.Node_InsertStmt:
		return "INSERT"
	case *pg.Node_UpdateStmt:
		return "UPDATE"
	case *pg.Node_DeleteStmt:
		return "DELETE"
	case *pg.Node_MergeStmt:
		return "MERGE"
	}
	verb := ""
	for i := a.tokens.from(a.st.Start); i < len(a.tokens.list); i++ {
		t := a.tokens.list[i]
		if t.KeywordKind == pg.KeywordKind_NO_KEYWORD || int(t.Start) >= a.st.End {
			break
		}
		word := strings.ToUpper(a.sql[t.Start:t.End])
		switch word {
		case "OR", "REPLACE", "TEMP", "TEMPORARY", "UNLOGGED", "UNIQUE", "LOCAL", "GLOBAL":
			continue
		case "CREATE", "ALTER", "DROP":
			verb = word + " "
			continue
		}
		return verb + word
	}
	return strings.TrimSpace(verb)
}
