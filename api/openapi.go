package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"

	"sallyport"
	"sallyport/cases"
	"sallyport/program/training"
)

// operation is one endpoint as the description of the api has it. A test holds the list to the routes that there are.
type operation struct {
	method, path string
	who          audience
	summary      string
	takes, gives any      // values of the types that a body has; nil: none, or one that is told elsewhere
	query        []string // names of what stands behind the question mark
	before       bool     // it comes before the log-in
	stream       string   // media type of an answer that is no JSON
	list         bool     // it is answered a page at a time
}

// What many answer.
type (
	proposedAnswer struct {
		Proposal string `json:"proposal"` // id; another person approves it
	}
	empty struct{}
)

// operations are all endpoints.
func operations() []operation {
	get, post := http.MethodGet, http.MethodPost
	list := []operation{
		{method: get, path: "/v1/me", summary: "Who calls, and what policies let him do at this moment", gives: Me{}},
		{method: get, path: "/v1/status", summary: "How serve is", gives: Status{}},
		{method: get, path: "/v1/now", who: investigators, summary: "What goes on: customers revealed today beside the days before, by pseudonym, application and class", gives: Today{}},
		{method: get, list: true, path: "/v1/waiting", summary: "Results of one's own that wait at the second door", gives: struct {
			Waiting []Waiting `json:"waiting"`
		}{}},
		{method: get, path: "/v1/record", who: investigators, summary: "Look through a stream of the record, the newest entries first", query: []string{"stream", "kind", "person", "customer", "before", "most"}, gives: RecordLines{}},
		{method: get, path: "/v1/record/{stream}/{seq}", who: investigators, summary: "One entry of the record", gives: RecordLine{}},
		{method: get, path: "/v1/record/{stream}/{seq}/proof", who: investigators, summary: "That an entry stands in the ledger, by hashes", gives: Proven{}},
		{method: post, path: "/v1/record/erase", who: administrators, summary: "Propose to erase entries", takes: eraseRequest{}, gives: proposedAnswer{}},
		{method: get, list: true, path: "/v1/who-saw", who: investigators, summary: "Who could read values of a customer", query: []string{"customer"}, gives: struct {
			Customer  sallyport.Subject `json:"customer"`
			Sightings []Sighting        `json:"sightings"`
		}{}},
		{method: get, path: "/v1/people", who: investigators, summary: "Who works how, by pseudonym: customers in the last days, and those whom no reason explains", gives: People{}},
		{method: get, path: "/v1/people/{person}", who: investigators, summary: "One person: his work day by day beside his peers, how far he is trusted and why, and by what he comes", gives: PersonDetails{}},
		{method: get, path: "/v1/data", who: overseers, summary: "What is protected, how far that is, and who may ever see what", gives: Holdings{}},
		{method: get, path: "/v1/data/progress", who: overseers, summary: "How far columns are that move in or out, and keys that are exchanged", gives: DataProgress{}},
		{method: get, path: "/v1/policies", who: overseers, summary: "The policies that hold, the written policy beside them, and what their tests came to", gives: Policies{}},
		{method: post, path: "/v1/replay", who: investigators, summary: "What other budgets would have meant in the last days", takes: replayRequest{}},
		{method: get, path: "/v1/now/follow", who: investigators, summary: "What goes on, again each time something came, a JSON object a line", query: []string{"every"}, stream: "application/x-ndjson"},
		{method: post, path: "/v1/customers/find", who: investigators, summary: "Whose an e-mail address is: the value is tokenised as a search is, with the same doors and the same record", takes: findRequest{}, gives: Found{}},
		{method: post, path: "/v1/history/query", who: investigators, summary: "One SELECT over the past", takes: historyRequest{}, gives: HistoryAnswer{}},
		{method: post, path: "/v1/history/rebuild", who: administrators, summary: "Have history made again from the record", takes: request{}},
		{method: get, path: "/v1/export", who: administrators, summary: "The record for other systems", query: []string{"format", "stream", "since", "until"}, stream: "application/x-ndjson"},
		{method: post, path: "/v1/imports", who: administrators, summary: "Begin to import another system's log", takes: sallyport.Importing{}, gives: struct {
			Import string `json:"import"`
		}{}},
		{method: post, path: "/v1/imports/part", who: administrators, summary: "A part of an import", takes: ImportPart{}, gives: Taken{}},
	}
	return append(append(append(list, orderOperations()...), workOperations()...), logInOperations()...)
}

