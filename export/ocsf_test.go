package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport"
	"sallyport/sources"
)

const testRecord = "0123456789abcdef0123456789abcdef"

func encoder(t testing.TB, format Format) *Encoder {
	t.Helper()
	c, err := NewEncoder(format, testRecord, "1.2.3", func(who sallyport.Staff) bool { return strings.HasPrefix(string(who), "svc_") })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func fullAccess() sallyport.Access {
	return sallyport.Access{
		UID: "0123456789abcdef-7", Time: time.UnixMilli(1767600305123).UTC(), Activity: sallyport.RevealActivity, Staff: "s017", Via: "svc_desk", Session: "x9",
		Application: "desk=1|2\\3", Address: "10.4.0.17", Device: "lap-017", Shape: "f3ab", Database: "support", Table: "customers",
		Columns: []string{"email", "a,b%c"}, Bytes: 420, Rows: 3, Subjects: []sallyport.Subject{"48211", "4,8%2C", "x y=z"}, Count: 3,
		Purpose: sallyport.Purpose{Kind: "ticket", Ref: "CS-4821-7730"}, Verdict: "reveal", Statement: 12, Verb: "SELECT",
		Reached: []sallyport.Subject{"5"}, Reach: 2, Probes: 1, Powers: []string{"grant"}, Policy: "desk-1", Trust: 88,
	}
}

// everyEvent is one entry of each kind, with all that a kind may hold.
func everyEvent() []*sallyport.Event {
	column := []sallyport.Column{{Schema: "support", Table: "customers", Name: "email"}}
	who := sallyport.Who{Staff: "s017", Login: "anna", Session: "x9", Application: "desk", Address: "10.4.0.17:50123", Database: "support", Device: "lap-017", Via: "svc_desk"}
	stmt := func() *sallyport.Statement {
		return &sallyport.Statement{ID: 12, Fingerprint: "f3ab", Verb: "SELECT", Columns: column, Purposes: []sallyport.Purpose{{Kind: "ticket", Ref: "4711"}}}
	}
	refused := stmt()
	refused.Refused = "42501"
	var list []*sallyport.Event
	add := func(kind sallyport.EventKind, fill func(*sallyport.Event)) {
		e := &sallyport.Event{Seq: uint64(len(list) + 1), Time: time.UnixMilli(1767600305123).UTC(), Kind: kind, Who: who, Note: "a sentence"}
		if fill != nil {
			fill(e)
		}
		list = append(list, e)
	}
	add(sallyport.SessionStart, nil)
	add(sallyport.StatementKind, func(e *sallyport.Event) { e.Statement = stmt() })
	add(sallyport.RevealKind, func(e *sallyport.Event) {
		e.Reveal = &sallyport.Revealed{Statement: 12, Columns: column, Values: sallyport.ValuesOf(sallyport.RevealedValue{Subject: "48211", Digest: sallyport.Digest{1}})}
	})
	add(sallyport.TouchKind, func(e *sallyport.Event) {
		e.Touch = &sallyport.Touched{Statement: 12, Reached: []sallyport.Subject{"5"}}
	})
	add(sallyport.RefusedKind, func(e *sallyport.Event) { e.Statement = refused })
	add(sallyport.PowerKind, func(e *sallyport.Event) {
		e.Statement, e.Power = stmt(), &sallyport.PowerUse{Kinds: []sallyport.Power{sallyport.PowerGrant}, Refused: true}
	})
	add(sallyport.CopyKind, func(e *sallyport.Event) {
		e.Statement, e.Decision = stmt(), &sallyport.Decision{Action: "copy", Policy: "default"}
	})
	add(sallyport.ObservedKind, func(e *sallyport.Event) {
		e.Touch = &sallyport.Touched{Statement: 12, Reached: []sallyport.Subject{"5"}}
	})
	add(sallyport.ObservedKind, nil)
	add(sallyport.CountersKind, func(e *sallyport.Event) { e.Counters = &sallyport.Counters{Statements: 3, Rows: 5, BytesOut: 99} })
	add(sallyport.ResultKind, func(e *sallyport.Event) {
		e.Who = sallyport.Who{Staff: "s017", Session: "x9"}
		e.Statement = &sallyport.Statement{ID: 12}
		e.Result = &sallyport.Result{Rows: 3, Bytes: 420, Revealed: 1, Trust: 88, Rulings: []sallyport.Ruled{{Column: column[0], Verdict: "reveal", Policy: "desk-1"}}}
	})
	add(sallyport.ShapeKind, func(e *sallyport.Event) {
		e.Statement = &sallyport.Statement{Fingerprint: "f3ab", Shape: "SELECT email FROM customers WHERE id = ?"}
	})
	add(sallyport.ReplicationStart, nil)
	add(sallyport.ReplicationEnd, func(e *sallyport.Event) { e.Counters = &sallyport.Counters{BytesOut: 99} })
	add(sallyport.FactKind, func(e *sallyport.Event) { e.Facts = []sallyport.Fact{{Table: "ticket", ID: "4711", Customer: "48211"}} })
	add(sallyport.BudgetReached, func(e *sallyport.Event) {
		e.Limit = &sallyport.Limit{Measure: "revealed", Window: "hour", Budget: 20, Count: 20}
	})
	add(sallyport.StrayKind, func(e *sallyport.Event) { e.Ties = []sallyport.Tie{{Subject: "5"}} })
	add(sallyport.AroundKind, nil)
	add(sallyport.ActingKind, func(e *sallyport.Event) { e.Asserted = &sallyport.Asserted{Source: "desk"} })
	add(sallyport.EntryRefused, nil)
	add(sallyport.GatewayStarted, nil)
	add(sallyport.GatewayStopped, nil)
	add(sallyport.SessionEnd, func(e *sallyport.Event) { e.Counters = &sallyport.Counters{Statements: 3, Rows: 5, BytesOut: 99} })
	add(sallyport.ImportedKind, func(e *sallyport.Event) {
		a := fullAccess()
		a.UID = "pg:billing:1"
		e.Who, e.Imported = sallyport.Who{}, &sallyport.Imported{Source: "billing", Format: "csvlog", By: "s051", Access: a}
	})
	for _, kind := range controlKinds() {
		add(kind, func(e *sallyport.Event) {
			e.Who = sallyport.Who{Staff: "s050"}
			e.Order = &sallyport.Order{
				ID: "k3x7q2mzpa", Action: "lock", By: "s050", About: "s017", Reason: "he called Ada Example", Password: "argon2id-secret",
				Grant: &sallyport.GrantTerms{For: "s017", Customers: 5}, Diff: "a diff with a secret",
			}
		})
	}
	return list
}

func controlKinds() []sallyport.EventKind {
	return []sallyport.EventKind{
		sallyport.Locked, sallyport.Suspended, sallyport.Proposed, sallyport.Approved, sallyport.Declined, sallyport.Confirmed, sallyport.Trusted, sallyport.Configured,
		sallyport.Protecting, sallyport.Protected, sallyport.LogInOK, sallyport.LogInBad, sallyport.Queried, sallyport.KeysMade, sallyport.KeysSeen, sallyport.Unsealing,
		sallyport.UnsealBad, sallyport.KeyRotated, sallyport.KeyDestroyed, sallyport.Shredding, sallyport.Shredded, sallyport.Recovering, sallyport.Requested,
		sallyport.GrantEnded, sallyport.GlassBroken, sallyport.GlassReviewed, sallyport.KeyTurned, sallyport.CredentialMade, sallyport.CredentialEnded,
		sallyport.PasswordSet, sallyport.LockLeavers, sallyport.Adopted, sallyport.Peopled, sallyport.ImportOrdered, sallyport.RecordRoom, "a_kind_of_later",
	}
}

// required is what OCSF's schema requires of the classes that are written: its repository ocsf/ocsf-schema, events/base_event.json (commit
// 32de09aa), events/application/datastore_activity.json (02e3ade9), application_lifecycle.json (01d6c7cb), api_activity.json (2b1f2dab),
// events/iam/authentication.json and account_change.json (01d6c7cb), authorize_session.json (116a172c), entity_management.json (14103811),
// events/findings/finding.json (05e0f0b9), and the objects that these hold. A name with | is one of its constraints at_least_one.
func required(class float64) []string {
	base := []string{
		"activity_id", "category_uid", "class_uid", "metadata.version", "metadata.product.name", "metadata.product.vendor_name", "severity_id", "time", "type_uid",
	}
	of := map[float64][]string{
		2004: {"finding_info.uid", "finding_info.title"},
		3001: {"user.uid|user.name|user.account"},
		3002: {"user.uid|user.name|user.account", "service.name|dst_endpoint.ip"},
		3003: {"user.uid|user.name|user.account", "privileges|groups|iam_roles"},
		3004: {"entity.uid|entity.name"},
		6002: {"app.name", "app.vendor_name"},
		6003: {"actor.user.uid|actor.session.uid|actor.app_name", "api.operation", "src_endpoint.ip|src_endpoint.uid|src_endpoint.name"},
		6005: {"actor.user.uid|actor.session.uid|actor.app_name", "src_endpoint.ip|src_endpoint.uid|src_endpoint.name", "database|databucket|table", "database.type_id"},
	}
	return append(base, of[class]...)
}

// activities are the activity_ids of each class, of the same source. 0 and 99 are every class's.
func activities(class float64) float64 {
	return map[float64]float64{2004: 3, 3001: 11, 3002: 5, 3003: 3, 3004: 4, 6002: 4, 6003: 4, 6005: 10}[class]
}

func present(object map[string]any, path string) bool {
	for choice := range strings.SplitSeq(path, "|") {
		var at any = object
		for name := range strings.SplitSeq(choice, ".") {
			inner, _ := at.(map[string]any)
			at = inner[name]
		}
		if at != nil && at != "" {
			return true
		}
	}
	return false
}

// TestOCSFRequired holds one entry of each kind to what OCSF's published schema requires of its class.
func TestOCSFRequired(t *testing.T) {
	c := encoder(t, OCSF)
	classes := map[float64]int{}
	for _, e := range everyEvent() {
		messages := c.Append(nil, e)
		if len(messages) == 0 {
			t.Errorf("%s is not written", e.Kind)
		}
		for _, m := range messages {
			var o map[string]any
			if err := json.Unmarshal(m.Body, &o); err != nil {
				t.Fatalf("%s: %v in %s", e.Kind, err, m.Body)
			}
			class, _ := o["class_uid"].(float64)
			classes[class]++
			activity, _ := o["activity_id"].(float64)
			if activity != 99 && (activity < 0 || activity > activities(class)) {
				t.Errorf("%s: class %v has no activity %v", e.Kind, class, activity)
			}
			if activity == 99 && class != 6005 && o["activity_name"] == nil {
				t.Errorf("%s: activity 99 without a name", e.Kind)
			}
			if o["type_uid"] != class*100+activity || o["category_uid"] != float64(int(class)/1000) {
				t.Errorf("%s: type_uid %v, category_uid %v", e.Kind, o["type_uid"], o["category_uid"])
			}
			for _, path := range required(class) {
				if !present(o, path) {
					t.Errorf("%s: class %v without %s: %s", e.Kind, class, path, m.Body)
				}
			}
			if query, ok := o["query_info"].(map[string]any); ok && query["query_string"] == nil {
				t.Errorf("%s: query_info without query_string", e.Kind)
			}
		}
	}
	for _, class := range []float64{2004, 3001, 3002, 3003, 3004, 6002, 6003, 6005} {
		if classes[class] == 0 {
			t.Errorf("no entry becomes class %v", class)
		}
	}
}

// TestNothingBlurts: no format writes reasons in people's words, passwords or differences of files.
func TestNothingBlurts(t *testing.T) {
	for _, format := range []Format{OCSF, CEF, ECS} {
		c := encoder(t, format)
		for _, e := range everyEvent() {
			for _, m := range c.Append(nil, e) {
				for _, secret := range []string{"Ada", "argon2id", "a secret"} {
					if bytes.Contains(m.Body, []byte(secret)) {
						t.Errorf("%s as %s: %s", e.Kind, format, m.Body)
					}
				}
				if bytes.ContainsAny(m.Body, "\n\r") {
					t.Errorf("%s as %s has more than one line", e.Kind, format)
				}
			}
		}
	}
}

// TestAccessRoundTrip: an access that is written as OCSF or CEF and read back is the same one, whatever stands in its texts.
func TestAccessRoundTrip(t *testing.T) {
	read := map[Format]func(*bytes.Reader, func(*sallyport.Access) error, sources.Bad) (int, error){
		OCSF: func(r *bytes.Reader, use func(*sallyport.Access) error, bad sources.Bad) (int, error) {
			return sources.OCSF(r, use, bad)
		},
		CEF: func(r *bytes.Reader, use func(*sallyport.Access) error, bad sources.Bad) (int, error) {
			return sources.CEF(r, use, bad)
		},
	}
	check := func(t interface {
		Helper()
		Errorf(string, ...any)
	}, format Format, c *Encoder, a sallyport.Access,
	) {
		t.Helper()
		var got []sallyport.Access
		_, err := read[format](bytes.NewReader(append(c.Access(&a).Body, '\n')), func(b *sallyport.Access) error {
			got = append(got, *b)
			return nil
		}, func(_ int, what string) error { return fmt.Errorf("%s", what) }) //nolint:err113 // a test
		if err != nil {
			t.Errorf("%s: %v", format, err)
			return
		}
		if diff := diffOf([]sallyport.Access{a}, got); diff != "" {
			t.Errorf("%s: %s\n%s", format, diff, c.Access(&a).Body)
		}
	}
	for format := range read {
		c := encoder(t, format)
		full := fullAccess()
		for v, i := reflect.ValueOf(full), 0; i < v.NumField(); i++ {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Arrived" && name != "Service" && name != "Refused" {
				t.Errorf("%s is empty: the round trip does not test it", name)
			}
		}
		check(t, format, c, full)
		refused := sallyport.Access{UID: "u", Time: full.Time, Activity: 99, Staff: "svc_x", Service: true, Refused: true, Verdict: "deny", Address: "[local]"}
		check(t, format, c, refused)
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.StringMatching(`[ -~äß€]{0,12}`)
			if format == CEF {
				text = rapid.StringMatching(`|[!-~äß€]([ -~äß€]{0,10}[!-~äß€])?`) // CEF cannot tell a space at an end
			}
			a := full
			a.Application, a.Session, a.Device = text.Draw(t, "application"), text.Draw(t, "session"), text.Draw(t, "device")
			a.Policy, a.Table = text.Draw(t, "policy"), text.Draw(t, "table")
			a.Subjects = []sallyport.Subject{sallyport.Subject(rapid.StringMatching(`[!-~äß€]{1,12}`).Draw(t, "subject")), "2"}
			check(t, format, c, a)
		})
	}
}

