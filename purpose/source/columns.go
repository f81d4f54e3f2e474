package source

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/purpose"
)

// Columns are the names by which SQL and CSV say what a thing is.
func Columns() []string {
	return []string{"id", "number", "customer", "assignee", "state", "opened_by", "assigned_by", "reopened_by", "contacted_at", "begins_at", "ends_at"}
}

// Required are the columns without which no thing of a kind could ever be a reason, or one would be on less than its source knows.
func Required(kind string) []string {
	switch kind {
	case "call":
		return []string{"id", "customer", "assignee", "state", "opened_by", "begins_at", "ends_at"}
	case "job":
		return []string{"id", "assignee", "state", "opened_by", "assigned_by", "begins_at", "ends_at"}
	}
	return []string{"id", "customer", "assignee", "state", "opened_by", "assigned_by", "reopened_by", "contacted_at", "begins_at"}
}

// checkColumns says what is wrong with the columns of an answer.
func checkColumns(have, kinds []string, where string) error {
	known := Columns()
	for i, name := range have {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s has a column %q, which says nothing here; expected some of %s", where, name, strings.Join(known, ", "))
		}
		if slices.Contains(have[:i], name) {
			return fmt.Errorf("%s has the column %s twice", where, name)
		}
	}
	for _, kind := range kinds {
		var missing []string
		for _, name := range Required(kind) {
			if !slices.Contains(have, name) {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("%s lacks %s, which a %s needs", where, strings.Join(missing, ", "), kind)
		}
	}
	return nil
}

// thingOf makes a thing of texts by their columns. Of a customer column with spaces each word is one.
func thingOf(columns, texts []string) (t purpose.Thing, err error) {
	for i, name := range columns {
		text := texts[i]
		switch name {
		case "id":
			t.ID = text
		case "number":
			t.Number = text
		case "customer":
			for customer := range strings.FieldsSeq(text) {
				t.Customers = append(t.Customers, sallyport.Subject(customer))
			}
		case "assignee":
			t.Assignee = text
		case "state":
			t.State = text
		case "opened_by":
			t.OpenedBy = text
		case "assigned_by":
			t.AssignedBy = text
		case "reopened_by":
			t.ReopenedBy = text
		case "contacted_at":
			t.Contacted, err = readTime(text)
		case "begins_at":
			t.From, err = readTime(text)
		case "ends_at":
			t.Until, err = readTime(text)
		}
		if err != nil {
			return t, fmt.Errorf("read the column %s: %w", name, err)
		}
	}
	if t.ID == "" {
		return t, errors.New("a thing without an id")
	}
	return t, nil
}

// readTime reads a time as RFC 3339 or as PostgreSQL prints it; without a zone it is UTC.
func readTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999Z07", "2006-01-02 15:04:05.999999Z07:00", "2006-01-02 15:04:05.999999", "2006-01-02"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, errors.New("no time; expected one such as 2026-03-01T12:00:00Z")
}
