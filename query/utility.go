package query

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// dispatch analyses a statement by its kind.
func (a *analysis) dispatch(node *pg.Node) {
	a.st.Verb = a.verb(node)
	switch n := node.GetNode().(type) {
	case *pg.Node_SelectStmt:
		a.results(a.query(node, &scope{}))
		a.st.Lookup = a.lookup(n.SelectStmt)
	case *pg.Node_DeleteStmt, *pg.Node_MergeStmt:
		a.results(a.query(node, &scope{}))
	case *pg.Node_InsertStmt:
		a.results(a.query(node, &scope{}))
		a.captureInsert(n.InsertStmt)
	case *pg.Node_UpdateStmt:
		a.results(a.query(node, &scope{}))
		a.captureUpdate(n.UpdateStmt)
	case *pg.Node_ExplainStmt:
		a.skipOptions(n.ExplainStmt.Options)
		a.st.Explain = true
		a.inner(n.ExplainStmt.Query)
	case *pg.Node_DeclareCursorStmt:
		a.st.Cursor = n.DeclareCursorStmt.Portalname
		a.inner(n.DeclareCursorStmt.Query)
	case *pg.Node_CreateTableAsStmt:
		a.createTableAs(n.CreateTableAsStmt)
	case *pg.Node_PrepareStmt:
		a.prepare(n.PrepareStmt)
	case *pg.Node_ExecuteStmt:
		a.execute(n.ExecuteStmt)
	case *pg.Node_DeallocateStmt:
		a.st.Deallocate = &Deallocate{Name: n.DeallocateStmt.Name, All: n.DeallocateStmt.Isall}
	case *pg.Node_CopyStmt:
		a.copy(n.CopyStmt)
	case *pg.Node_CallStmt:
		a.st.Writes, a.st.DDL = true, true
		a.spend(a.call(n.CallStmt.Funccall, &scope{}))
	case *pg.Node_FetchStmt:
		a.st.Touches, a.st.Fetch, a.st.Cursor = !n.FetchStmt.Ismove, true, n.FetchStmt.Portalname
		a.st.Masks = a.schema.Masks && !n.FetchStmt.Ismove
	case *pg.Node_VariableSetStmt:
		a.set(n.VariableSetStmt)
	case *pg.Node_DiscardStmt:
		if n.DiscardStmt.Target == pg.DiscardMode_DISCARD_ALL {
			a.st.Purpose = &PurposeChange{Reset: true, All: true}
			a.st.Deallocate = &Deallocate{All: true}
		}
	case *pg.Node_TransactionStmt:
		a.transaction(n.TransactionStmt)
	case *pg.Node_ClosePortalStmt, *pg.Node_VariableShowStmt, *pg.Node_NotifyStmt, *pg.Node_ListenStmt, *pg.Node_UnlistenStmt,
		*pg.Node_CheckPointStmt, *pg.Node_ConstraintsSetStmt:
	default:
		a.define(node)
	}
}

// inner analyses the statement inside EXPLAIN or DECLARE.
func (a *analysis) inner(node *pg.Node) {
	verb := a.st.Verb
	switch n := node.GetNode().(type) {
	case *pg.Node_ExecuteStmt:
		a.execute(n.ExecuteStmt)
	case *pg.Node_CreateTableAsStmt:
		a.createTableAs(n.CreateTableAsStmt)
	case *pg.Node_DeclareCursorStmt:
		a.inner(n.DeclareCursorStmt.Query)
	case *pg.Node_SelectStmt, *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt:
		a.results(a.query(node, &scope{}))
	default:
		a.refuse(untraceable(a.location(node)))
	}
	a.st.Verb = verb
}

// skipOptions marks the words of an option list as looked at: none of them is data.
func (a *analysis) skipOptions(list []*pg.Node) {
	for _, n := range list {
		i := a.tokens.at(int(n.GetDefElem().GetLocation()))
		for k := i; i >= 0 && k < i+4 && k < len(a.tokens.list); k++ {
			a.visited[int(a.tokens.list[k].Start)] = true
		}
	}
}

func (a *analysis) createTableAs(n *pg.CreateTableAsStmt) {
	a.st.Writes, a.st.DDL, a.st.Keeps = true, true, true
	a.skipOptions(n.Into.GetOptions())
	a.creates(n.Into.GetRel())
	if run := n.Query.GetExecuteStmt(); run != nil {
		a.execute(run)
		return
	}
	a.keeps(a.query(n.Query, &scope{}), -1)
}

