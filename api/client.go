package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"sallyport"
)

// Client talks to a running serve as one person.
type Client struct {
	path     string // where it is, for people
	base     string // of URLs
	name     string
	password string
	bearer   string // a credential in place of name and password
	http     *http.Client

	// Heard, where set, is told each sentence that whoever is logged in is to read, once.
	Heard func(sentence string)
	heard map[string]bool
}

// NewRemote talks to a serve over TLS, at https://HOST:PORT. Close it after use.
func NewRemote(address string, trust *tls.Config) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	return &Client{path: address, base: address, http: &http.Client{
		Transport: transport, Timeout: clientTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it would carry a credential elsewhere
	}}
}

// As logs in with a name and a password.
func (c *Client) As(name sallyport.Staff, password string) {
	c.name, c.password = string(name), password
}

// With logs in with a credential.
func (c *Client) With(credential string) { c.bearer = credential }

// clientTimeout bounds one question.
const clientTimeout = 10 * time.Minute

// NewClient names the socket and who logs in. Nothing is sent yet. Close it after use.
func NewClient(path string, name sallyport.Staff, password string) *Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}
	return &Client{path: path, base: "http://sallyport", name: string(name), password: password, http: &http.Client{Transport: transport, Timeout: clientTimeout}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Lock takes somebody's access away, at once.
func (c *Client) Lock(ctx context.Context, staff sallyport.Staff, reason string) error {
	proposal, err := c.TryLock(ctx, staff, reason)
	if err == nil && proposal != "" {
		err = fmt.Errorf("lock %s: you have locked many within the hour, so it waits for a second person: sallyport approve %s", staff, proposal)
	}
	return err
}

// TryLock is Lock; where it waits for a second person it returns the proposal's id.
func (c *Client) TryLock(ctx context.Context, staff sallyport.Staff, reason string) (proposal string, err error) {
	return c.propose(ctx, lockPath, request{Staff: staff, Reason: reason})
}

// Unlock proposes to give it back and returns the proposal's id.
func (c *Client) Unlock(ctx context.Context, staff sallyport.Staff, reason string) (string, error) {
	return c.propose(ctx, "/v1/unlock", request{Staff: staff, Reason: reason})
}

// AcceptMark proposes to serve with a record that does not fit the database's mark, and returns the proposal's id.
func (c *Client) AcceptMark(ctx context.Context, reason string) (string, error) {
	return c.propose(ctx, "/v1/accept-mark", request{Reason: reason})
}

func (c *Client) propose(ctx context.Context, path string, q request) (string, error) {
	var answer struct {
		Proposal string `json:"proposal"`
	}
	err := c.call(ctx, http.MethodPost, path, q, &answer)
	return answer.Proposal, err
}

// Approve lets a proposal take effect.
func (c *Client) Approve(ctx context.Context, id string) (Proposal, error) {
	return c.decide(ctx, id, "approve")
}

// Decline ends a proposal without effect.
func (c *Client) Decline(ctx context.Context, id string) (Proposal, error) {
	return c.decide(ctx, id, "decline")
}

func (c *Client) decide(ctx context.Context, id, what string) (Proposal, error) {
	var p Proposal
	err := c.call(ctx, http.MethodPost, "/v1/proposals/"+url.PathEscape(id)+"/"+what, nil, &p)
	return p, err
}

// Proposals lists all proposals, the open and the decided.
func (c *Client) Proposals(ctx context.Context) ([]Proposal, error) {
	return pages[Proposal](ctx, c, "/v1/proposals", "proposals")
}

// WhoSaw lists the statements by which somebody could read values of a customer, in the order of the record.
func (c *Client) WhoSaw(ctx context.Context, customer sallyport.Subject) ([]Sighting, error) {
	return pages[Sighting](ctx, c, "/v1/who-saw?customer="+url.QueryEscape(string(customer)), "sightings")
}

// RotateKey proposes to give a join group a new key, and returns the proposal's id.
func (c *Client) RotateKey(ctx context.Context, group, reason string) (string, error) {
	return c.propose(ctx, "/v1/keys/rotate", request{Group: group, Reason: reason})
}

// DestroyKey proposes to destroy the older key of a join group, and returns the proposal's id.
func (c *Client) DestroyKey(ctx context.Context, group, reason string) (string, error) {
	return c.propose(ctx, "/v1/keys/destroy", request{Group: group, Reason: reason})
}

// Shred proposes to make the values of a customer unreadable, and returns the proposal's id.
func (c *Client) Shred(ctx context.Context, customer, reason string) (string, error) {
	return c.propose(ctx, "/v1/keys/shred", request{Customer: sallyport.Subject(customer), Reason: reason})
}

// Opening puts on record that a share opens the keys in a command beside serve.
func (c *Client) Opening(ctx context.Context, share, what string) error {
	return c.call(ctx, http.MethodPost, "/v1/keys/opening", openingRequest{Share: share, For: what}, nil)
}

// ShreddedTokens are the digests of tokens that stand for nothing.
func (c *Client) ShreddedTokens(ctx context.Context) (map[sallyport.Digest]bool, error) {
	list, err := pages[[]byte](ctx, c, fmt.Sprintf("/v1/keys/shredded?limit=%d", longestPage), "tokens")
	if err != nil {
		return nil, err
	}
	tokens := make(map[sallyport.Digest]bool, len(list))
	for _, d := range list {
		if len(d) == len(sallyport.Digest{}) {
			tokens[sallyport.Digest(d)] = true
		}
	}
	return tokens, nil
}

// Unseal brings a share of what opens the keys.
func (c *Client) Unseal(ctx context.Context, share string) (Unsealed, error) {
	var u Unsealed
	err := c.call(ctx, http.MethodPost, "/v1/unseal", unsealRequest(share), &u)
	return u, err
}

// Status tells how serve is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	response, err := c.ask(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.path, err)
	}
	return nil
}

// ask sends a request. The answer is one of success, whose body the caller closes.
func (c *Client) ask(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var send io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, send) //nolint:gosec // where to is what the operator says on his own command line
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	switch {
	case c.bearer != "":
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	case c.name != "" || c.password != "":
		req.SetBasicAuth(c.name, c.password)
	}
	response, err := c.http.Do(req) //nolint:gosec // as above
	if err != nil {
		var network *net.OpError
		if errors.As(err, &network) && network.Op == "dial" {
			if c.base == c.path {
				return nil, fmt.Errorf("nobody answers at %s: is 'sallyport serve' running there, with api.listen? (%w)", c.path, network.Err)
			}
			return nil, fmt.Errorf("nobody answers at %s: is 'sallyport serve' running with this data folder? (%w)", c.path, network.Err)
		}
		return nil, fmt.Errorf("ask %s: %w", c.path, err)
	}
	c.hear(response.Header[noticeHeader])
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	var p Problem
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil || p.Sentence == "" {
		return nil, fmt.Errorf("ask %s: answered %s, which is not from Sallyport", c.path, response.Status)
	}
	return nil, &p
}

// hear passes on what the server wants to be read.
func (c *Client) hear(sentences []string) {
	for _, sentence := range sentences {
		if c.Heard != nil && !c.heard[sentence] {
			if c.heard == nil {
				c.heard = map[string]bool{}
			}
			c.heard[sentence] = true
			c.Heard(sentence)
		}
	}
}