// TestQuote holds the writer of JSON to the library's reader, for any bytes.
func TestQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		var back string
		if err := json.Unmarshal(quote(nil, text), &back); err != nil {
			t.Fatalf("%q: %v", quote(nil, text), err)
		}
		if back != strings.ToValidUTF8(text, "\ufffd") && back != replaced(text) {
			t.Fatalf("%q became %q", text, back)
		}
	})
}

// replaced has U+FFFD for each byte that is no UTF-8, as the library does it.
func replaced(text string) string {
	var b strings.Builder
	for _, r := range text {
		b.WriteRune(r)
	}
	return b.String()
}

// TestFormatsExample: an object has every field of FORMATS' example, under the same names.
func TestFormatsExample(t *testing.T) {
	var example, got any
	text := `{"class_uid":6005,"activity_id":1,"time":1767600305000,"metadata":{"uid":"e-1"},"actor":{"user":{"uid":"s017","type_id":1},"session":{"uid":"x9"},"app_name":"desk"},"src_endpoint":{"ip":"10.4.0.17","uid":"lap-017"},"query_info":{"uid":"f3ab"},"database":{"name":"support"},"table":{"name":"customers"},"status_id":1,"unmapped":{"sallyport":{"rows":1,"columns":["email","phone"],"subjects":["48211"],"purpose":{"kind":"ticket","ref":"CS-4821-7730"}}}}`
	if err := json.Unmarshal([]byte(text), &example); err != nil {
		t.Fatal(err)
	}
	a := sallyport.Access{
		UID: "e-1", Time: time.UnixMilli(1767600305000), Activity: 1, Staff: "s017", Session: "x9", Application: "desk", Address: "10.4.0.17", Device: "lap-017",
		Shape: "f3ab", Database: "support", Table: "customers", Rows: 1, Columns: []string{"email", "phone"}, Subjects: []sallyport.Subject{"48211"},
		Purpose: sallyport.Purpose{Kind: "ticket", Ref: "CS-4821-7730"},
	}
	if err := json.Unmarshal(encoder(t, OCSF).Access(&a).Body, &got); err != nil {
		t.Fatal(err)
	}
	var missing func(path string, want, have any)
	missing = func(path string, want, have any) {
		fields, ok := want.(map[string]any)
		if !ok {
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("%s: %s", path, diff)
			}
			return
		}
		inner, _ := have.(map[string]any)
		for name, value := range fields {
			missing(path+"."+name, value, inner[name])
		}
	}
	missing("", example, got)
}

