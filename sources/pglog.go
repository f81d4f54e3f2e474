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
	c := csvEntries{zone: zone, use: use, bad: bad}
	lines := lineReader{r: bufio.NewReaderSize(r, 256<<10)}
	for {
		text, n, end := lines.next()
		for len(text) > 0 {
			next := len(text)
			if at := entryWithin(text); at > 0 {
				next = at
			}
			if err := c.feed(text[:next], n); err != nil {
				return err
			}
			text = text[next:]
		}
		switch {
		case errors.Is(end, io.EOF):
			return c.finish()
		case end != nil:
			return end
		}
	}
}

// csvEntries puts entries together.
type csvEntries struct {
	zone *time.Location
	use  func(*logLine) error
	bad  Bad

	entry  []byte
	fields []string
	begun  int  // the line where entry began; 0: there is none
	open   bool // within quotes
	long   bool // it is too long to be kept
}

// feed adds a line, or the part of one up to where an entry begins in it.
func (c *csvEntries) feed(text []byte, n int) error {
	if c.begun > 0 && beginsEntry(text) { // the one before was cut off
		if err := c.finish(); err != nil {
			return err
		}
	}
	if c.begun == 0 {
		if len(bytes.TrimSpace(text)) == 0 {
			return nil
		}
		c.begun, c.entry, c.open, c.long = n, c.entry[:0], false, false
	}
	if c.open = c.open != (bytes.Count(text, []byte{'"'})%2 == 1); !c.long {
		c.entry = append(c.entry, text...)
	}
	if len(c.entry) > mostLog {
		c.long, c.entry = true, c.entry[:0]
	}
	if c.open {
		return nil
	}
	return c.finish()
}

// finish reads the entry, if there is one.
func (c *csvEntries) finish() error {
	if c.begun == 0 {
		return nil
	}
	begun, what := c.begun, ""
	c.begun = 0
	switch {
	case c.long:
		return c.bad(begun, fmt.Sprintf("the entry has more than %d MiB", mostLog>>20))
	case c.open:
		return c.bad(begun, "the entry ends in the middle of a quoted field: its end is missing")
	}
	if c.fields, what = splitCSV(c.fields[:0], c.entry); what != "" {
		return c.bad(begun, what)
	}
	var l logLine
	if what = l.fromCSV(c.fields, c.zone); what != "" {
		return c.bad(begun, what)
	}
	l.line = begun
	return c.use(&l)
}

// entryForm is how csvlog begins each entry, d for a digit: 2026-03-01 09:00:00.123 UTC,"anna"… The quote behind the zone is one alone,
// and within a quoted field it would be two.
const entryForm = "dddd-dd-dd dd:dd:dd.ddd "

// beginsEntry says whether a text begins as an entry does.
func beginsEntry(text []byte) bool {
	if len(text) < len(entryForm)+4 {
		return false
	}
	for i := range len(entryForm) {
		if entryForm[i] == 'd' && (text[i] < '0' || text[i] > '9') || entryForm[i] != 'd' && text[i] != entryForm[i] {
			return false
		}
	}
	rest := text[len(entryForm):]
	comma := bytes.IndexByte(rest[:min(len(rest), longestZone)], ',')
	return comma > 0 && len(rest) > comma+2 && rest[comma+1] == '"' && rest[comma+2] != '"' && bytes.IndexByte(rest[:comma], '"') < 0
}

// longestZone bounds the name of a time zone with its comma.
const longestZone = 40

// entryWithin is where in a line, behind its beginning, an entry begins: a server that was started again wrote on behind what a crash had left.
// 0: nowhere.
func entryWithin(line []byte) int {
	for from := 0; ; {
		at := bytes.Index(line[from:], []byte(`,"`))
		if at < 0 {
			return 0
		}
		at += from
		space := bytes.LastIndexByte(line[max(0, at-longestZone):at], ' ')
		if space >= 0 {
			start := max(0, at-longestZone) + space + 1 - len(entryForm)
			if start > 0 && beginsEntry(line[start:]) {
				return start
			}
		}
		from = at + 2
	}
}

// splitCSV cuts one entry into fields, RFC 4180. It is stricter than it needs to be: PostgreSQL writes nothing else.
func splitCSV(fields []string, entry []byte) (list []string, what string) {
	rest := strings.TrimRight(string(entry), "\r\n")
	for {
		var field string
		more := false
		if strings.HasPrefix(rest, `"`) {
			if field, rest, what = quotedField(rest); what != "" {
				return fields, what
			}
			rest, more = strings.CutPrefix(rest, ",")
		} else if field, rest, more = strings.Cut(rest, ","); strings.Contains(field, `"`) {
			return fields, "a quote stands in the middle of a field"
		}
		if fields = append(fields, field); !more {
			return fields, ""
		}
	}
}

// quotedField is the field in quotes that a text begins with, and what stands behind it: nothing, or a comma.
func quotedField(text string) (field, rest, what string) {
	end, doubled := 1, false
	for {
		at := strings.IndexByte(text[end:], '"')
		if at < 0 {
			return "", "", "a quoted field has no end"
		}
		if end += at + 1; !strings.HasPrefix(text[end:], `"`) {
			break
		}
		end, doubled = end+1, true
	}
	if field, rest = text[1:end-1], text[end:]; doubled {
		field = strings.ReplaceAll(field, `""`, `"`)
	}
	if rest != "" && rest[0] != ',' {
		return "", "", "something stands between a quoted field and the next comma"
	}
	return field, rest, ""
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
