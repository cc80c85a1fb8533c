package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// node is a router with its transports, its gateway for set-up nodes, and ports.
type node struct {
	o *options
	r *router
	m *stcp
	c *client
	s *session

	ports uint32 // of our ends: one after the other, from anywhere
}

func (o *options) newStcp(taken func(uuid) bool) *stcp {
	return &stcp{sk: o.sk, pk: o.sk.pub(), pq: *o.pq, fault: *o.fault, taken: taken}
}

// A node, once all that it dials is up.
func newNode(o *options) (*node, error) {
	r := newRouter(o)
	n := &node{o: o, r: r, c: newClient(o.sk, *o.gen, *o.pq)}
	n.ports = rand.New(rand.NewSource(time.Now().UnixNano())).Uint32() / 2
	n.m = o.newStcp(func(id uuid) bool { return r.transport(id) != nil })
	for _, text := range o.rules {
		key, next, by, err := parseRule(text)
		if err != nil {
			return nil, err
		}
		r.rules.save(newRule(intermediary, *o.keep, key, RouteDescriptor{}, next, newEntry(r.pk, by, "stcp").ID))
	}
	if *o.listen != "" {
		l, err := net.Listen("tcp", *o.listen)
		if err != nil {
			return nil, err
		}
		go n.acceptTransports(l)
	}
	up := make(chan error)
	for _, text := range o.stcp {
		pk, address, err := splitServer(text)
		if err != nil {
			return nil, err
		}
		go n.keepTransport(pk, address, up)
	}
	for range o.stcp {
		if err := <-up; err != nil {
			return nil, err
		}
	}
	if *o.server == "" {
		return n, nil
	}
	var err error
	if n.s, err = o.session(nil); err != nil {
		return nil, err
	}
	go func() { fmt.Fprintln(os.Stderr, "gateway:", o.serveGateway(n.c, n.s, r.rules, n.openEdge)) }()
	return n, nil
}

func (n *node) acceptTransports(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "accept:", err)
			return
		}
		go func() {
			t, err := n.m.accept(c)
			if err != nil {
				c.Close()
				tell("transport refused: %v", err)
				return
			}
			n.r.add(t, "accepted")
			n.r.run(t)
		}()
	}
}

// keepTransport waits between two dials, for the other end may not have seen the end of the last one (real-peers 1).
func (n *node) keepTransport(pk PubKey, address string, up chan error) {
	for {
		t, err := n.m.dial(pk, address)
		if err == nil {
			n.r.add(t, "dialled")
		}
		if up != nil {
			up <- err
			up = nil
		}
		if err != nil {
			tell("transport %v failed: %v", pk, err)
		} else {
			n.r.run(t)
		}
		time.Sleep(3*time.Second + time.Duration(rand.Int63n(int64(time.Second))))
	}
}

// The group is there before the set-up node is answered, and who dials may begin.
func (n *node) openEdge(e EdgeRules) error {
	g, err := n.r.open(e, false)
	if err != nil {
		return fmt.Errorf("failure code 1 (%w)", err)
	}
	go n.r.respond(g)
	return nil
}

// KEY:NEXT@PK
func parseRule(text string) (key, next RouteID, by PubKey, err error) {
	ids, pk, _ := strings.Cut(text, "@")
	a, b, _ := strings.Cut(ids, ":")
	x, err := strconv.ParseUint(a, 10, 32)
	if err != nil {
		return 0, 0, by, err
	}
	y, err := strconv.ParseUint(b, 10, 32)
	if err != nil {
		return 0, 0, by, err
	}
	by, err = parsePK(pk)
	return RouteID(x), RouteID(y), by, err
}