func (a *analysis) prepare(n *pg.PrepareStmt) {
	for _, t := range n.Argtypes {
		a.checkType(t.GetTypeName(), value{open: true})
	}
	a.argTypes = n.Argtypes
	a.results(a.query(n.Query, &scope{}))
	a.st.Prepare = &Prepare{Name: n.Name, Body: &Statement{Verb: a.verb(n.Query)}}
}

// closePrepare gives the body what is known only when everything else is settled.
func (a *analysis) closePrepare() {
	if a.st.Prepare == nil {
		return
	}
	for _, p := range a.st.Params {
		if p.Slot.Forms > 1 {
			a.refuse(&Refusal{
				Code: CodeUntraceable, Position: a.st.Start, Sentence: "PREPARE cannot search " + p.Slot.Column.String() + " while it is moving",
				Hint: "Prepare the statement through the protocol, or send it by itself.",
			})
		}
	}
	body := *a.st
	body.Verb, body.Prepare = a.st.Prepare.Body.Verb, nil
	a.st.Prepare = &Prepare{Name: a.st.Prepare.Name, Body: &body}
	a.st.Params = nil // they belong to EXECUTE
}

func (a *analysis) execute(n *pg.ExecuteStmt) {
	a.st.Writes = true
	run := &Execute{Name: n.Name}
	for _, p := range n.Params {
		v := a.expression(p, &scope{})
		arg := Arg{Null: v.empty()}
		if len(v.sources) == 1 && !v.open && !v.calc && !v.cut && v.row == nil {
			s := v.sources[0].source
			arg.Literal = s.param == 0 && s.usable && v.array == v.sources[0].element // ARRAY['x'] is not the text '{x}'
			arg.Start, arg.End, arg.Value = s.start, s.end, s.value
		}
		run.Args = append(run.Args, arg)
	}
	a.st.Execute = run
}

// ExecuteEdits returns the edits of an EXECUTE for the body that was prepared, its own included.
func (s *Statement) ExecuteEdits(body *Statement) ([]Edit, *Refusal) {
	edits := append([]Edit(nil), s.Edits...)
	for _, p := range body.Params {
		if s.Execute == nil || p.Number > len(s.Execute.Args) {
			continue // the server complains
		}
		arg := s.Execute.Args[p.Number-1]
		if arg.Null || p.Slot.Parted && !arg.Literal {
			continue
		}
		if !arg.Literal {
			return nil, &Refusal{
				Code: CodeUntraceable, Position: s.Start,
				Sentence: "the argument of EXECUTE for " + p.Slot.Column.String() + " cannot be traced to a literal",
				Hint:     "Give a literal or NULL, or prepare the statement through the protocol.",
			}
		}
		slot := p.Slot
		slot.Value = arg.Value
		edits = append(edits, Edit{Start: arg.Start, End: arg.End, Slot: &slot})
	}
	sortEdits(edits)
	return edits, nil
}

func (a *analysis) transaction(n *pg.TransactionStmt) {
	change := &TxChange{Name: n.SavepointName, Chain: n.Chain}
	switch n.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN, pg.TransactionStmtKind_TRANS_STMT_START:
		change.Kind = Begin
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		change.Kind = Commit
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		change.Kind = Rollback
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		change.Kind = Savepoint
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		change.Kind = Release
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		change.Kind = RollbackTo
	case pg.TransactionStmtKind_TRANS_STMT_PREPARE:
		change.Kind = PrepareTransaction
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED:
		change.Kind = CommitPrepared
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
		change.Kind = RollbackPrepared
	case pg.TransactionStmtKind_TRANSACTION_STMT_KIND_UNDEFINED:
	}
	if change.Kind == 0 {
		a.refuse(untraceable(-1))
	}
	a.st.Tx = change
}

