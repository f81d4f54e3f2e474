package sources

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sallyport"
)

// CEF reads back what Sallyport writes as CEF (package export): accesses, and nothing else of what stands in the file. A header of syslog in
// front of a line is passed over. Other products' CEF is not read, since their keys mean other things.
func CEF(r io.Reader, use func(*sallyport.Access) error, bad Bad) (other int, err error) {
	err = eachLine(r, func(text []byte, n int) error {
		line := strings.TrimRight(string(text), "\r\n")
		at := strings.Index(line, "CEF:")
		if at < 0 {
			return bad(n, "no CEF:")
		}
		header, extension, ok := cefHeader(line[at:])
		if !ok {
			return bad(n, "the header of CEF has 7 fields with | behind each; this one has fewer")
		}
		if header[1] != "Sallyport" {
			return bad(n, "CEF of another product; only Sallyport's own is read")
		}
		if !strings.HasPrefix(header[4], "6005:") {
			other++
			return nil
		}
		a, what := cefAccess(header[4], cefFields(extension))
		if what != "" {
			return bad(n, what)
		}
		return use(a)
	})
	return other, err
}

// cefHeader splits CEF:0|Vendor|Product|Version|ID|Name|Severity|.
func cefHeader(line string) (header [7]string, extension string, ok bool) {
	field, n := strings.Builder{}, 0
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			i++
			field.WriteByte(line[i])
		case c == '|':
			header[n] = field.String()
			field.Reset()
			if n++; n == len(header) {
				return header, line[i+1:], true
			}
		default:
			field.WriteByte(c)
		}
	}
	return header, "", false
}

// cefFields reads key=value pairs. A value goes to the next key; = and \ in it are escaped.
func cefFields(s string) map[string]string {
	fields := map[string]string{}
	key, value := "", strings.Builder{}
	last := 0 // where the last word of value begins
	end := func(upTo string) {
		if key != "" {
			fields[key] = strings.TrimRight(upTo, " ")
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				value.WriteByte('\n')
			case 'r':
				value.WriteByte('\r')
			default:
				value.WriteByte(s[i])
			}
		case c == '=':
			text := value.String()
			end(text[:last])
			key = text[last:]
			value.Reset()
			last = 0
		default:
			value.WriteByte(c)
			if c == ' ' {
				last = value.Len()
			}
		}
	}
	end(value.String())
	return fields
}

// cefAccess puts an access together.
func cefAccess(id string, f map[string]string) (a *sallyport.Access, what string) {
	a = &sallyport.Access{
		UID: f["externalId"], Staff: sallyport.Staff(f["suid"]), Service: f["spriv"] == "service", Via: sallyport.Staff(f["flexString2"]), Session: f["cs1"],
		Application: f["sourceServiceName"], Device: f["flexString1"], Shape: f["cs2"], Database: f["destinationServiceName"], Table: f["fname"],
		Columns: cefList[string](f["cs3"]), Subjects: cefList[sallyport.Subject](f["cs4"]), Refused: f["outcome"] == "failure", Verdict: f["act"],
		Verb: f["requestMethod"], Reached: cefList[sallyport.Subject](f["sallyportReached"]), Powers: cefList[string](f["sallyportPowers"]), Policy: f["cs6"],
	}
	if a.Address = f["src"]; a.Address == "" {
		a.Address = f["shost"]
	}
	if kind, ref, ok := strings.Cut(f["cs5"], ":"); ok {
		a.Purpose = sallyport.Purpose{Kind: kind, Ref: ref}
	}
	_, activity, _ := strings.Cut(id, ":")
	numbers := []struct {
		key string
		in  string
		to  func(int64)
	}{
		{"id", activity, func(n int64) { a.Activity = sallyport.Activity(n) }}, //nolint:gosec // bounded below
		{"rt", f["rt"], func(n int64) { a.Time = time.UnixMilli(n).UTC() }},
		{"cn1", f["cn1"], func(n int64) { a.Rows = n }},
		{"cn2", f["cn2"], func(n int64) { a.Count = n }},
		{"cn3", f["cn3"], func(n int64) { a.Statement = uint64(n) }}, //nolint:gosec // not negative
		{"out", f["out"], func(n int64) { a.Bytes = n }},
		{"sallyportReach", f["sallyportReach"], func(n int64) { a.Reach = n }},
		{"sallyportProbes", f["sallyportProbes"], func(n int64) { a.Probes = n }},
		{"sallyportTrust", f["sallyportTrust"], func(n int64) { a.Trust = int(n) + 1 }},
	}
	for _, one := range numbers {
		if one.in == "" && one.key != "rt" && one.key != "id" {
			continue
		}
		n, err := strconv.ParseInt(one.in, 10, 64)
		if err != nil || n < 0 || one.key == "id" && n > 255 || one.key == "sallyportTrust" && n > 100 {
			return nil, fmt.Sprintf("%s is no number that can stand there", one.key)
		}
		one.to(n)
	}
	if a.Staff == "" {
		return nil, "no suid: nobody did it"
	}
	return a, ""
}

// cefList splits a list whose commas and percent signs within its members are %2C and %25.
func cefList[T ~string](text string) (list []T) {
	if text == "" {
		return nil
	}
	for one := range strings.SplitSeq(text, ",") {
		if plain, err := url.PathUnescape(one); err == nil {
			one = plain
		}
		list = append(list, T(one))
	}
	return list
}
