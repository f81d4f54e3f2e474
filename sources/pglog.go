package sources

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// A logLine is what is read of one line of PostgreSQL's own log, whichever form it has.
type logLine struct {
	line        int // where it begins in its file, from 1
	time        time.Time
	user        string
	database    string
	address     string
	session     string
	number      string // of the line in its session
	severity    string
	state       string
	message     string
	query       string
	application string
}

// Bad is told what is wrong with which line; an error of it ends the reading and is returned as it is. The text holds nothing of the line.
type Bad func(line int, what string) error

// The columns of csvlog, PostgreSQL 9.0 and later (26.8.4 in its documentation); later versions have more behind these.
const (
	csvTime, csvUser, csvDatabase, csvFrom, csvSession, csvNumber, csvSeverity, csvState, csvMessage, csvQuery, csvApplication, csvLeast = 0, 1, 2, 4, 5, 6, 11, 12, 13, 19, 22, 23
)

// mostLog bounds one entry of a log, as a statement in it can be as long as anybody likes.
const mostLog = 8 << 20

// csvLog reads csvlog. A field in quotes may go over lines. An entry that a crash cut off is known by what no quoted field can hold, the
// beginning of the next entry, because quotes in it are doubled; so a statement that looks like a line of the log is never taken for one.
func csvLog(r io.Reader, zone *time.Location, use func(*logLine) error, bad Bad) error {
	lines := lineReader{r: bufio.NewReaderSize(r, 256<<10)}
	var entry []byte
	var fields []string
	begun, open, long := 0, false, false // the line where entry began, within quotes, and too long to be kept
	finish := func() error {
		what := ""
		switch {
		case long:
			what = fmt.Sprintf("the entry has more than %d MiB", mostLog>>20)
		case open:
			what = "the entry ends in the middle of a quoted field: its end is missing"
		default:
			var l logLine
			if fields, what = splitCSV(fields[:0], entry); what == "" {
				what = l.fromCSV(fields, zone)
			}
			if l.line = begun; what == "" {
				return use(&l)
			}
		}
		return bad(begun, what)
	}
	for {
		text, n, err := lines.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(text) == 0 && errors.Is(err, io.EOF) {
			if begun > 0 {
				return finish()
			}
			return nil
		}
		if begun > 0 && beginsEntry(text) { // the one before was cut off
			if err := finish(); err != nil {
				return err
			}
			begun = 0
		}
		if begun == 0 {
			if len(bytes.TrimSpace(text)) == 0 {
				continue
			}
			begun, entry, open, long = n, entry[:0], false, false
		}
		if open = open != (bytes.Count(text, []byte{'"'})%2 == 1); !long {
			entry = append(entry, text...)
		}
		if len(entry) > mostLog {
			long, entry = true, entry[:0]
		}
		if !open {
			if err := finish(); err != nil {
				return err
			}
			begun = 0
		}
	}
}

// beginsEntry says whether a line begins as csvlog writes each: 2026-03-01 09:00:00.123 UTC,"… with one quote, which within a quoted field
// would be two.
func beginsEntry(line []byte) bool {
	const form = "dddd-dd-dd dd:dd:dd.ddd "
	if len(line) < len(form)+4 {
		return false
	}
	for i := range len(form) {
		if form[i] == 'd' && (line[i] < '0' || line[i] > '9') || form[i] != 'd' && line[i] != form[i] {
			return false
		}
	}
	rest := line[len(form):]
	comma := bytes.IndexByte(rest[:min(len(rest), 40)], ',')
	return comma > 0 && len(rest) > comma+2 && rest[comma+1] == '"' && rest[comma+2] != '"' && bytes.IndexByte(rest[:comma], '"') < 0
}

// splitCSV cuts one entry into fields, RFC 4180. It is stricter than it needs to be: PostgreSQL writes nothing else.
func splitCSV(fields []string, entry []byte) (list []string, what string) {
	rest := strings.TrimRight(string(entry), "\r\n")
	for {
		if !strings.HasPrefix(rest, `"`) {
			field, after, more := strings.Cut(rest, ",")
			if strings.Contains(field, `"`) {
				return fields, "a quote stands in the middle of a field"
			}
			if fields = append(fields, field); !more {
				return fields, ""
			}
			rest = after
			continue
		}
		end, doubled := 1, false
		for {
			at := strings.IndexByte(rest[end:], '"')
			if at < 0 {
				return fields, "a quoted field has no end"
			}
			end += at + 1
			if !strings.HasPrefix(rest[end:], `"`) {
				break
			}
			end, doubled = end+1, true
		}
		field := rest[1 : end-1]
		if doubled {
			field = strings.ReplaceAll(field, `""`, `"`)
		}
		fields = append(fields, field)
		switch rest = rest[end:]; {
		case rest == "":
			return fields, ""
		case rest[0] != ',':
			return fields, "something stands between a quoted field and the next comma"
		}
		rest = rest[1:]
	}
}

