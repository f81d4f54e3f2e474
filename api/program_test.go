package api

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/program"
	"sallyport/program/rotation"
)

const rotationPlan = `
name: desk
start: {from: 2023-09-01, to: 2023-09-14}
people: [{id: t1}, {id: t2}, {id: t3}]
posts: [{id: acme}, {id: bolt}, {id: corp}]
previous: [{post: acme, who: t1}]
`

// round1000 is what drand's quicknet published on 2023-08-23.
const round1000 = `{"round":1000,"randomness":"fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd","signature":"b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"}`

// TestRotations: committed to before anybody can know the beacon, one at a time, drawn once and only as committed to, and what is never drawn stays to
// be seen; the same after a restart.
func TestRotations(t *testing.T) {
	book := program.NewBook()
	r := start(t, func(c *Config) {
		c.Program = &Program{Book: book}
		if err := c.Orders.Fold(book.Apply); err != nil {
			t.Fatal(err)
		}
	})
	ctx, lead, other := t.Context(), r.as("s050"), r.as("s051")
	b, secret := &rotation.Beacon{Round: 1000}, [32]byte{7}
	r.clock.mu.Lock()
	r.clock.now = b.Time().Add(-20 * time.Minute)
	r.clock.mu.Unlock()
	sum := rotation.Commit([]byte(rotationPlan), secret, b)
	commitment := hex.EncodeToString(sum[:])

	want(t, r.as("s001").CommitRotation(ctx, "desk", commitment, b.String()), "not_your_role")
	want(t, lead.CommitRotation(ctx, "desk", "00", b.String()), "bad_rotation")
	want(t, lead.CommitRotation(ctx, "desk", commitment, "dice"), "bad_rotation")
	want(t, lead.CommitRotation(ctx, "desk", commitment, "drand quicknet 3"), "beacon_known")
	want(t, lead.CommitRotation(ctx, "desk", commitment, b.String()), "")
	want(t, other.CommitRotation(ctx, "desk", strings.Repeat("00", 32), "drand quicknet 2000"), "committed_already")
	want(t, other.CommitRotation(ctx, "approvers", strings.Repeat("00", 32), "drand quicknet 1001"), "")

	r.clock.add(2 * time.Hour)
	file := func(plan string, secret [32]byte) string {
		t.Helper()
		reveal, _, err := rotation.Make([]byte(plan), secret, b, []byte(round1000))
		if err != nil {
			t.Fatal(err)
		}
		text, err := reveal.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	good := file(rotationPlan, secret)
	want(t, lead.DrawRotation(ctx, file(rotationPlan, [32]byte{8})), "not_committed")
	want(t, lead.DrawRotation(ctx, file(strings.Replace(rotationPlan, "{id: t2}", "{id: t9}", 1), secret)), "not_committed")
	want(t, lead.DrawRotation(ctx, strings.Replace(good, "acme", "bolt", 1)), "bad_rotation")
	want(t, other.DrawRotation(ctx, good), "") // whoever has the file
	want(t, other.DrawRotation(ctx, good), "not_committed")

	r.clock.add(8 * 24 * time.Hour)
	list, err := other.Rotations(ctx)
	if err != nil || len(list) != 2 || list[0].State != "drawn" || list[1].State != "lapsed" || !strings.Contains(list[0].Result, `"start":"2023-09-`) {
		t.Fatalf("%+v, %v", list, err)
	}
	want(t, lead.CommitRotation(ctx, "approvers", strings.Repeat("11", 32), "drand quicknet 2000000"), "")

	again := program.NewBook()
	if _, err := NewOrders(r.control, control.NewState()); err != nil {
		t.Fatal(err)
	}
	orders, err := NewOrders(r.control, control.NewState())
	if err != nil {
		t.Fatal(err)
	}
	if err := orders.Fold(again.Apply); err != nil || len(again.Rotations()) != 3 || again.Rotations()[0] != book.Rotations()[0] {
		t.Errorf("after a restart: %+v, %v", again.Rotations(), err)
	}
}

// TestReviewsAndReading: whoever manages somebody decides, or a lead; nobody about himself, none too late; everybody acknowledges for himself.
func TestReviewsAndReading(t *testing.T) {
	book := program.NewBook()
	r := start(t, func(c *Config) {
		c.Program = &Program{Book: book}
		c.Directory = &Directory{List: func() []Member {
			return []Member{{Staff: "s002", Manager: "s001"}, {Staff: "s050", Manager: "s060"}, {Staff: "s001", Manager: "s050"}}
		}}
		if err := c.Orders.Fold(book.Apply); err != nil {
			t.Fatal(err)
		}
	})
	ctx, manager, lead := t.Context(), r.as("s001"), r.as("s050")
	until := r.clock.Now().Add(program.ShortestReview)
	items := map[sallyport.Staff][]string{"s001": {"a"}, "s002": {"a: not used"}, "s050": {"b"}}
	want(t, manager.OpenReview(ctx, "autumn", until, items), "not_your_role")
	want(t, lead.OpenReview(ctx, "autumn", r.clock.Now(), items), "bad_review")
	want(t, lead.OpenReview(ctx, "autumn", until.Add(-time.Second), items), "bad_review")
	want(t, lead.OpenReview(ctx, "autumn", until, items), "")
	want(t, lead.OpenReview(ctx, "autumn", until, items), "bad_review")
	list, err := manager.Reviews(ctx)
	if err != nil || len(list) != 1 || list[0].Staff != "s002" || list[0].State != "open" {
		t.Fatalf("a manager sees %+v, %v", list, err)
	}
	want(t, manager.DecideReview(ctx, "autumn", "s001", true, "me"), "no_such_review")
	want(t, manager.DecideReview(ctx, "autumn", "s050", true, "my boss"), "no_such_review")
	want(t, lead.DecideReview(ctx, "autumn", "s050", true, "me"), "no_such_review")
	want(t, manager.DecideReview(ctx, "autumn", "s002", true, "still here"), "")
	want(t, lead.DecideReview(ctx, "autumn", "s002", false, "no"), "decided")
	if _, ended := book.Ended("s001", r.clock.Now()); ended {
		t.Error("it has ended before its date")
	}
	r.clock.add(program.ShortestReview)
	for _, who := range []sallyport.Staff{"s001", "s050"} {
		if name, ended := book.Ended(who, r.clock.Now()); !ended || name != "autumn" {
			t.Errorf("nobody decided about %s, and his access goes on", who)
		}
	}
	want(t, r.as("s060").DecideReview(ctx, "autumn", "s050", true, "late"), "decided")
	list, err = r.as("s060").Reviews(ctx)
	states := map[sallyport.Staff]string{}
	for _, x := range list {
		states[x.Staff] = x.State
	}
	if err != nil || states["s001"] != "ended" || states["s002"] != "kept" || states["s050"] != "ended" {
		t.Errorf("%v, %v", states, err)
	}
	prolong := func(who sallyport.Staff, until time.Time, staff ...sallyport.Staff) (string, error) {
		return r.as(who).ProlongReview(ctx, "autumn", staff, until, "the manager was ill")
	}
	month := r.clock.Now().Add(30 * 24 * time.Hour)
	_, err = prolong("s001", month, "s002")
	want(t, err, "not_your_role")
	_, err = prolong("s050", month, "s001", "s050")
	want(t, err, "about_yourself")
	_, err = prolong("s050", month, "s009")
	want(t, err, "no_such_review")
	_, err = prolong("s050", r.clock.Now().AddDate(0, 0, 91), "s001")
	want(t, err, "bad_review")
	id, err := prolong("s060", month, "s001", "s050")
	want(t, err, "")
	_, err = r.as("s060").Approve(ctx, id)
	want(t, err, "not_yours_to_decide")
	_, err = r.as("s050").Approve(ctx, id)
	want(t, err, "not_yours_to_decide")
	if _, ended := book.Ended("s001", r.clock.Now()); !ended {
		t.Error("one person prolonged it")
	}
	_, err = r.as("s051").Approve(ctx, id)
	want(t, err, "")
	if _, ended := book.Ended("s001", r.clock.Now()); ended {
		t.Error("two people prolonged it, and it has ended")
	}
	if _, ended := book.Ended("s001", month); !ended {
		t.Error("nobody decided until the new date, and it goes on")
	}
	version := strings.Repeat("ab", 32)
	_, err = manager.Acknowledge(ctx, "access.md", "ab")
	want(t, err, "bad_request")
	first, err := manager.Acknowledge(ctx, "access.md", version)
	want(t, err, "")
	r.clock.add(time.Hour)
	again, err := manager.Acknowledge(ctx, "access.md", version)
	want(t, err, "")
	digest, _ := hex.DecodeString(version)
	if !again.Equal(first) || book.Read("access.md", digest, "s001").IsZero() || !book.Read("access.md", digest, "s050").IsZero() {
		t.Errorf("acknowledged at %s and %s", first, again)
	}
}
