package main

import (
	"fmt"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/flynn/noise"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// One handshake of a session, both sides, as sessionHandshake does it but for the connection.
func handshakeXK(client, server SecKey, pk PubKey) error {
	c := newHandshake(noise.HandshakeXK, true, client, &pk, nil)
	s := newHandshake(noise.HandshakeXK, false, server, nil, nil)
	from, to := c, s
	for i := 0; i < 3; i++ {
		msg, _, _, err := from.WriteMessage(nil, nil)
		if err == nil {
			_, _, _, err = to.ReadMessage(nil, msg)
		}
		if err != nil {
			return err
		}
		from, to = to, from
	}
	return nil
}

// Handshakes for a second of processor time, on one core.
func runXK(rounds string) error {
	n, err := strconv.Atoi(rounds)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is no number of handshakes", rounds)
	}
	runtime.GOMAXPROCS(1)
	client, server := newKey(), newKey()
	pk := server.pub()
	for i := 0; i < 10; i++ { // tables are made at the first use
		if err := handshakeXK(client, server, pk); err != nil {
			return err
		}
	}
	start := cpuTime()
	for i := 0; i < n; i++ {
		if err := handshakeXK(client, server, pk); err != nil {
			return err
		}
	}
	fmt.Println(float64(n) / (cpuTime() - start).Seconds())
	return nil
}
