package api

import (
	"testing"

	"sallyport/internal/fakeidp"
)

// TestGlassTakesTwoFactors: where there is an identity provider the glass is broken by a fresh log-in there, and by two factors where it says by which means
// somebody logged in; a password, which counts while the provider is away, is not enough.
func TestGlassTakesTwoFactors(t *testing.T) {
	var told []string
	r, idp := provided(t, func(c *Config) { c.Desk = theDesk(&told) })
	ctx := t.Context()
	q := asking(2)
	q.Incident = "INC-1"
	by := func(who string, means ...string) fakeidp.User {
		u := sub(who)
		if len(means) > 0 {
			u.Claims["amr"] = means
		}
		return u
	}
	in, err := through(t, r, idp, by("s050", "pwd", "otp"), false)
	want(t, err, "")
	me := bearer(t, r, in.Credential)
	_, err = me.BreakGlass(ctx, q)
	want(t, err, "confirm_first") // that he logged in some time is no confirmation
	_, err = through(t, r, idp, by("s050", "pwd"), true)
	want(t, err, "")
	_, err = me.BreakGlass(ctx, q)
	want(t, err, "weak_log_in")
	_, err = through(t, r, idp, by("s050", "pwd", "otp"), true)
	want(t, err, "")
	_, err = me.BreakGlass(ctx, q)
	want(t, err, "")

	in, err = through(t, r, idp, by("s051"), false)
	want(t, err, "")
	_, err = through(t, r, idp, by("s051"), true) // the provider does not say by which means
	want(t, err, "")
	_, err = bearer(t, r, in.Credential).BreakGlass(ctx, q)
	want(t, err, "")

	_, err = r.as("s060").BreakGlass(ctx, q)
	want(t, err, "confirm_first")
	want(t, r.as("s060").Confirm(ctx), "fresh_login")
}