// orderOperations are what people order, and agree on.
func orderOperations() []operation {
	get, post := http.MethodGet, http.MethodPost
	return []operation{
		{method: post, path: lockPath, who: administrators, summary: "Take somebody's access away, at once", takes: request{}},
		{method: post, path: "/v1/unlock", who: administrators, summary: "Propose to give it back", takes: request{}, gives: proposedAnswer{}},
		{method: post, path: "/v1/trust", who: administrators, summary: "Lower how far somebody is trusted; more of it is proposed", takes: trustRequest{}},
		{method: post, path: "/v1/accept-mark", who: administrators, summary: "Propose to serve with a record that does not fit the database's mark", takes: request{}, gives: proposedAnswer{}},
		{method: get, list: true, path: "/v1/proposals", who: overseers, summary: "All proposals, the open and the decided", gives: struct {
			Proposals []Proposal `json:"proposals"`
		}{}},
		{method: get, path: "/v1/proposals/{id}", who: overseers, summary: "One proposal, with what files change", gives: Proposal{}},
		{method: post, path: "/v1/proposals/{id}/approve", summary: "Let a proposal of somebody else take effect", gives: Proposal{}},
		{method: post, path: "/v1/proposals/{id}/decline", summary: "End a proposal without effect", gives: Proposal{}},
		{method: post, path: "/v1/unmask", who: investigators, summary: "Propose to see who stands behind a pseudonym", takes: unmaskRequest{}, gives: proposedAnswer{}},
		{method: get, list: true, path: "/v1/unmask", who: overseers, summary: "Whom one may see by name", gives: struct {
			Unmasked []Unmasked `json:"unmasked"`
		}{}},
		{method: get, list: true, path: "/v1/grants", summary: "Requests and grants that concern who asks", gives: struct {
			Grants []Grant `json:"grants"`
		}{}},
		{method: post, path: "/v1/grants", summary: "Ask for access, for a while and so many customers", takes: GrantRequest{}, gives: Grant{}},
		{method: get, path: "/v1/grants/{id}", summary: "One request or grant", gives: Grant{}},
		{method: post, path: "/v1/grants/{id}/approve", summary: "Approve a request", gives: Grant{}},
		{method: post, path: "/v1/grants/{id}/decline", summary: "Refuse a request, or take it back", takes: request{}, gives: Grant{}},
		{method: post, path: "/v1/grants/{id}/end", summary: "End a grant before its time", takes: request{}, gives: Grant{}},
		{method: post, path: "/v1/grants/{id}/review", who: investigators, summary: "Say what was found about a break-glass", takes: struct {
			Finding string `json:"finding"`
			Reason  string `json:"reason"`
		}{}, gives: Grant{}},
		{method: post, path: "/v1/break-glass", summary: "See a few customers at once, for an incident", takes: GrantRequest{}, gives: Grant{}},
		{method: post, path: "/v1/keys/rotate", who: administrators, summary: "Propose a new key for a join group", takes: request{}, gives: proposedAnswer{}},
		{method: post, path: "/v1/keys/destroy", who: administrators, summary: "Propose to destroy the older key of a join group", takes: request{}, gives: proposedAnswer{}},
		{method: post, path: "/v1/keys/shred", who: administrators, summary: "Propose to make a customer's values unreadable", takes: request{}, gives: proposedAnswer{}},
		{method: post, path: "/v1/keys/opening", who: administrators, summary: "Put on record that a share opens the keys in a command beside serve", takes: openingRequest{}},
		{method: get, list: true, path: "/v1/keys/shredded", who: administrators, summary: "Digests of tokens that stand for nothing", gives: struct {
			Tokens [][]byte `json:"tokens"`
		}{}},
		{method: post, path: "/v1/unseal", summary: "Bring a share of what opens the keys", takes: struct {
			Share string `json:"share"`
		}{}, gives: Unsealed{}},
		{method: get, path: "/v1/protect", who: administrators, summary: "What serve knows of columns that move", gives: Serving{}},
		{method: post, path: "/v1/protect/enter", who: administrators, summary: "Let columns begin to move"},
		{method: post, path: "/v1/protect/states", who: administrators, summary: "Put the states of columns on record", takes: States{}},
		{method: post, path: "/v1/protect/undo", who: administrators, summary: "Propose to turn columns back", takes: request{}, gives: proposedAnswer{}},
		{method: post, path: "/v1/files/propose", who: administrators, summary: "Propose a configuration and policies", takes: FilesRequest{}, gives: FilesProposed{}},
		{method: post, path: "/v1/gateways/{name}/forget", who: administrators, summary: "Propose to take what was lent to a gateway for spent", takes: request{}, gives: proposedAnswer{}},
		{method: get, list: true, path: "/v1/directory", who: overseers, summary: "Who is who", gives: struct {
			Staff []Member `json:"staff"`
		}{}},
		{method: get, path: "/v1/directory/{id}", who: overseers, summary: "One person of the directory", gives: MemberDetails{}},
		{method: post, path: "/v1/directory/import", who: administrators, summary: "What a file says of the staff", takes: importRequest{}, gives: ImportResult{}},
		{method: post, path: "/v1/directory/lock-leavers", who: administrators, summary: "Lock those who left when their source had said so of many", takes: request{}},
		{method: post, path: "/v1/directory/empower", who: administrators, summary: "Propose to give somebody the place that a source wants", takes: request{}, gives: proposedAnswer{}},
	}
}

