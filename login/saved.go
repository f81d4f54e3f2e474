package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sallyport"
)

// Saved is what 'sallyport login' leaves for the other commands, in a file that only its owner may read.
type Saved struct {
	Staff      sallyport.Staff `json:"staff"`
	Credential string          `json:"credential"`
	Until      time.Time       `json:"until"`
	Logins     []string        `json:"logins,omitempty"` // database roles
	Server     string          `json:"server,omitempty"` // https://HOST:PORT, where it was made; else
	CA         string          `json:"ca,omitempty"`     // who signs its certificate
	Socket     string          `json:"socket,omitempty"` // the control socket on this machine
}

// SavedVariable is the variable of the environment that may name another file for it.
const SavedVariable = "SALLYPORT_LOGIN"

// ErrNowhere says that the environment names no folder to keep a log-in in.
var ErrNowhere = errors.New("nowhere to keep the log-in")

// SavedPath is the file, by the XDG Base Directory Specification.
func SavedPath(getenv func(string) string) (string, error) {
	if getenv == nil {
		return "", fmt.Errorf("%w: there is no environment", ErrNowhere)
	}
	if path := getenv(SavedVariable); path != "" {
		return path, nil
	}
	folder := getenv("XDG_CONFIG_HOME")
	if folder == "" {
		home := getenv("HOME")
		if home == "" {
			return "", fmt.Errorf("%w; expected HOME, XDG_CONFIG_HOME or %s in the environment", ErrNowhere, SavedVariable)
		}
		folder = filepath.Join(home, ".config")
	}
	return filepath.Join(folder, "sallyport", "login.json"), nil
}

// Load is the log-in that was kept; nil: nobody logged in.
func Load(getenv func(string) string) (*Saved, error) {
	path, err := SavedPath(getenv)
	if err != nil {
		return nil, nil //nolint:nilerr // then nothing was kept either
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the log-in: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read the log-in: %s has mode %04o, so others could use it; log in anew: sallyport login", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the log-in: %w", err)
	}
	s := &Saved{}
	if err := json.Unmarshal(text, s); err != nil || s.Credential == "" {
		return nil, fmt.Errorf("read the log-in: %s holds none; log in anew: sallyport login", path)
	}
	return s, nil
}

// Keep writes the log-in, so that nobody else can ever read a part of it, and says where.
func (s *Saved) Keep(getenv func(string) string) (path string, err error) {
	if path, err = SavedPath(getenv); err != nil {
		return "", err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("keep the log-in: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("keep the log-in: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".login") // mode 0600
	if err != nil {
		return "", fmt.Errorf("keep the log-in: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // where it was not renamed
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("keep the log-in: %w", err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return "", fmt.Errorf("keep the log-in: %w", err)
	}
	return path, nil
}

// Where is what the log-in is of.
func (s *Saved) Where() string {
	if s.Server != "" {
		return s.Server
	}
	return s.Socket
}