// wait gives who dials us some time.
func (n *node) wait(id uuid) error {
	for i := 0; i < 300; i++ {
		if n.r.transport(id) != nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("no transport %v", id)
}

// What a set-up node would have said: an end whose rules were given to us and to those between by hand. Its own id
// of the forward rule is seen by nobody.
func (n *node) staticEdge(port uint16, starts bool) (e EdgeRules, err error) {
	rule, far, _ := strings.Cut(*n.o.edge, ",")
	key, next, by, err := parseRule(rule)
	if err != nil {
		return e, err
	}
	remote, err := parsePK(far)
	if err != nil {
		return e, err
	}
	if e.Desc = describe(remote, n.r.pk, 50000, port); starts {
		e.Desc = describe(remote, n.r.pk, port, 50000)
	}
	e.Reverse = newRule(consume, *n.o.keep, key, e.Desc, 0, uuid{})
	e.Forward = newRule(forward, *n.o.keep, key+1<<20, e.Desc.invert(), next, newEntry(n.r.pk, by, "stcp").ID)
	n.r.rules.save(e.Forward, e.Reverse)
	return e, n.wait(e.Forward.tp())
}

func (n *node) dial(to Addr) (*group, error) {
	var e EdgeRules
	var err error
	if *n.o.edge != "" {
		e, err = n.staticEdge(to.Port, true)
	} else {
		e, err = n.askEdge(to)
	}
	if err != nil {
		return nil, err
	}
	g, err := n.r.open(e, true)
	if err != nil {
		return nil, err
	}
	if err = g.establish(); err != nil {
		g.end(err)
		return nil, err
	}
	return g, nil
}

func (n *node) askEdge(to Addr) (e EdgeRules, err error) {
	setup, err := parsePK(*n.o.setup)
	if err != nil {
		return e, err
	}
	if n.s == nil {
		return e, errors.New("a set-up node is asked by a server")
	}
	path, err := parsePath(*n.o.via)
	if err != nil {
		return e, err
	}
	path = append(append([]PubKey{n.r.pk}, path...), to.PK)
	port := uint16(49153 + atomic.AddUint32(&n.ports, 1)%(65536-49153))
	if e, err = n.o.ask(n.c, n.s, setup, path, port, to.Port); err == nil {
		n.r.rules.save(e.Forward, e.Reverse)
	}
	return e, err
}

// ---- commands ----

// join moves standard input to the group and what comes to standard output. The end of the input closes it, when so
// much has come as is expected.
func (n *node) join(g *group) error {
	g.patience = time.Minute // the process ends with it, and what is still on its way
	begin := time.Now()
	in, out := make(chan error, 1), make(chan error, 1)
	go func() {
		sent, err := io.Copy(g, os.Stdin)
		if err != nil || sent > 0 {
			in <- err
		}
	}()
	enough := make(chan struct{})
	go func() {
		_, err := io.Copy(os.Stdout, io.LimitReader(g, int64(*n.o.expect)))
		close(enough)
		if err == nil {
			_, err = io.Copy(os.Stdout, g)
		}
		out <- err
	}()
	var err error
	select {
	case err = <-in:
		if err == nil {
			<-enough
		}
	case err = <-out:
	}
	took := time.Since(begin).Seconds()
	g.Close()
	time.Sleep(200 * time.Millisecond) // the last words are on their way
	sent, got := atomic.LoadUint64(&g.sent), atomic.LoadUint64(&g.got)
	tell("%.3f s, sent %.1f MB/s, got %.1f MB/s", took, float64(sent)/took/1e6, float64(got)/took/1e6)
	if err == nil && got < *n.o.expect {
		err = fmt.Errorf("%d bytes came, not %d", got, *n.o.expect)
	}
	return err
}

func runRouteDial(o *options) error {
	to, err := parseAddr(o.args[0])
	if err != nil {
		return err
	}
	events = os.Stderr
	n, err := newNode(o)
	if err != nil {
		return err
	}
	g, err := n.dial(to)
	if err != nil {
		return err
	}
	return n.join(g)
}

func runRouteListen(o *options) error {
	port, err := strconv.ParseUint(o.args[0], 10, 16)
	if err != nil {
		return err
	}
	events = os.Stderr
	n, err := newNode(o)
	if err != nil {
		return err
	}
	first, failed := make(chan *group, 1), make(chan error, 1)
	n.r.accepts[uint16(port)] = func(g *group) { first <- g }
	n.r.failed = func(err error) { failed <- err }
	if *o.edge != "" {
		e, err := n.staticEdge(uint16(port), false)
		if err != nil {
			return err
		}
		g, err := n.r.open(e, false)
		if err != nil {
			return err
		}
		g.limit = time.Minute // nobody tells when the other end begins
		go n.r.respond(g)
	}
	tell("ready")
	select {
	case g := <-first:
		return n.join(g)
	case err = <-failed:
		return err
	}
}

func runNode(o *options) error {
	n, err := newNode(o)
	if err != nil {
		return err
	}
	if *o.echo != 0 {
		n.r.accepts[uint16(*o.echo)] = func(g *group) {
			_, err := io.Copy(g, g)
			g.Close()
			tell("echo to %v over: %v", g.remote(), err)
		}
	}
	tell("ready")
	select {}
}

func runStcp(o *options) error {
	pk, address, err := splitServer(o.args[0])
	if err != nil {
		return err
	}
	t, err := o.newStcp(nil).dial(pk, address)
	if err != nil {
		return err
	}
	if err = t.ping(); err == nil {
		tell("up %v", t.id)
		err = t.read(func(p packet) { tell("packet %x", []byte(p)) })
	}
	return err
}
