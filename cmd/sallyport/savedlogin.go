package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
)

// savedLogin is what 'sallyport login' leaves for the other commands, in a file that only its owner may read.
type savedLogin struct {
	Staff      sallyport.Staff `json:"staff"`
	Credential string          `json:"credential"`
	Until      time.Time       `json:"until"`
	Logins     []string        `json:"logins,omitempty"` // database roles
	Server     string          `json:"server,omitempty"` // https://HOST:PORT, where it was made; else
	CA         string          `json:"ca,omitempty"`     // who signs its certificate
	Socket     string          `json:"socket,omitempty"` // the control socket on this machine
}

// loginVariable may name another file for it.
const loginVariable = "SALLYPORT_LOGIN"

// savedPath is the file, by the XDG Base Directory Specification.
func (m *Main) savedPath() (string, error) {
	if m.Getenv == nil {
		return "", usagef("nowhere to keep the log-in: there is no environment")
	}
	if path := m.Getenv(loginVariable); path != "" {
		return path, nil
	}
	folder := m.Getenv("XDG_CONFIG_HOME")
	if folder == "" {
		home := m.Getenv("HOME")
		if home == "" {
			return "", usagef("nowhere to keep the log-in; expected HOME, XDG_CONFIG_HOME or %s in the environment", loginVariable)
		}
		folder = filepath.Join(home, ".config")
	}
	return filepath.Join(folder, "sallyport", "login.json"), nil
}

// saved is the log-in that was kept; nil: nobody logged in.
func (m *Main) saved() (*savedLogin, error) {
	path, err := m.savedPath()
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
	s := &savedLogin{}
	if err := json.Unmarshal(text, s); err != nil || s.Credential == "" {
		return nil, fmt.Errorf("read the log-in: %s holds none; log in anew: sallyport login", path)
	}
	return s, nil
}

// keep writes the log-in, so that nobody else can ever read a part of it.
func (m *Main) keep(s *savedLogin) (path string, err error) {
	if path, err = m.savedPath(); err != nil {
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

// bySaved is a client that is logged in by what was kept. A credential goes to whom it is of, and nowhere else.
func (f *controlFlags) bySaved() (*api.Client, error) {
	s, err := f.m.saved()
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return nil, usagef("nobody to log in as; expected --as ID, one of the people in the configuration, or a log-in first: sallyport login")
	case !time.Now().Before(s.Until):
		return nil, usagef("your log-in ended at %s; log in anew: sallyport login", s.Until.Local().Format(time.DateTime))
	case f.server != "" && strings.TrimSuffix(f.server, "/") != s.Server:
		return nil, usagef("your log-in is of %s; log in there first: sallyport login --server %s", s.where(), f.server)
	}
	if s.Server == "" && f.socket == "" && !f.dataSet() {
		f.socket = s.Socket
	}
	if s.Server != "" && f.socket == "" && !f.dataSet() {
		f.server = s.Server
		if f.ca == "" {
			f.ca = s.CA
		}
	}
	client, err := f.stranger()
	if err != nil {
		return nil, err
	}
	f.as = string(s.Staff)
	client.With(s.Credential)
	return client, nil
}

// where is what the log-in is of.
func (s *savedLogin) where() string {
	if s.Server != "" {
		return s.Server
	}
	return s.Socket
}
