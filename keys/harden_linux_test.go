package keys

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hardenChild is set in the process that TestHarden starts, since what Harden does cannot be undone.
const hardenChild = "SALLYPORT_TEST_HARDEN_CHILD"

func TestHarden(t *testing.T) {
	if os.Getenv(hardenChild) != "" {
		reportHardened()
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestHarden$", "-test.v")
	child.Env = append(os.Environ(), hardenChild+"=1")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "hardened: error <nil>, dumpable 1 then 0, core 0 of at most 0"; !strings.Contains(string(out), want) {
		t.Errorf("got\n%s\nwant %s", out, want)
	}
}

// reportHardened raises the limit as far as it goes before, so that a machine without core files proves something too.
func reportHardened() {
	var limit unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	limit.Cur = limit.Max
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	before, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	err := Harden()
	after, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	fmt.Printf("hardened: error %v, dumpable %d then %d, core %d of at most %d\n", err, before, after, limit.Cur, limit.Max)
}
