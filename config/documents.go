package config

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"sallyport/api"
	"sallyport/examples"
	"sallyport/program"
)

// DocumentTexts are the written policies that the configuration names, as Markdown, by the names of their files; where it names none and the program's own
// policies hold, theirs.
func (c *Config) DocumentTexts() (map[string]string, error) {
	if len(c.Console.Documents) == 0 {
		if c.PolicyFolder() != "" {
			return nil, nil
		}
		return map[string]string{examples.AccessPolicyName: string(examples.AccessPolicy)}, nil
	}
	var paths []string
	for _, name := range c.Console.Documents {
		paths = append(paths, c.Path(name))
	}
	return DocumentsAt(paths)
}

// DocumentsAt are written policies as they are sent, by the names of their files.
func DocumentsAt(paths []string) (map[string]string, error) {
	out := map[string]string{}
	for _, path := range paths {
		text, err := ReadSmall(path)
		if err != nil {
			return nil, err
		}
		if _, twice := out[filepath.Base(path)]; twice {
			return nil, Usagef("two documents are called %s: policies could name either", filepath.Base(path))
		}
		out[filepath.Base(path)] = string(text)
	}
	return out, nil
}

// DocumentsOf are those of a question.
func DocumentsOf(q *api.ReportQuestion) (docs []*program.Document, err error) {
	for _, name := range slices.Sorted(maps.Keys(q.Documents)) {
		d, err := program.ReadDocument(name, []byte(q.Documents[name]))
		if err != nil {
			return nil, &UsageError{Err: err}
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// mostDrawFile bounds a file that is read.
const mostDrawFile = 4 << 20

// ReadSmall reads a file that is given on a command line, and refuses one that is none of what is meant by its size.
func ReadSmall(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // whoever runs the command names it
	if err != nil {
		return nil, Usagef("%w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, mostDrawFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case len(b) > mostDrawFile:
		return nil, Usagef("%s is larger than %d bytes", path, mostDrawFile)
	}
	return b, nil
}
