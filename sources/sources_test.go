package sources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"sallyport"
)

const event = `{"class_uid":6005,"activity_id":1,"time":1767600305000,"metadata":{"uid":"e-1","version":"1.4.0"},"actor":{"user":{"uid":"s017","type_id":1},"session":{"uid":"x9"},"app_name":"desk"},"src_endpoint":{"ip":"10.4.0.17","uid":"lap-017"},"query_info":{"uid":"f3ab","bytes":120},"database":{"name":"support"},"table":{"name":"customers"},"status_id":1,"unmapped":{"other":[1,{"a":null}],"sallyport":{"rows":1,"columns":["email","phone"],"subjects":["48211",7],"subject_count":2,"purpose":{"kind":"ticket","ref":"CS-4821-7730"},"verdict":"reveal"}}}`

func decoded() sallyport.Access {
	return sallyport.Access{
		UID: "e-1", Time: time.UnixMilli(1767600305000).UTC(), Activity: sallyport.ReadActivity, Staff: "s017", Session: "x9", Application: "desk", Address: "10.4.0.17",
		Device: "lap-017", Shape: "f3ab", Bytes: 120, Database: "support", Table: "customers", Rows: 1, Columns: []string{"email", "phone"},
		Subjects: []sallyport.Subject{"48211", "7"}, Count: 2, Purpose: sallyport.Purpose{Kind: "ticket", Ref: "CS-4821-7730"}, Verdict: "reveal",
	}
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problems is a reader that keeps what it is told.
func problems(list *[]string) *Reader {
	return &Reader{Report: func(p *Problem) { *list = append(*list, fmt.Sprintf("%d: %s", p.Line, p.What)) }}
}

func drain(t testing.TB, l *Timeline) (list []sallyport.Input) {
	t.Helper()
	for {
		in, err := l.Next()
		if errors.Is(err, io.EOF) {
			l.Close()
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		kept := *in
		if in.Access != nil {
			a := *in.Access
			a.Subjects = append([]sallyport.Subject(nil), a.Subjects...)
			a.Columns = append([]string(nil), a.Columns...)
			kept.Access = &a
		}
		list = append(list, kept)
	}
}

func TestAccess(t *testing.T) {
	text := event + "\r\n\n" + strings.Replace(event, "e-1", "e-2", 1)
	packed := map[string]string{"plain.jsonl": "\xef\xbb\xbf" + text}
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	_, _ = g.Write([]byte(text))
	_ = g.Close()
	packed["a.jsonl.gz"] = b.String()
	b = bytes.Buffer{}
	z, _ := zstd.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	packed["a.jsonl.zst"] = b.String()
	for name, content := range packed {
		var bad []string
		line, err := problems(&bad).Open(Files{Events: []string{write(t, name, content)}})
		if err != nil {
			t.Fatal(err)
		}
		got := drain(t, line)
		if len(got) != 2 || len(bad) != 0 {
			t.Fatalf("%s: %d events, problems %q", name, len(got), bad)
		}
		if diff := cmp.Diff(decoded(), *got[0].Access); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	r := &Reader{Stdin: strings.NewReader(text)}
	line, err := r.Open(Files{Events: []string{"-"}})
	if err != nil || len(drain(t, line)) != 2 {
		t.Error("standard input", err)
	}
}

func TestAccessProblems(t *testing.T) {
	with := func(old, by string) string { return strings.Replace(event, old, by, 1) }
	for _, c := range []struct{ line, want string }{
		{event, ""},
		{with(`"class_uid":6005`, `"class_uid":3002`), "class_uid 3002, expected 6005"},
		{with(`"class_uid":6005,`, ``), "no class_uid"},
		{with(`"activity_id":1,`, ``), "no activity_id"},
		{with(`"activity_id":1`, `"activity_id":99`), ""},
		{with(`"activity_id":1`, `"activity_id":"x"`), "activity_id is not a whole number"},
		{with(`"activity_id":1`, `"activity_id":-4`), "an activity_id that OCSF does not know"},
		{with(`"time":1767600305000,`, ``), "no time"},
		{with(`1767600305000`, `"2026-01-05T09:05:05+01:00"`), ""},
		{with(`1767600305000`, `1767600305000.25`), ""},
		{with(`1767600305000`, `"yesterday"`), "time is neither milliseconds since 1970 nor RFC 3339"},
		{with(`"uid":"s017",`, ``), "no actor.user.uid"},
		{event[:100], "a string without an end"},
		{event + "x", "something follows the JSON object"},
		{"[1]", "expected a JSON object"},
		{with(`"rows":1`, `"rows":01`), "expected a comma or the end of an object"},
		{with(`"rows":1`, `"rows":{}`), "expected a text, not an object or a list"},
		{strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), "it is nested too deeply"},
		{with(`"desk"`, `"d\u0065sk"`), ""},
		{with(`"desk"`, `"d\xesk"`), "a string with a wrong escape"},
		{"not json with a secret", "expected a JSON object"},
	} {
		var a sallyport.Access
		what, ok := newOCSF().access([]byte(c.line), &a)
		if what != c.want || ok != (c.want == "") {
			t.Errorf("%.60s…: %q, want %q", c.line, what, c.want)
		}
		if ok && a.Application != "desk" {
			t.Errorf("%.60s…: application %q", c.line, a.Application)
		}
	}
}

// A bad line is told with its number, and the rest is read; strict ends there.
func TestProblemsAreCounted(t *testing.T) {
	file := write(t, "e.jsonl", "{}\n"+event+"\nnonsense\n"+`{"class_uid":2004,"activity_id":1}`+"\n") // of another class nothing is wrong
	var bad []string
	r := problems(&bad)
	line, err := r.Open(Files{Events: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	if got := drain(t, line); len(got) != 1 || r.Bad != 2 || r.Other != 1 {
		t.Errorf("%d events, %d problems, %d of other classes", len(got), r.Bad, r.Other)
	}
	if diff := cmp.Diff([]string{"1: no class_uid", "3: expected a JSON object"}, bad); diff != "" {
		t.Error(diff)
	}
	strict := &Reader{Strict: true}
	line, err = strict.Open(Files{Events: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = line.Next()
	var p *Problem
	if !errors.As(err, &p) || p.Error() != file+":1: no class_uid" {
		t.Errorf("strict: %v", err)
	}
}

// Events that come late are put in their place within the horizon, duplicates are passed over, and facts come before accesses.
func TestOrder(t *testing.T) {
	at := func(id string, minute int) string {
		s := strings.Replace(event, "e-1", id, 1)
		return strings.Replace(s, "1767600305000", fmt.Sprint(1767600000000+int64(minute)*60_000), 1) + "\n"
	}
	events := write(t, "e.jsonl", at("a", 0)+at("c", 5)+at("b", 2)+at("c", 5)+at("d", 5)+at("late", -60)+at("e", 30)+at("lost", 1))
	other := write(t, "o.jsonl", at("o", 3))
	tickets := write(t, "t.csv", "id,customer,opened_at,closed_at,assignee,more\nT1,48211,2026-01-05T08:02:00Z,2026-01-05T08:03:00Z,s017,x\n")
	var bad []string
	line, err := problems(&bad).Open(Files{Events: []string{events, other}, Tickets: []string{tickets}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, in := range drain(t, line) {
		switch {
		case in.Access != nil:
			got = append(got, in.Access.UID)
		case in.Ticket != nil:
			if !in.Ticket.Closed.IsZero() || in.Ticket.Assignee != "s017" {
				t.Errorf("%+v", in.Ticket)
			}
			got = append(got, "opened")
		case in.TicketEvent != nil:
			got = append(got, in.TicketEvent.Type)
		}
	}
	if diff := cmp.Diff("late a opened b closed o c d lost e", strings.Join(got, " ")); diff != "" || len(bad) != 0 {
		t.Error(diff, bad)
	}
	if line.Duplicate != 1 {
		t.Errorf("%d duplicates", line.Duplicate)
	}
}

func TestContext(t *testing.T) {
	var bad []string
	r := problems(&bad)
	staff, err := r.Staff(write(t, "s.csv", "id,name,team,role,shift,timezone,notice_from,kind,unknown\ns1,\"Ann, B\",eu,agent,08:00-16:30,Europe/Berlin,2026-03-01,human,1\n,x,,,,,,,\ns2,Bot,,,,,,service,\ns3,C,,,25,Mars/Up,,robot\n"))
	if err != nil || len(staff) != 2 || staff[0].Name != "Ann, B" || staff[0].Shift != [2]int{480, 990} || staff[0].Zone.String() != "Europe/Berlin" || !staff[1].Service {
		t.Errorf("%+v %v", staff, err)
	}
	more, err := r.Staff(write(t, "s.jsonl", `{"id":"s1","name":"Ann","shift":"22:00-06:00","x":{"y":[1,2]}}`+"\n"))
	if err != nil || len(more) != 1 || more[0].Shift != [2]int{1320, 360} {
		t.Errorf("%+v %v", more, err)
	}
	logins, err := r.LogIns(write(t, "l.jsonl", `{"class_uid":3002,"activity_id":1,"time":1767600305000,"status_id":2,"user":{"uid":"s1"},"src_endpoint":{"ip":"1.2.3.4","location":{"country":"DE"}},"is_mfa":true}`+"\n"))
	want := []sallyport.LogIn{{Time: time.UnixMilli(1767600305000).UTC(), Staff: "s1", Failed: true, Address: "1.2.3.4", Country: "DE", Factors: true}}
	if diff := cmp.Diff(want, logins); diff != "" || err != nil {
		t.Error(diff, err)
	}
	plain, err := r.LogIns(write(t, "l.csv", "time,staff,result,ip\n1767600305000,s1,success,1.2.3.4\n2026-01-05T08:05:05Z,s1,maybe,\n"))
	if err != nil || len(plain) != 1 || plain[0].Failed {
		t.Errorf("%+v %v", plain, err)
	}
	alerts, err := r.Alerts(write(t, "a.jsonl", `{"class_uid":2004,"time":1767600305000,"severity_id":6,"finding_info":{"title":"upload"},"actor":{"user":{"uid":"s1"}},"metadata":{"product":{"name":"DLP"}}}`+"\n"))
	if err != nil || len(alerts) != 1 || alerts[0].Severity != 5 || alerts[0].Source != "dlp" || alerts[0].Title != "upload" {
		t.Errorf("%+v %v", alerts, err)
	}
	reports, err := r.Reports(write(t, "r.csv", "time,customer,quoted,confirmed\n2026-01-05T08:05:05Z,7,ticket+Email,no\n2026-01-05T08:05:05Z,8,,\n"))
	if err != nil || len(reports) != 2 || !reports[0].Unconfirmed || reports[1].Unconfirmed || len(reports[0].Quoted) != 2 || reports[0].Quoted[1] != "email" {
		t.Errorf("%+v %v", reports, err)
	}
	jobs, err := r.Jobs(write(t, "j.csv", "id,from,to,staff,max_subjects\nJ1,2026-01-05T08:00:00Z,2026-01-05T09:00:00Z,s1,500\nJ2,x,,\n"))
	if err != nil || len(jobs) != 1 || jobs[0].Most != 500 {
		t.Errorf("%+v %v", jobs, err)
	}
	if _, err := r.HR(write(t, "h.csv", "time,staff\n")); err != nil {
		t.Error(err)
	}
	if _, err := r.Contacts(write(t, "c.csv", "time,customer,channel,direction\n2026-01-05T08:00:00Z,7,fax,in\n2026-01-05T08:00:00Z,7,call,sideways\n")); err != nil {
		t.Error(err)
	}
	if _, err := r.TicketEvents(write(t, "te.csv", "ticket,time,type\nT1,2026-01-05 08:00:00,assigned\n")); err != nil {
		t.Error(err)
	}
	wanted := []string{
		"3: no id", "5: shift is not two times of the day; expected 08:00-16:00", "3: result is none of success, failure",
		"3: from is no time; expected RFC 3339 with an offset, as 2026-03-02T09:30:00+01:00, or milliseconds since 1970",
		"1: no column type in the header; the file is not read", "2: channel is none of call, email, chat", "3: direction is none of in, out",
		"2: time is no time; expected RFC 3339 with an offset, as 2026-03-02T09:30:00+01:00, or milliseconds since 1970",
	}
	if diff := cmp.Diff(wanted, bad); diff != "" {
		t.Error(diff)
	}
}

// Literals never become part of a fingerprint.
func TestShape(t *testing.T) {
	same := []string{"SELECT * FROM c WHERE id = 5 AND n = 'O''Hara'", "select *  from c where id = 77 and n = 'x'"}
	if a, b := shape([]byte(same[0])), shape([]byte(same[1])); !bytes.Equal(a, b) {
		t.Errorf("%s %s", a, b)
	}
	if a, b := shape([]byte(same[0])), shape([]byte("select id from c where id = 77 and n = 'x'")); bytes.Equal(a, b) {
		t.Error("different statements look the same")
	}
	if !bytes.Equal(shape([]byte("select c1 from t2")), shape([]byte("select c1 from t2"))) || bytes.Equal(shape([]byte("select c1 from t2")), shape([]byte("select c2 from t2"))) {
		t.Error("numbers of names are no literals")
	}
}

func TestFileThatBreaksOff(t *testing.T) {
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	for range 10_000 {
		_, _ = fmt.Fprintln(g, strings.Replace(event, "e-1", fmt.Sprint(rand.Uint64()), 1))
	}
	_ = g.Close()
	var bad []string
	line, err := problems(&bad).Open(Files{Events: []string{write(t, "e.gz", b.String()[:b.Len()/2])}})
	if err != nil {
		t.Fatal(err)
	}
	if got := drain(t, line); len(got) < 1000 || len(bad) != 1 || !strings.Contains(bad[0], "breaks off") {
		t.Errorf("%d events, %q", len(got), bad)
	}
}

func FuzzAccess(f *testing.F) {
	f.Add([]byte(event))
	f.Add([]byte(`{"class_uid":6005,"time":"x","actor":{"user":null}}`))
	f.Add([]byte(`{"a":"\u`))
	f.Fuzz(func(t *testing.T, line []byte) {
		d := newOCSF()
		var a, again sallyport.Access
		what, ok := d.access(line, &a)
		if ok == (what != "") {
			t.Fatalf("ok %v and %q", ok, what)
		}
		if what2, ok2 := d.access(line, &again); ok2 != ok || what2 != what || !cmp.Equal(a, again) {
			t.Fatal("the same line is not the same event")
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add("id,name\n1,\"x\n")
	f.Add(`{"id":"1","name":"n"}`)
	f.Fuzz(func(t *testing.T, text string) {
		r := &Reader{}
		_ = r.rows(write(t, "x", text), []string{"id"}, func(w *row) { w.need("id"); w.when("hired"); w.shift("shift"); w.whole("n") })
	})
}

func BenchmarkAccess(b *testing.B) {
	d := newOCSF()
	var a sallyport.Access
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		if what, ok := d.access([]byte(event), &a); !ok {
			b.Fatal(what)
		}
	}
}
