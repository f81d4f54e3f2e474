package scan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"sallyport"
	"sallyport/token"
)

func namedSpecs() []token.Spec {
	column := func(name string, s sallyport.Scheme) token.Spec {
		return token.Spec{Column: sallyport.Column{Schema: "s", Table: "people", Name: name}, Scheme: s}
	}
	phone := column("phone", sallyport.Phone)
	phone.Region = "DE"
	return []token.Spec{column("account", sallyport.Int8), column("tax", sallyport.Int4), column("device_id", sallyport.UUID), column("full_name", sallyport.Name), column("birth_date", sallyport.Date), phone, column("email", sallyport.Email)}
}

// found lists what a text holds, read in pieces of the size given.
func found(t testing.TB, text string, one bool) (list []string) {
	t.Helper()
	s, err := New(Options{Ring: testRing(t, 1), Columns: namedSpecs()})
	if err != nil {
		t.Fatal(err)
	}
	reader := strings.NewReader(text)
	add := func(f Finding) error {
		list = append(list, fmt.Sprintf("%d:%d+%d %s %s %v", f.Line, f.Column, f.Length, f.Kind, f.What, f.Named))
		return nil
	}
	if one {
		err = s.Scan(iotest.OneByteReader(reader), add)
	} else {
		err = s.Scan(reader, add)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestFields finds what has no form by the names of fields: in CSV, in what pg_dump writes, in JSON and in logs; in the order in which it stands there, however
// the stream is cut.
func TestFields(t *testing.T) {
	const device = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"CSV": {
			"id,Full Name,account,phone,note\r\n1,Jane Roe,-6917096858966000152,030 1234567,hello\r\n2,\"Roe, \"\"J\"\"\",12345,,x@example.org\r\n3,,12,+442071838750,\r\n",
			[]string{"2:3+8 plain name true", "2:12+20 token int8 true", "2:33+11 plain phone true", "3:4+10 plain name true", "3:16+5 token int8 true", "3:23+13 plain email false", "4:7+13 plain phone false"},
		},
		"semicolons, no line end": {"device_id;x\n" + device + ";1\n;2\n" + device + ";3", []string{"2:1+36 token uuid true", "4:1+36 token uuid true"}},
		"pg_dump": {
			"COPY s.people (id, account, tax, device_id) FROM stdin;\n1\t775875137\t\\N\t" + device + "\n\\.\n\nCOPY s.orders (id, account, tax) FROM stdin;\n1\t775875137\t775875137\n\\.\n",
			[]string{"2:3+9 token int8 true", "2:16+36 token uuid true"},
		},
		"JSON": {
			`{"id": 5, "account": 775875137, "tax":-12345, "device_id": "` + device + `", "full_name":"Jane Roe","birth_date":"1980-02-29"}`,
			[]string{"1:22+9 token int8 true", "1:39+6 token int4 true", "1:61+36 token uuid true", "1:113+8 plain name true", "1:137+10 plain date true"},
		},
		"a log":             {"2026-01-01 INFO seen device_id=" + device + " rows=12345\n", []string{"1:32+36 token uuid true"}},
		"usual names alone": {"id,account,sum\n1,775875137,5\n", nil},
		"and in a log":      {"account=775875137 ok, phone: 030 1234567\n", []string{"1:9+9 token int8 true"}},
		"other tables":      {"order,amount,tax\n1,775875137,775875137\n", nil},
		"prose":             {"The account 775875137 of device_id " + device + " was closed, birth_date unknown.\n", nil},
		"not of the form":   {"full_name,birth_date,device_id\nA1 2,yesterday,12345\nNULL,2300-01-01,x\n", nil},
	} {
		for _, one := range []bool{false, true} {
			if got := found(t, c.text, one); !slices.Equal(got, c.want) {
				t.Errorf("%s, byte by byte %v:\n got %q\nwant %q", name, one, got, c.want)
			}
		}
	}
}

// TestFieldsFalse counts false alarms in made-up files of other kinds, and what is found in a leak of the table itself.
func TestFieldsFalse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var other, leak strings.Builder
	values := 0
	for i := range 20_000 {
		switch i % 5 {
		case 0:
			fmt.Fprintf(&other, "2026-01-%02d 10:11:12 worker[%d]: order=%d amount=%d.%02d tax=%d took %dms\n", 1+i%28, r.IntN(40000), r.IntN(1e9), r.IntN(1000), r.IntN(100), r.IntN(1e6), r.IntN(900))
		case 1:
			fmt.Fprintf(&other, `{"ts":%d,"trace":"%08x-%04x-4%03x-8%03x-%012x","user":%d,"path":"/v1/orders/%d","phone_home":false}`+"\n", r.Int64(), r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Int64N(1<<48), r.IntN(1e9), r.IntN(1e9))
		case 2:
			fmt.Fprintf(&other, "%d,%d,Widget %d,%d.%02d,030 %d\n", i, r.Int64(), r.IntN(100), r.IntN(1000), r.IntN(100), 1_000_000+r.IntN(9_000_000))
		case 3:
			fmt.Fprintf(&other, "INSERT INTO orders (id, account, tax) VALUES (%d, %d, %d);\n", i, r.Int64(), r.IntN(1e6))
		default:
			fmt.Fprintf(&other, "commit %016x%016x author dev %d files changed, account: closed\n", r.Uint64(), r.Uint64(), r.IntN(99))
		}
		values += 4
	}
	leak.WriteString("id,full_name,account,phone\n")
	for i := range 5_000 {
		fmt.Fprintf(&leak, "%d,Jane Roe,%d,030 %d\n", i, int64(r.Uint64()), 1_000_000+r.IntN(9_000_000)) //nolint:gosec // any number
	}
	all, hits := found(t, other.String(), false), found(t, leak.String(), false)
	alarms := slices.DeleteFunc(slices.Clone(all), func(f string) bool { return strings.HasSuffix(f, " false") })
	t.Logf("%d alarms by names of fields, and %d by form, in 20,000 lines with some %d numbers that are none of ours; %d of 15,000 found in a leak", len(alarms), len(all)-len(alarms), values, len(hits))
	if len(alarms) > 20 || len(hits) < 14_000 {
		t.Errorf("alarms %.3q, %d found", alarms[:min(3, len(alarms))], len(hits))
	}
}