func BenchmarkEncode(b *testing.B) {
	a := fullAccess()
	a.Powers, a.Reached = nil, nil
	for _, format := range []Format{OCSF, CEF, ECS} {
		b.Run(string(format), func(b *testing.B) {
			c := encoder(b, format)
			b.ReportAllocs()
			defer cpu(b)()
			for range b.N {
				b.SetBytes(int64(len(c.Access(&a).Body)))
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	a := fullAccess()
	for _, format := range []Format{OCSF, CEF} {
		b.Run(string(format), func(b *testing.B) {
			line := append(encoder(b, format).Access(&a).Body, '\n')
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			defer cpu(b)()
			r := &repeated{line: line, n: b.N}
			n := 0
			use := func(*sallyport.Access) error { n++; return nil }
			bad := func(_ int, what string) error { return fmt.Errorf("%s", what) } //nolint:err113 // a benchmark
			var err error
			if format == OCSF {
				_, err = sources.OCSF(r, use, bad)
			} else {
				_, err = sources.CEF(r, use, bad)
			}
			if err != nil || n != b.N {
				b.Fatalf("%d of %d: %v", n, b.N, err)
			}
		})
	}
}

// repeated is one line, n times.
type repeated struct {
	line []byte
	n    int
	at   int
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.n == 0 {
			return n, io.EOF
		}
		k := copy(p[n:], r.line[r.at:])
		n += k
		if r.at += k; r.at == len(r.line) {
			r.at = 0
			r.n--
		}
	}
	return n, nil
}

// cpu reports the processor's time, which other work on the machine does not lengthen as it does the clock's.
func cpu(b *testing.B) func() {
	b.Helper()
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}
