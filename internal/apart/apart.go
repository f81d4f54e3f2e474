// Package apart parses SQL in a process of its own for a moment.
//
// PostgreSQL's grammar and the code that turns its tree into bytes recurse in C once for each operator of a chain, and move
// the whole tree once for each: a crafted statement of 60 KB ends the process that parses it, and a longer one keeps a core
// busy for minutes. Counting beforehand (package query) is a fence that can be wrong. Behind it, long texts are parsed in a
// fork of this process with two seconds of CPU time: whatever happens there, this one gets an error.
//
// It refuses nothing itself; a text whose parsing does not end well is reported as ErrTooComplex.
package apart

/*
#cgo linux LDFLAGS: -Wl,--unresolved-symbols=ignore-all
#cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

// As in pg_query.h of libpg_query, whose functions pg_query_go links into the same program.
typedef struct { size_t len; char *data; } Protobuf;
typedef struct { char *message; char *funcname; char *filename; int lineno; int cursorpos; char *context; } Error;
typedef struct { Protobuf parse_tree; char *stderr_buffer; Error *error; } Result;
extern Result pg_query_parse_protobuf(const char *input);

static void put(int fd, const void *data, size_t len) {
	const char *p = data;
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) _exit(3);
		p += n;
		len -= (size_t)n;
	}
}

static void limit(int what, rlim_t most) {
	struct rlimit l = { most, most };
	setrlimit(what, &l);
}

// child parses and writes: one byte (0 tree, 1 error), the position of an error in 4 bytes, then the tree or the message.
static void child(const char *input, int fd) {
	int fatal[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU, SIGTERM, SIGINT, SIGPIPE };
	for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) signal(fatal[i], SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, 2);
	Result r = pg_query_parse_protobuf(input);
	char kind = r.error != NULL;
	int32_t position = r.error ? r.error->cursorpos : 0;
	put(fd, &kind, 1);
	put(fd, &position, 4);
	if (r.error) put(fd, r.error->message, strlen(r.error->message));
	else put(fd, r.parse_tree.data, r.parse_tree.len);
	_exit(0);
}

// fork_parse returns the read end of the child's pipe and its process id, or −1.
static int fork_parse(const char *input, int *fd) {
	int ends[2];
	if (pipe(ends) != 0) return -1;
	int pid = fork();
	if (pid == 0) {
		close(ends[0]);
		child(input, ends[1]);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -1;
	}
	*fd = ends[0];
	return pid;
}
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"
	"google.golang.org/protobuf/proto"
)

// ErrTooComplex says that parsing did not end well: out of stack, out of time, or too deep a tree to be read.
var ErrTooComplex = errors.New("statement too complex to be parsed")

// maxTree bounds what is read of a tree, in bytes; 1 MiB of SQL yields about 20.
const maxTree = 256 << 20

// head is kind and position, in front of tree or message.
const head = 5

// Parse is pg_query's Parse, in a process of its own. The error of a text that is not SQL is a *parser.Error, as there.
func Parse(sql string) (*pg.ParseResult, error) {
	answer, err := ask(sql)
	if err != nil {
		return nil, err
	}
	if len(answer) < head {
		return nil, ErrTooComplex
	}
	if answer[0] != 0 {
		position := int(int32(binary.NativeEndian.Uint32(answer[1:]))) //nolint:gosec // an int of the C side
		return nil, &parser.Error{Message: string(answer[head:]), Cursorpos: position}
	}
	tree := &pg.ParseResult{}
	if err := proto.Unmarshal(answer[head:], tree); err != nil {
		return nil, ErrTooComplex // deeper than the decoder goes
	}
	return tree, nil
}

// ask forks and waits. A child that died leaves a short answer.
func ask(sql string) ([]byte, error) {
	input := C.CString(sql)
	defer C.free(unsafe.Pointer(input))
	var fd C.int
	pid, err := C.fork_parse(input, &fd)
	if pid < 0 {
		return nil, fmt.Errorf("start a process to parse: %w", err)
	}
	pipe := os.NewFile(uintptr(fd), "parser")
	answer, readErr := io.ReadAll(io.LimitReader(pipe, maxTree))
	_ = pipe.Close()
	var status syscall.WaitStatus
	for {
		_, err = syscall.Wait4(int(pid), &status, 0, nil)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if readErr != nil || err != nil || !status.Exited() || status.ExitStatus() != 0 {
		return nil, ErrTooComplex
	}
	return answer, nil
}
