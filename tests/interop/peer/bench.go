package main

import (
	"bufio"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"sync/atomic"
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

// bursts puts records together, so that who sends is not what is measured.
type bursts struct {
	net.Conn
	w *bufio.Writer
}

func (b bursts) Write(p []byte) (int, error) { return b.w.Write(p) }

// Both ends of a node in the middle (-stcp), or of a chain of them (-stcp of its last one, too): packets go to it by a
// transport of ours, with that route id (the second argument), and come back by one of another key (the first). Prints
// how many came.
func runBlast(o *options) error {
	far, err := loadKey(o.args[0])
	if err != nil {
		return err
	}
	id, err := strconv.ParseUint(o.args[1], 10, 32)
	if err != nil || len(o.stcp) < 1 || len(o.stcp) > 2 {
		return fmt.Errorf("blast takes -stcp once or twice, a key and a route id")
	}
	a, err := o.newStcp(nil).dialText(o.stcp[0])
	if err != nil {
		return err
	}
	c, err := (&stcp{sk: far, pk: far.pub()}).dialText(o.stcp[len(o.stcp)-1])
	if err != nil {
		return err
	}
	var came uint64
	go c.read(func(p packet) {
		if len(p.payload()) == int(*o.size) {
			atomic.AddUint64(&came, 1)
		}
	})
	go a.read(func(packet) {})
	sealed := a.conn.(*noiseConn)
	out := bufio.NewWriterSize(sealed.Conn, 65536)
	sealed.Conn = bursts{sealed.Conn, out}
	p := newPacket(pktData, RouteID(id), make([]byte, *o.size))
	begin, sent := time.Now(), uint64(0)
	for ; time.Since(begin) < *o.span; sent++ {
		if err = a.send(p); err != nil {
			return err
		}
	}
	out.Flush()
	for i := 0; i < 6000 && atomic.LoadUint64(&came) < sent; i++ {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println(atomic.LoadUint64(&came))
	if came := atomic.LoadUint64(&came); came != sent {
		return fmt.Errorf("%d of %d packets came", came, sent)
	}
	return nil
}
