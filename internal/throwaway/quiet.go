package throwaway

import (
	mathrand "math/rand/v2"
	"net"
	"strconv"
)

// QuietAddress is on a loopback port below those that the kernel gives to outgoing connections, so that it stays free for
// whoever writes it down (32768 on Linux, 49152 elsewhere).
func QuietAddress() string {
	const lowest, ephemeral = 10_000, 32_768
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest+mathrand.IntN(ephemeral-lowest))) //nolint:gosec // a port is no secret
}
