package api

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/internal/fakeidp"
	"sallyport/login"
)

// provided is a server where people log in at a fake identity provider. s060 may use his password besides.
func provided(t *testing.T, change ...func(*Config)) (*running, *fakeidp.Provider) {
	t.Helper()
	idp, err := fakeidp.Start(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	provider, err := login.New(login.Config{Issuer: idp.Issuer(), ClientID: fakeidp.ClientID, Roots: idp.Roots(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(provider.Close)
	return start(t, append(change, func(c *Config) {
		c.LogIns = &LogIns{
			Provider: provider, Lifetime: 10 * time.Hour, Passwords: []sallyport.Staff{"s060"},
			Person: func(p login.Person) (sallyport.Staff, error) { return sallyport.Staff(p.Name), nil },
		}
	})...), idp
}

const redirect = "http://127.0.0.1:9/callback"

// through logs somebody in and returns what serve answers.
func through(t *testing.T, r *running, idp *fakeidp.Provider, user fakeidp.User, fresh bool) (LoggedIn, error) {
	t.Helper()
	idp.As(user)
	c := NewClient(r.path, "", "")
	defer c.Close()
	b, err := c.BeginBrowser(t.Context(), redirect, fresh)
	if err != nil {
		t.Fatal(err)
	}
	back, err := idp.Redirect(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c.Finish(t.Context(), b.ID, b.State, back.Query().Get("code"))
}

func sub(who string) fakeidp.User { return fakeidp.User{Claims: map[string]any{"sub": who}} }

// bearer is a client with a credential.
func bearer(t *testing.T, r *running, credential string) *Client {
	t.Helper()
	c := NewClient(r.path, "", "")
	t.Cleanup(c.Close)
	c.With(credential)
	return c
}

// TestBearer lets a credential in where a password would be, until it ends, is given back, or its owner is locked.
func TestBearer(t *testing.T) {
	r, idp := provided(t)
	ctx := t.Context()
	logIn := func(who string) string {
		t.Helper()
		in, err := through(t, r, idp, sub(who), false)
		if err != nil || string(in.Staff) != who || !in.Until.Equal(r.clock.Now().Add(10*time.Hour)) {
			t.Fatalf("%+v, %v", in, err)
		}
		return in.Credential
	}
	lead, second, agent := logIn("s050"), logIn("s051"), logIn("s001")
	if status, err := bearer(t, r, lead).Status(ctx); err != nil || status.You != "s050" {
		t.Errorf("%+v, %v", status, err)
	}
	_, err := bearer(t, r, agent).Proposals(ctx)
	want(t, err, "not_your_role")
	for _, bad := range []string{lead[:len(lead)-1], lead + "x", "", login.Prefix, "Basic"} {
		c := NewClient(r.path, "", "")
		c.With(bad)
		_, err := c.Status(ctx)
		want(t, err, "log_in")
		c.Close()
	}

	// Nobody approves his own proposal with whatever credential; another person does.
	id, err := func() (string, error) {
		if err := bearer(t, r, lead).Lock(ctx, "s001", "laptop stolen"); err != nil {
			return "", err
		}
		return bearer(t, r, lead).Unlock(ctx, "s001", "found")
	}()
	if err != nil {
		t.Fatal(err)
	}
	_, err = bearer(t, r, agent).Status(ctx)
	want(t, err, "log_in") // the lock took it away
	_, err = bearer(t, r, logIn("s050")).Approve(ctx, id)
	want(t, err, "not_yours_to_decide")
	if _, err := bearer(t, r, second).Approve(ctx, id); err != nil {
		t.Error(err)
	}
	_, err = bearer(t, r, agent).Status(ctx)
	want(t, err, "log_in") // and the unlock did not bring it back
	if _, err := bearer(t, r, logIn("s001")).Status(ctx); err != nil {
		t.Error(err)
	}

	want(t, bearer(t, r, second).EndLogIn(ctx), "")
	_, err = bearer(t, r, second).Status(ctx)
	want(t, err, "log_in")
	r.clock.add(10 * time.Hour)
	_, err = bearer(t, r, lead).Status(ctx)
	want(t, err, "log_in")

	// By what is on disk nobody logs in.
	err = filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), lead) || strings.Contains(string(text), strings.TrimPrefix(lead, login.Prefix)) {
			t.Errorf("%s holds a credential", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPasswordsBesideProvider leaves passwords to whom the configuration names, and confirmations to fresh log-ins.
func TestPasswordsBesideProvider(t *testing.T) {
	r, idp := provided(t)
	ctx := t.Context()
	for who, code := range map[sallyport.Staff]string{"s050": "log_in", "s060": ""} {
		c := NewClient(r.path, who, password)
		_, err := c.Status(ctx)
		want(t, err, code)
		if code == "" {
			want(t, c.Confirm(ctx), "fresh_login")
		}
		c.Close()
	}
	in, err := through(t, r, idp, sub("s001"), false)
	if err != nil {
		t.Fatal(err)
	}
	want(t, bearer(t, r, in.Credential).Confirm(ctx), "fresh_login")
	if at := r.state.Door("s001").Confirmed; !at.IsZero() {
		t.Errorf("he is confirmed at %s", at)
	}

	old := sub("s001")
	old.Proven, old.Ignores = time.Now().Add(-time.Minute), true
	_, err = through(t, r, idp, old, true)
	want(t, err, "log_in_refused")
	if at := r.state.Door("s001").Confirmed; !at.IsZero() {
		t.Errorf("by an old log-in he is confirmed at %s", at)
	}
	in, err = through(t, r, idp, sub("s001"), true)
	if err != nil || in.Credential != "" || in.Staff != "s001" || in.Confirmed.IsZero() {
		t.Errorf("%+v, %v", in, err)
	}
	if at := r.state.Door("s001").Confirmed; !at.Equal(r.clock.Now()) {
		t.Errorf("he is confirmed at %s", at)
	}
	if at := r.state.Door("s050").Confirmed; !at.IsZero() {
		t.Error("somebody else is confirmed too")
	}
}

// TestNobody lets in nobody whom the configuration does not name, who is locked, or who comes from a page.
func TestNobody(t *testing.T) {
	r, idp := provided(t)
	_, err := through(t, r, idp, sub("s999"), false)
	want(t, err, "nobody")
	_, err = through(t, r, idp, sub(""), false)
	want(t, err, "log_in_refused")
	officer := NewClient(r.path, "s060", password)
	defer officer.Close()
	if err := officer.Lock(t.Context(), "s001", "test"); err != nil {
		t.Fatal(err)
	}
	_, err = through(t, r, idp, sub("s001"), false)
	want(t, err, "locked")
	_, err = through(t, r, idp, sub("s001"), true)
	want(t, err, "locked")

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://sallyport/v1/login/browser", strings.NewReader(`{"redirect":"`+redirect+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "https://evil.example")
	answer, err := officer.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("a page is answered %s", answer.Status)
	}
	c := NewClient(start(t).path, "", "")
	defer c.Close()
	_, err = c.BeginBrowser(t.Context(), redirect, false)
	want(t, err, "no_provider")
	_, err = c.BeginDevice(t.Context(), false)
	want(t, err, "no_provider")
}

// TestInvite gives somebody a password of his own by two people's word, once.
func TestInvite(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	as := func(who sallyport.Staff) *Client {
		c := NewClient(r.path, who, password)
		t.Cleanup(c.Close)
		return c
	}
	fresh := func(who sallyport.Staff, secret string) error {
		c := NewClient(r.path, who, secret)
		defer c.Close()
		_, err := c.Status(ctx)
		return err
	}
	want(t, fresh("s002", "a new secret"), "log_in") // he has none
	i, err := as("s050").Invite(ctx, "s002", "his first day")
	if err != nil {
		t.Fatal(err)
	}
	anybody := as("")
	want(t, anybody.SetPassword(ctx, "s002", i.Code, i.Code, "a new secret"), "no_invitation")
	_, err = as("s050").Approve(ctx, i.Proposal)
	want(t, err, "not_yours_to_decide")
	p, err := as("s051").Approve(ctx, i.Proposal)
	if err != nil || p.Code == "" || p.Code == i.Code {
		t.Fatalf("%+v, %v", p, err)
	}
	// Neither of the two knows enough, and nobody else reads the halves anywhere.
	list, err := as("s060").Proposals(ctx)
	if err != nil || len(list) != 1 || list[0].Code != "" || strings.Contains(list[0].Details, i.Code) {
		t.Errorf("%+v, %v", list, err)
	}
	want(t, anybody.SetPassword(ctx, "s002", i.Code, i.Code, "a new secret"), "no_invitation")
	want(t, anybody.SetPassword(ctx, "s001", i.Code, p.Code, "a new secret"), "no_invitation")
	want(t, anybody.SetPassword(ctx, "s002", p.Code, i.Code, "a new secret"), "no_invitation")
	want(t, anybody.SetPassword(ctx, "s002", i.Code, p.Code, "short"), "short_password")
	want(t, anybody.SetPassword(ctx, "s002", strings.ToLower(strings.ReplaceAll(i.Code, "-", "")), p.Code, "a new secret"), "")
	want(t, fresh("s002", "a new secret"), "")
	want(t, fresh("s002", password), "log_in")
	want(t, anybody.SetPassword(ctx, "s002", i.Code, p.Code, "another secret"), "no_invitation")

	// Who has a password gets another one; the former is good no more. It survives a restart.
	i, err = as("s050").Invite(ctx, "s001", "forgot it")
	if err != nil {
		t.Fatal(err)
	}
	if p, err = as("s060").Approve(ctx, i.Proposal); err != nil {
		t.Fatal(err)
	}
	r.clock.add(control.InvitedFor)
	want(t, anybody.SetPassword(ctx, "s001", i.Code, p.Code, "a new secret"), "no_invitation")
	state := control.NewState()
	if _, err := NewOrders(r.control, state); err != nil || state.Password("s002") != r.state.Password("s002") || state.Password("s002") == "" {
		t.Errorf("after a restart: %v", err)
	}

	// Codes cannot be tried at leisure.
	for range freeFailures {
		_ = anybody.SetPassword(ctx, "s051", "x", "y", "a new secret")
	}
	want(t, anybody.SetPassword(ctx, "s051", "x", "y", "a new secret"), "too_many_failures")
	_, err = as("s050").Invite(ctx, "svc_billing", "a service")
	want(t, err, "no_such_staff")
	_, err = as("s050").Invite(ctx, "s050", "myself")
	want(t, err, "not_yours_to_propose")
}