// set is SET and RESET.
func (a *analysis) set(n *pg.VariableSetStmt) {
	switch n.Kind {
	case pg.VariableSetKind_VAR_RESET_ALL:
		a.st.Purpose = &PurposeChange{Reset: true, All: true}
		return
	case pg.VariableSetKind_VAR_RESET, pg.VariableSetKind_VAR_SET_DEFAULT:
		if strings.EqualFold(n.Name, actorSetting) {
			a.refuse(notLocal())
		}
		if strings.EqualFold(n.Name, purposeSetting) {
			a.st.Purpose = &PurposeChange{Reset: true, Local: n.IsLocal}
		}
		return
	case pg.VariableSetKind_VAR_SET_VALUE, pg.VariableSetKind_VAR_SET_CURRENT, pg.VariableSetKind_VAR_SET_MULTI, pg.VariableSetKind_VARIABLE_SET_KIND_UNDEFINED:
	}
	a.setRole(n)
	switch {
	case strings.EqualFold(n.Name, purposeSetting):
		a.setPurpose(n)
	case strings.EqualFold(n.Name, actorSetting):
		a.setActor(n)
	case strings.EqualFold(n.Name, standardStringsSetting) && !affirmative(n.Args):
		a.refuse(forbidden("standard_conforming_strings must stay on in a protected database", "Write E'…' where backslashes shall escape.", -1))
	case strings.EqualFold(n.Name, "client_encoding") && !readable(n.Args):
		a.refuse(forbidden("texts in this encoding cannot be read safely", "SET client_encoding = 'UTF8';", -1))
	}
}

// standardStringsSetting is how strings are written. That it changed is the server's word (ParameterStatus); what the gateway
// refuses is what would make it surprising.
const standardStringsSetting = "standard_conforming_strings"

// rereads tells whether a setting changes how the server reads the bytes of later texts.
func rereads(setting string) bool {
	return strings.EqualFold(setting, standardStringsSetting) || strings.EqualFold(setting, "client_encoding")
}

// affirmative tells whether a setting's value is one of the words for on.
func affirmative(args []*pg.Node) bool {
	if len(args) != 1 {
		return false
	}
	c := args[0].GetAConst()
	switch strings.ToLower(c.GetSval().GetSval()) {
	case "on", "true", "yes":
		return true
	}
	return c.GetIval().GetIval() == 1
}

// readable tells whether an encoding leaves ASCII bytes to themselves. In SJIS, BIG5, GBK, UHC, JOHAB and GB18030 a backslash
// may be the second half of a character, so the server would find other ends of strings than we do.
func readable(args []*pg.Node) bool {
	if len(args) != 1 {
		return false
	}
	var name strings.Builder
	for _, c := range strings.ToLower(args[0].GetAConst().GetSval().GetSval()) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			name.WriteRune(c)
		}
	}
	for _, safe := range []string{"utf8", "unicode", "sqlascii", "latin", "iso8859", "win125", "windows125", "win866", "win874", "koi8", "euc"} {
		if strings.HasPrefix(name.String(), safe) {
			return true
		}
	}
	return false
}

func (a *analysis) setPurpose(n *pg.VariableSetStmt) {
	value, where, ok := a.settingText(n)
	if !ok {
		a.refuse(&Refusal{Code: CodeSyntax, Position: -1, Sentence: "a purpose is one text in quotes", Hint: "SET sallyport.purpose = 'ticket:4711';"})
		return
	}
	a.st.Purpose = &PurposeChange{Local: n.IsLocal, Value: value}
	a.edits[where.start] = Edit{Start: where.start, End: where.end, Slot: &Slot{Purpose: true, Value: value}}
}

// setActor is SET LOCAL sallyport.actor. The server gets the person's id in place of the assertion.
func (a *analysis) setActor(n *pg.VariableSetStmt) {
	value, where, ok := a.settingText(n)
	if !ok || !n.IsLocal {
		a.refuse(notLocal())
		return
	}
	a.st.Actor, a.st.SetsActor = &value, true
	a.edits[where.start] = Edit{Start: where.start, End: where.end, Slot: &Slot{Actor: true}}
}

func notLocal() *Refusal {
	return &Refusal{
		Code: CodeActor, Position: -1, Sentence: "sallyport.actor is set for one transaction, and only there",
		Hint: "BEGIN; SET LOCAL sallyport.actor = '…'; it ends with the transaction by itself.",
	}
}

// settingText is the one text that a setting is set to, and where it stands.
func (a *analysis) settingText(n *pg.VariableSetStmt) (value string, where span, ok bool) {
	if len(n.Args) != 1 || n.Kind != pg.VariableSetKind_VAR_SET_VALUE {
		return "", span{}, false
	}
	c := n.Args[0].GetAConst()
	at := int(c.GetLocation())
	i := a.tokens.at(at)
	if c.GetSval() == nil || i < 0 {
		return "", span{}, false
	}
	where, ok = a.tokens.literalSpan(at, false)
	if !ok {
		where = span{at, int(a.tokens.list[i].End)} // a bare word
	}
	return c.GetSval().GetSval(), where, true
}
