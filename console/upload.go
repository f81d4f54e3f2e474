package console

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
)

// reportsIn are the reports that were typed or pasted, and those of a file (trace's: CSV with a row of names, or lines as they are typed).
func (v *visit) reportsIn() ([]api.Report, error) {
	if err := v.r.ParseMultipartForm(mostUpload); err != nil && !errors.Is(err, http.ErrNotMultipart) { //nolint:gosec // the body is bounded
		return nil, badForm(err)
	}
	list, err := typedReports(v.r.PostFormValue("reports"), v.form("channel"))
	if err != nil {
		return nil, err
	}
	text, err := v.uploaded("file")
	if err != nil || len(text) == 0 {
		return list, err
	}
	more, err := filedReports(text, v.form("channel"))
	return append(list, more...), err
}

// uploaded is what a file of the form holds; nothing where there is none.
func (v *visit) uploaded(name string) ([]byte, error) {
	file, _, err := v.r.FormFile(name)
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return nil, nil
	}
	if err != nil {
		return nil, badForm(err)
	}
	defer file.Close()
	return io.ReadAll(file) // the request's bound is the file's
}

func badLine(n int, why error) error {
	return &api.Problem{Status: http.StatusBadRequest, Code: "bad_report", Sentence: fmt.Sprintf("Line %d is no report: %v.", n, why), Hint: "Write CUSTOMER, then what the caller knew (ticket+name), then when (2026-03-02T10:30:00Z); the last two may be left out. A file may have a row of names instead: time, customer, channel, quoted. Nothing was taken."}
}

// typedReports are lines of CUSTOMER[,WHAT THE CALLER KNEW[,WHEN]].
func typedReports(text, channel string) (list []api.Report, err error) {
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r, err := reportOf(line)
		if err != nil {
			return nil, badLine(n+1, err)
		}
		r.Channel = channel
		list = append(list, r)
	}
	return list, nil
}

func reportOf(line string) (r api.Report, err error) {
	fields := strings.SplitN(line, ",", 3)
	r.Customer = sallyport.Subject(strings.TrimSpace(fields[0]))
	if len(fields) > 1 {
		r.Quoted = quotedOf(fields[1])
	}
	if len(fields) > 2 {
		r.Time, err = timeOf(fields[2])
	}
	return r, err
}

func quotedOf(text string) []string {
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	return strings.Split(text, "+")
}

func timeOf(text string) (at time.Time, err error) {
	if text = strings.TrimSpace(text); text == "" {
		return at, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err != nil {
		return at, errors.New("what should say when is no time")
	}
	return at, nil
}

// filedReports are those of a file. Whether one is confirmed is for who asks the customer here.
func filedReports(text []byte, channel string) (list []api.Report, err error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	head, _, _ := bytes.Cut(text, []byte("\n"))
	names := strings.Split(strings.ToLower(strings.TrimSpace(string(head))), ",")
	if !slices.Contains(names, "customer") {
		return typedReports(string(text), channel)
	}
	in := csv.NewReader(bytes.NewReader(text))
	in.Comment = '#'
	for first := true; ; first = false {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		line, _ := in.FieldPos(0)
		if err != nil {
			return nil, badLine(line, errors.New("it does not have the fields of the first line"))
		}
		if first {
			continue
		}
		r, err := reportOfRow(names, row)
		if err != nil {
			return nil, badLine(line, err)
		}
		if r.Channel == "" {
			r.Channel = channel
		}
		list = append(list, r)
	}
}

func reportOfRow(names, row []string) (r api.Report, err error) {
	for i, name := range names {
		switch name {
		case "customer":
			r.Customer = sallyport.Subject(strings.TrimSpace(row[i]))
		case "quoted":
			r.Quoted = quotedOf(row[i])
		case "channel":
			r.Channel = row[i]
		case "time":
			if r.Time, err = timeOf(row[i]); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}
