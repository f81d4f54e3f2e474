package serve

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// driverJDBC is where Debian's package has PostgreSQL's JDBC driver, which DBeaver and others use.
const driverJDBC = "/usr/share/java/postgresql.jar"

// TestLogInJDBC has PostgreSQL's JDBC driver use a credential as the password, inside TLS that it verifies; somebody else's does not let it in.
func TestLogInJDBC(t *testing.T) {
	java, err := exec.LookPath("java")
	if err != nil || !isFile(driverJDBC) {
		t.Skip("there is no java, or no driver; apt-get install default-jdk-headless libpostgresql-jdbc-java")
	}
	if _, err := exec.LookPath("javac"); err != nil {
		t.Skip("there is no javac; apt-get install default-jdk-headless")
	}
	h, idp := gatehouseOf(t), startIDP(t)
	g := h.doors(t, idp, byAdasSecret, "", "")
	ada, eve := newHome(t, idp), newHome(t, idp)
	idp.As(user("s1"))
	ada.must("login", "--no-browser", "--control", g.Control())
	idp.As(user("s7"))
	eve.must("login", "--no-browser", "--control", g.Control())
	run := func(credential string) (string, error) {
		cmd := exec.CommandContext(t.Context(), java, "-cp", driverJDBC, filepath.Join("testdata", "LogIn.java"), //nolint:gosec // our own program
			"jdbc:postgresql://localhost:"+portOf(g.Addr())+"/postgres", "ada", filepath.Join(g.folder, "ca.crt"))
		cmd.Env = append(os.Environ(), "CREDENTIAL="+credential)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run(ada.credential())
	if err != nil || strings.Count(out, "in as ada ") != 8 || !strings.Contains(out, "in as ada 7") {
		t.Errorf("JDBC: %v: %s", err, out)
	}
	if out, err := run(eve.credential()); err == nil || !strings.Contains(out, "no credential that holds") || strings.Contains(out, eve.credential()) {
		t.Errorf("JDBC with somebody else's credential: %v: %s", err, out)
	}
}
