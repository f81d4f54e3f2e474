package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/identity/assertion"
)

// AssertionSource is who signs for whom an application acts.
type AssertionSource struct {
	Issuer     string   `yaml:"issuer"`     // that the assertion must name (iss)
	Audience   string   `yaml:"audience"`   // that it must be for (aud): a name for this Sallyport
	Keys       string   `yaml:"keys"`       // the public keys, a JWKS: a file, or an https URL
	CA         string   `yaml:"ca"`         // who signs the certificate behind that URL, PEM; empty: the system's authorities
	SignedBy   string   `yaml:"signed_by"`  // issuer: it is the person's access; service: the service has the key itself, so it is its claim. Empty: service
	Algorithms []string `yaml:"algorithms"` // of signatures, such as ES256; empty: EdDSA, ES256, PS256, RS256
	Claim      string   `yaml:"claim"`      // that holds the person's id; empty: sub
	Longest    string   `yaml:"longest"`    // that one may be good for; empty: 15m
}

// ActsFor says for whom a service may act.
type ActsFor struct {
	Assertions []string `yaml:"assertions"` // by whose word: names of the section of that name
	Teams      []string `yaml:"teams"`      // whose people; empty: everybody's
	Client     string   `yaml:"client"`     // the application's id at the issuer: an assertion must be issued to it (azp or client_id); empty: to whichever
}

// Who may sign for whom an application acts.
const (
	SignedByIssuer  = "issuer"
	signedByService = "service"
)

// longest is how long an assertion may be good for.
func (a *AssertionSource) longest() (time.Duration, error) {
	if a.Longest == "" {
		return assertion.DefaultLongest, nil
	}
	d, err := time.ParseDuration(a.Longest)
	if err != nil || d < time.Second || d > assertion.MostLongest {
		return 0, fmt.Errorf("%q is no length of time that can be used; expected one such as 5m, at most 24h", a.Longest)
	}
	return d, nil
}

// checkAssertions holds assertions to sense, services to an owner whom the directory knows, and what they may act for to what there is.
func (c *Config) checkAssertions(r *Document) {
	issuers, used := map[string]string{}, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Assertions)) {
		a := c.Assertions[name]
		a.check(r, "assertions."+name)
		if first, taken := issuers[a.Issuer]; taken {
			r.problemAt("assertions."+name+".issuer", "assertions.%s has this issuer already; expected one source for each", first)
		}
		issuers[a.Issuer] = name
	}
	for _, id := range slices.Sorted(maps.Keys(c.Services)) {
		c.checkService(r, id, used)
	}
}

// check holds one source to sense.
func (a *AssertionSource) check(r *Document, path string) {
	for _, k := range []struct{ key, value string }{{"issuer", a.Issuer}, {"audience", a.Audience}, {"keys", a.Keys}} {
		if k.value == "" {
			r.problemAt(path, "no %s; expected issuer, audience and keys", k.key)
		}
	}
	if a.SignedBy != "" && a.SignedBy != SignedByIssuer && a.SignedBy != signedByService {
		r.problemAt(path+".signed_by", "nobody signs as %q; expected %s or %s", a.SignedBy, SignedByIssuer, signedByService)
	}
	for i, algorithm := range a.Algorithms {
		if !slices.Contains(assertion.Known(), algorithm) {
			r.problemAt(fmt.Sprintf("%s.algorithms[%d]", path, i), "there is no algorithm %q; expected %s", algorithm, OneOf(algorithm, assertion.Known()))
		}
	}
	if strings.Contains(a.Keys, "://") {
		if err := assertion.CheckURL(a.Keys); err != nil {
			r.problemAt(path+".keys", "%s", err)
		}
	}
	if _, err := a.longest(); err != nil {
		r.problemAt(path+".longest", "%s", err)
	}
}

func (c *Config) checkService(r *Document, id string, used map[string]string) {
	service, path := c.Services[id], "services."+id
	people := slices.Sorted(maps.Keys(c.People))
	if _, known := c.People[service.Owner]; service.Owner != "" && !known {
		r.problemAt(path+".owner", "nobody is called %q; expected %s", service.Owner, OneOf(service.Owner, people))
	}
	acts := service.ActsFor
	if len(acts.Assertions) == 0 {
		if len(acts.Teams) > 0 || acts.Client != "" {
			r.problemAt(path+".acts_for", "teams or a client, and nobody's word; expected assertions: [NAME]")
		}
		return
	}
	if service.Owner == "" {
		r.problemAt(path, "it acts for people and nobody answers for it; expected owner: the id of a person")
	}
	if slices.Contains(c.Mask.SeenBy, id) {
		r.problemAt(path+".acts_for", "it sees masked columns itself (mask.seen_by), and so would those for whom it acts; expected a service of its own for one of the two")
	}
	for i, name := range acts.Assertions {
		at := fmt.Sprintf("%s.acts_for.assertions[%d]", path, i)
		a, ok := c.Assertions[name]
		if !ok {
			r.problemAt(at, "there is no %q under assertions; expected %s", name, OneOf(name, slices.Sorted(maps.Keys(c.Assertions))))
			continue
		}
		if other, taken := used[name]; taken && a.SignedBy != SignedByIssuer {
			r.problemAt(at, "%s signs with these keys too, and nobody could tell the two apart; expected a source of its own for each service, or signed_by: issuer", other)
		}
		used[name] = id
	}
	teams := map[string]bool{}
	for _, p := range c.People {
		teams[p.Team] = true
	}
	delete(teams, "")
	for i, team := range acts.Teams {
		if !teams[team] {
			r.problemAt(fmt.Sprintf("%s.acts_for.teams[%d]", path, i), "nobody is in team %q; expected %s", team, OneOf(team, slices.Sorted(maps.Keys(teams))))
		}
	}
}

// Verifier checks what applications show; nil: none acts for anybody.
func (c *Config) Verifier() (*assertion.Verifier, error) {
	if len(c.Assertions) == 0 {
		return nil, nil
	}
	var sources []assertion.Source
	for name, a := range c.Assertions {
		longest, err := a.longest()
		if err != nil {
			return nil, err
		}
		keys := a.Keys
		if !strings.Contains(keys, "://") {
			keys = c.Path(keys)
		}
		sources = append(sources, assertion.Source{
			Name: name, Issuer: a.Issuer, Audience: a.Audience, Keys: keys, CA: c.Path(a.CA), ByService: a.SignedBy != SignedByIssuer,
			Algorithms: a.Algorithms, Claim: a.Claim, Longest: longest,
		})
	}
	return assertion.New(sources, assertion.Options{Now: time.Now})
}
