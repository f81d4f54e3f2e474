package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"

	"sallyport"
	"sallyport/query"
	"sallyport/wire/pg"
)

// Codes of ours (class SP; docs/statements.md lists them) and of PostgreSQL that the gateway answers with.
const (
	codeBudget      = "SP010" // a budget was reached
	codeLocked      = "SP011" // locked or suspended
	codeSilent      = "SP017" // the controller does not answer
	codeJournal     = "SP012" // the record cannot be written
	codePurpose     = "SP013" // not a purpose
	codeDenied      = "SP016" // policies forbid what the statement does
	codeTokenWrite  = "SP004" // a token was to be written
	codeValue       = "SP005" // a value that its column's scheme cannot hold
	codeRelink      = "SP006" // a column through which rows find their customer
	codeUnsupported = "0A000"
	codeNotice      = "01000"
	codeBadCopy     = "22P04"
	codeCanceled    = "57014"
	codeShutdown    = "57P01"
	codeAway        = "08001"
	codeChanged     = "40001" // try again
	codeProtocol    = "08P01"
	codeNoStatement = "26000"
	codeRanPortal   = "55000"
	codeEncryption  = "28000"
)

// failing is a statement that no server accepts. It stands in for one that is refused, so that the transaction's state
// and the skipping until Sync stay the server's. Its error, failingCode, is replaced by ours; any other that comes instead,
// as in a failed transaction, is the server's.
const (
	failing     = `SELECT "sallyport refused the statement that stood here"`
	failingCode = "42703"
)

// failingName is the prepared statement under which it is sent, so that the client's unnamed one survives.
const failingName = "sallyport refused"

// hintJournal goes with codeJournal.
const hintJournal = "The administrator reads the cause in Sallyport's log and must look at the disk of Sallyport's data folder."

func refusal(code, sentence, hint string) *query.Refusal {
	return &query.Refusal{Code: code, Sentence: sentence, Hint: hint, Position: -1}
}

func fatal(code, sentence, hint string) pg.Notice {
	return pg.NewNotice("FATAL", code, "sallyport: "+sentence, "", hint)
}

// errorOf is the ErrorResponse in which a client reads a refusal.
func errorOf(r *query.Refusal) pg.Notice {
	sentence := "sallyport: " + r.Sentence
	switch r.Code {
	case query.CodeSyntax, codeNoStatement, codeRanPortal, codeBadCopy: // that is PostgreSQL's to say, in its words
		sentence = r.Sentence
	}
	n := pg.NewNotice("ERROR", r.Code, sentence, "", r.Hint)
	if r.Position >= 0 {
		n = append(n, pg.NoticeField{Code: pg.Position, Value: fmt.Append(nil, r.Position+1)})
	}
	return n
}

// noStatement is what PostgreSQL says of a prepared statement that is not there (prepare.c, postgres.c).
func noStatement(name string) *query.Refusal {
	if name == "" {
		return refusal(codeNoStatement, "unnamed prepared statement does not exist", "")
	}
	return refusal(codeNoStatement, fmt.Sprintf("prepared statement \"%s\" does not exist", name), "")
}

// ranPortal is what PostgreSQL says of a portal without rows that is executed again (portalmem.c).
func ranPortal(name string) *query.Refusal {
	return refusal(codeRanPortal, fmt.Sprintf("portal \"%s\" cannot be run", name), "")
}

// limitCode is the code with which a limit is told.
func limitCode(l *sallyport.Limit) string {
	if l.Window == silentWindow {
		return codeSilent
	}
	return codeBudget
}

// limitSentence names the budget that was reached.
func limitSentence(l *sallyport.Limit) (sentence, hint string) {
	what := map[string]string{
		"revealed": "customers whose data were revealed to you",
		"reached":  "customers reached without a purpose",
		"probed":   "distinct values searched or written outside your purpose",
	}[l.Measure]
	sentence = fmt.Sprintf("the budget %s/%s is used up: %d %s in one %s", l.Measure, l.Window, l.Budget, what, l.Window)
	switch l.Window {
	case "30 days":
		sentence = fmt.Sprintf("the budget %s/%s is used up: %d %s in 30 days", l.Measure, l.Window, l.Budget, what)
	case grantWindow:
		sentence = fmt.Sprintf("the grant is used up: %d %s under it", l.Budget, what)
	case silentWindow:
		return silent, hintSilent
	case lentWindow:
		return "what is left of this budget is lent to another gateway", "Try again in a moment. Nobody is suspended."
	case overWindow:
		return fmt.Sprintf("the grant is over: its time has passed, %d %s under it", l.Count, what), hintGrant
	}
	if l.Scope != "" {
		window := "in one " + l.Window
		if l.Window == "30 days" {
			window = "in 30 days"
		}
		return fmt.Sprintf("the budget of %s %s is used up: %d customers whose data were revealed %s", l.Scope, l.Name, l.Budget, window),
			"Others share it, and nobody is suspended. It fills up again as time passes."
	}
	return sentence, "You are suspended. Ask a lead for `sallyport unlock`: one proposes it, another approves it."
}

// plainReason is an error without anything that a client sent: its kind and, for network errors, the operation.
func plainReason(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	case errors.Is(err, pg.ErrMalformed):
		return err.Error() // built from lengths and message names only
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	}
	return fmt.Sprintf("%T", err)
}

// serverReason is plainReason for the ways to the server: no client has said anything on them, so the whole sentence may be told.
func serverReason(err error) string { return err.Error() }

// faultPlace is where a panic came from: function names and lines, never its value.
func faultPlace() string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var out []string
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "sallyport") {
			out = append(out, fmt.Sprintf("%s:%d", f.Function, f.Line))
		}
		if !more {
			return strings.Join(out, " < ")
		}
	}
}