// workOperations are findings, cases, reports, calls, canaries and drills.
func workOperations() []operation {
	get, post := http.MethodGet, http.MethodPost
	return []operation{
		{method: get, list: true, path: "/v1/findings", who: investigators, summary: "What detection found, and what was done", query: []string{"id"}, gives: struct {
			Findings []Finding `json:"findings"`
			Mode     string    `json:"mode"`
		}{}},
		{method: post, path: "/v1/respond/undo", who: administrators, summary: "Propose to take back what was done because of a finding", takes: undoRequest{}, gives: proposedAnswer{}},
		{method: post, path: "/v1/respond/mode", who: administrators, summary: "Propose that Sallyport acts on findings, or only observes", takes: modeRequest{}, gives: proposedAnswer{}},
		{method: get, list: true, path: "/v1/cases", who: investigators, summary: "Cases that one may see", gives: struct {
			Cases []Case `json:"cases"`
		}{}},
		{method: post, path: "/v1/cases", who: investigators, summary: "Open a case", takes: CaseRequest{}, gives: struct {
			Case uint64 `json:"case"`
		}{}},
		{method: get, path: "/v1/cases/{n}", who: investigators, summary: "One case", gives: Case{}},
		{method: get, list: true, path: "/v1/cases/{n}/timeline", who: investigators, summary: "What the record says about a case", gives: struct {
			Timeline []CaseLine `json:"timeline"`
		}{}},
		{method: post, path: "/v1/cases/{n}/{do}", who: investigators, summary: "Take a step of a case, or propose it where it takes two", takes: CaseRequest{}},
		{method: get, path: "/v1/cases/{n}/pack/{id}", who: investigators, summary: "The evidence pack that two people agreed on"},
		{method: get, path: "/v1/cases/{n}/figures", who: investigators, summary: "What notices count"},
		{method: get, list: true, path: "/v1/calibration", who: investigators, summary: "What hypotheses said, and how cases ended", gives: struct {
			Bins []cases.Bin `json:"bins"`
		}{}},
		{method: get, list: true, path: "/v1/reports", who: investigators, summary: "What customers told of scam calls", gives: struct {
			Reports []Report `json:"reports"`
		}{}},
		{method: get, path: "/v1/reports/state", who: investigators, summary: "What reports there are and what became of them, by one name for all of it", gives: ReportsState{}},
		{method: post, path: "/v1/reports", who: investigators, summary: "Enter what a customer told", takes: Report{}, gives: struct {
			Report string `json:"report"`
		}{}},
		{method: post, path: "/v1/reports/{id}/judge", who: investigators, summary: "Say what a customer answered", takes: judgeRequest{}},
		{method: get, path: "/v1/trace", who: investigators, summary: "Who may be the source of the reports", query: []string{"since"}},
		{method: get, path: "/v1/blast", who: investigators, summary: "What somebody's access came to", query: []string{"staff", "since"}},
		{method: post, path: "/v1/blast/list", who: investigators, summary: "Propose to see every customer whom it concerns", takes: listRequest{}, gives: proposedAnswer{}},
		{method: get, path: "/v1/blast/list/{id}", who: investigators, summary: "The list that two people agreed on"},
		{method: get, list: true, path: "/v1/calls", summary: "One's own calls to customers that are to come", gives: struct {
			Calls []Call `json:"calls"`
		}{}},
		{method: post, path: "/v1/calls", summary: "Schedule a call that the customer can check", takes: CallRequest{}, gives: Call{}},
		{method: post, path: "/v1/calls/{id}/cancel", summary: "Call one off", takes: empty{}},
		{method: get, list: true, path: "/v1/api-tokens", summary: "Tokens of the api that hold: one's own, or all of them", gives: struct {
			Tokens []TokenInfo `json:"tokens"`
		}{}},
		{method: post, path: "/v1/api-tokens", who: administrators, summary: "Propose a token of the api in somebody's name", takes: TokenRequest{}, gives: TokenProposed{}},
		{method: post, path: "/v1/api-tokens/{id}/end", summary: "Take a token of the api away", takes: request{}},
		{method: get, list: true, path: "/v1/customer-links", who: investigators, summary: "Links that show customers which kind of staff has seen their data", gives: struct {
			Links []CustomerLink `json:"links"`
		}{}},
		{method: post, path: "/v1/customer-links", who: investigators, summary: "Issue one", takes: LinkRequest{}, gives: CustomerLink{}},
		{method: post, path: "/v1/customer-links/{id}/end", who: investigators, summary: "End one", takes: request{}},
		{method: get, list: true, path: "/v1/passkeys", summary: "One's own passkeys", gives: struct {
			Passkeys []PasskeyInfo `json:"passkeys"`
		}{}},
		{method: post, path: "/v1/passkeys/end", summary: "End a passkey of one's own, or, for who administers, all of somebody's", takes: endPasskeyRequest{}},
		{method: post, path: "/v1/reveal", summary: "What tokens stand for, as far as reasons and policies show it; recorded before it is answered", takes: ValuesRequest{}, gives: ValuesAnswer{}},
		{method: post, path: "/v1/tokenise", summary: "Tokens of values; a value outside the reasons counts as a probe", takes: ValuesRequest{}, gives: ValuesAnswer{}},
		{method: get, path: "/v1/canaries", who: overseers, summary: "Customers who do not exist", gives: CanaryStatus{}},
		{method: post, path: "/v1/canaries", who: administrators, summary: "Have some planted", takes: PlantRequest{}},
		{method: get, list: true, path: "/v1/canaries/who", who: investigators, summary: "Who was shown a contact detail", query: []string{"detail"}, gives: CanaryAnswer{}},
		{method: post, path: "/v1/drills", who: administrators, summary: "Play a theft", takes: drillRequest{}, gives: struct {
			Drill string `json:"drill"`
		}{}},
		{method: get, list: true, path: "/v1/drills", who: overseers, summary: "The drills that there are, and those that were played", gives: DrillList{}},
		{method: get, path: "/v1/drills/{id}", who: overseers, summary: "What came of a drill"},
		{method: get, list: true, path: "/v1/program/rotations", who: overseers, summary: "What draws were committed to, and drawn", gives: struct {
			Rotations []RotationStatus `json:"rotations"`
		}{}},
		{method: post, path: "/v1/program/rotations", who: administrators, summary: "Commit to a draw", takes: commitRequest{}},
		{method: post, path: "/v1/program/rotations/draw", who: administrators, summary: "Put a draw on record, once its beacon is known", takes: drawRequest{}},
		{method: post, path: "/v1/program/rotations/verify", who: overseers, summary: "Repeat a draw from its file, and hold it to the record", takes: drawRequest{}, gives: VerifiedDraw{}},
		{method: get, path: "/v1/program/documents", summary: "The written policies, and whether oneself has acknowledged them", gives: struct {
			Documents []WrittenPolicy `json:"documents"`
		}{}},
		{method: post, path: "/v1/program/acknowledge", summary: "Say that one has read a version of a document", takes: acknowledgeRequest{}},
		{method: get, list: true, path: "/v1/program/reviews", summary: "Reviews of access that one may see", gives: struct {
			Reviews []ReviewStatus `json:"reviews"`
		}{}},
		{method: post, path: "/v1/program/reviews", who: administrators, summary: "Have managers look at what their people may do", takes: reviewRequest{}},
		{method: post, path: "/v1/program/reviews/prolong", who: administrators, summary: "Propose another date for people of a review", takes: prolongRequest{}, gives: proposedAnswer{}},
		{method: post, path: "/v1/program/reports", who: investigators, summary: "A report of the programme, made from the record as it stands", takes: ReportQuestion{}, gives: ReportAnswer{}},
		{method: post, path: "/v1/program/reviews/decide", summary: "Decide about somebody's access", takes: decideReviewRequest{}},
		{method: get, list: true, path: "/v1/program/training", summary: "How oneself stands with training; for who oversees, everybody", query: []string{"mine"}, gives: struct {
			People []training.Status `json:"people"`
		}{}},
		{method: post, path: "/v1/program/training/import", who: administrators, summary: "Put courses and phishing tests on record", takes: trainingRequest{}},
		{method: post, path: "/v1/program/training/lesson", summary: "Answer the question of a lesson", takes: lessonRequest{}},
	}
}

