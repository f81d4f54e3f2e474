package cli

import (
	"strings"
	"time"

	"sallyport/api"
	"sallyport/config"
	"sallyport/login"
)

// bySaved is a client that is logged in by what was kept. A credential goes to whom it is of, and nowhere else.
func (f *controlFlags) bySaved() (*api.Client, error) {
	s, err := login.Load(f.m.Getenv)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return nil, config.Usagef("nobody to log in as; expected --as ID, one of the people in the configuration, or a log-in first: sallyport login")
	case !time.Now().Before(s.Until):
		return nil, config.Usagef("your log-in ended at %s; log in anew: sallyport login", s.Until.Local().Format(time.DateTime))
	case f.server != "" && strings.TrimSuffix(f.server, "/") != s.Server:
		return nil, config.Usagef("your log-in is of %s; log in there first: sallyport login --server %s", s.Where(), f.server)
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