func (l *logLine) fromCSV(f []string, zone *time.Location) (what string) {
	if len(f) < csvLeast {
		return fmt.Sprintf("%d fields; csvlog has %d or more", len(f), csvLeast)
	}
	at, ok := logTime(f[csvTime], zone)
	if !ok {
		return noTime
	}
	*l = logLine{
		time: at, user: f[csvUser], database: f[csvDatabase], address: withoutLogPort(f[csvFrom]), session: f[csvSession], number: f[csvNumber],
		severity: f[csvSeverity], state: f[csvState], message: f[csvMessage], query: f[csvQuery], application: f[csvApplication],
	}
	return ""
}

const noTime = "no time that can be read: expected one in UTC or with an offset; say --timezone Europe/Berlin where the server writes in another (log_timezone)"

// logTime reads log_time. An abbreviation such as CET says nothing by itself, so it counts only as one of the zone that was given.
func logTime(text string, zone *time.Location) (time.Time, bool) {
	for _, layout := range [...]string{"2006-01-02 15:04:05.999 -07", "2006-01-02 15:04:05.999 -0700", "2006-01-02 15:04:05.999 -07:00"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), true
		}
	}
	if plain, isUTC := strings.CutSuffix(text, " UTC"); isUTC {
		at, err := time.Parse("2006-01-02 15:04:05.999", plain)
		return at, err == nil
	}
	if plain, isGMT := strings.CutSuffix(text, " GMT"); isGMT && zone == nil {
		at, err := time.Parse("2006-01-02 15:04:05.999", plain)
		return at, err == nil
	}
	if zone == nil {
		return time.Time{}, false
	}
	at, err := time.ParseInLocation("2006-01-02 15:04:05.999 MST", text, zone)
	if err != nil || at.Location() != zone {
		return time.Time{}, false
	}
	return at.UTC(), true
}

// withoutLogPort is the host of connection_from, which has host:port without brackets around IPv6.
func withoutLogPort(from string) string {
	if at := strings.LastIndexByte(from, ':'); at > 0 {
		return from[:at]
	}
	return from
}

// jsonLine is what is read of jsonlog, PostgreSQL 15 and later.
type jsonLine struct {
	Timestamp       string      `json:"timestamp"`
	User            string      `json:"user"`
	Database        string      `json:"dbname"`
	RemoteHost      string      `json:"remote_host"`
	SessionID       string      `json:"session_id"`
	LineNumber      json.Number `json:"line_num"`
	ErrorSeverity   string      `json:"error_severity"`
	StateCode       string      `json:"state_code"`
	Message         string      `json:"message"`
	Statement       string      `json:"statement"`
	ApplicationName string      `json:"application_name"`
}

// jsonLog reads jsonlog: one object a line.
func jsonLog(r io.Reader, zone *time.Location, use func(*logLine) error, bad Bad) error {
	return eachLine(r, func(text []byte, n int) error {
		l, what := fromJSON(text, zone)
		if l.line = n; what != "" {
			return bad(n, what)
		}
		return use(&l)
	})
}

// eachLine hands out the lines that hold anything.
func eachLine(r io.Reader, do func(text []byte, n int) error) error {
	lines := lineReader{r: bufio.NewReaderSize(r, 256<<10)}
	for {
		text, n, end := lines.next()
		if len(bytes.TrimSpace(text)) > 0 {
			if err := do(text, n); err != nil {
				return err
			}
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return end
		}
	}
}

func fromJSON(text []byte, zone *time.Location) (l logLine, what string) {
	if len(text) > mostLog {
		return l, fmt.Sprintf("the line has more than %d MiB", mostLog>>20)
	}
	var j jsonLine
	if err := json.Unmarshal(text, &j); err != nil {
		return l, "no JSON object as jsonlog writes it"
	}
	at, ok := logTime(j.Timestamp, zone)
	if !ok {
		return l, noTime
	}
	return logLine{
		time: at, user: j.User, database: j.Database, address: j.RemoteHost, session: j.SessionID, number: j.LineNumber.String(),
		severity: j.ErrorSeverity, state: j.StateCode, message: j.Message, query: j.Statement, application: j.ApplicationName,
	}, ""
}

// lineReader hands out lines with their numbers. What is longer than twice mostLog comes in pieces, which no form takes for an entry.
type lineReader struct {
	r    *bufio.Reader
	n    int
	line []byte
}

// next is the next line with its end, valid until the call after. The last one comes with io.EOF.
func (l *lineReader) next() (line []byte, n int, err error) {
	l.n++
	l.line = l.line[:0]
	for {
		piece, err := l.r.ReadSlice('\n')
		if len(l.line) == 0 && !errors.Is(err, bufio.ErrBufferFull) {
			return piece, l.n, err // the usual case: nothing is copied
		}
		if len(l.line) < 2*mostLog {
			l.line = append(l.line, piece...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return l.line, l.n, err
		}
	}
}