// logInOperations are about who somebody is.
func logInOperations() []operation {
	post := http.MethodPost
	return []operation{
		{method: post, path: "/v1/confirm", summary: "Prove anew who one is, by the password of this very call", takes: empty{}},
		{method: post, path: "/v1/login/browser", summary: "Begin a log-in at the identity provider by a browser", takes: beginRequest{}, before: true},
		{method: post, path: "/v1/login/device", summary: "Begin one by a device code", takes: beginRequest{}, before: true},
		{method: post, path: "/v1/login/finish", summary: "End one; for a device code it waits", takes: finishRequest{}, gives: LoggedIn{}, before: true},
		{method: post, path: "/v1/login/end", summary: "Give the credential back", takes: empty{}},
		{method: post, path: "/v1/password", summary: "Set a password by the two halves of a code", takes: passwordRequest{}, before: true},
		{method: post, path: "/v1/password/invite", who: administrators, summary: "Propose that somebody may set a password", takes: request{}, gives: Invited{}},
	}
}

// openAPI is the description of the api, OpenAPI 3.1.
func openAPI() ([]byte, error) {
	s := &schemas{known: map[string]any{}}
	paths := map[string]map[string]any{}
	problem := map[string]any{"description": "Why it was not done", "content": map[string]any{"application/problem+json": map[string]any{"schema": s.of(reflect.TypeFor[Problem]())}}}
	for _, o := range operations() {
		if paths[o.path] == nil {
			paths[o.path] = map[string]any{}
		}
		paths[o.path][strings.ToLower(o.method)] = s.operation(&o, problem)
	}
	return json.MarshalIndent(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Sallyport", "version": "1",
			"description": "Orders to a running serve, and questions to its record: over the control socket of its machine, and over TLS at api.listen. Every call but those before the log-in is on record. docs/control.md says more.",
		},
		"servers":  []any{map[string]any{"url": "/api"}},
		"paths":    paths,
		"security": []any{map[string]any{"credential": []any{}}, map[string]any{"password": []any{}}},
		"components": map[string]any{
			"schemas": s.known,
			"securitySchemes": map[string]any{
				"credential": map[string]any{"type": "http", "scheme": "bearer", "description": "from sallyport login"},
				"password":   map[string]any{"type": "http", "scheme": "basic", "description": "of the configuration's people; with an identity provider only of those named for when it is away"},
			},
		},
	}, "", "  ")
}

// describe serves the description, to whoever asks: it tells nothing of this installation.
func (s *Server) describe(w http.ResponseWriter, _ *http.Request) {
	text, err := openAPI()
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // a client that left cannot be told
}
