package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

// setupNode lays routes as Skywire's does (skywire-routing 5.3): ids at all nodes at once, rules in the middle at
// once, then the responder's.
type setupNode struct {
	c *client
	s *session
}

const (
	consume = iota
	forward
	intermediary
)

func newRule(kind byte, keep time.Duration, key RouteID, d RouteDescriptor, next RouteID, tp uuid) Rule {
	r := binary.BigEndian.AppendUint64(nil, uint64(keep))
	r = append(r, kind)
	r = binary.BigEndian.AppendUint32(r, uint32(key))
	if kind != intermediary {
		r = append(r, d[:]...)
	}
	if kind != consume {
		r = binary.BigEndian.AppendUint32(r, uint32(next))
		r = append(r, tp[:]...)
		r = append(r, make([]byte, 17)...)
	}
	return r
}

func (d RouteDescriptor) invert() (out RouteDescriptor) {
	copy(out[:33], d[33:66])
	copy(out[33:66], d[:33])
	copy(out[66:], d[68:])
	copy(out[68:], d[66:68])
	return out
}

// all runs f for each key at once; the first error.
func all(keys []PubKey, f func(PubKey) error) error {
	done := make(chan error, len(keys))
	for _, pk := range keys {
		go func(pk PubKey) { done <- f(pk) }(pk)
	}
	var first error
	for range keys {
		if err := <-done; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// What one route needs at its nodes.
type laying struct {
	mu    sync.Mutex
	calls map[PubKey]*rpc.Client
	ids   map[PubKey][]RouteID
	rules map[PubKey][]Rule
}

func (l *laying) pop(pk PubKey) RouteID {
	id := l.ids[pk][0]
	l.ids[pk] = l.ids[pk][1:]
	return id
}

// path fills in the rules of the middle; returns those of its two ends.
func (l *laying) path(hops []Hop, keep time.Duration, d RouteDescriptor) (first, last Rule) {
	id := l.pop(hops[0].From)
	for i, h := range hops {
		next := l.pop(h.To)
		if i == 0 {
			first = newRule(forward, keep, id, d, next, h.TpID)
		} else {
			l.rules[h.From] = append(l.rules[h.From], newRule(intermediary, keep, id, d, next, h.TpID))
		}
		id = next
	}
	return first, newRule(consume, keep, id, d, 0, uuid{})
}

func (n *setupNode) reserve(l *laying, pk PubKey, count int) error {
	conn, err := n.c.dial(n.s, Addr{pk, gatewayPort})
	if err != nil {
		return err
	}
	call := rpc.NewClient(conn)
	l.mu.Lock()
	l.calls[pk] = call
	l.mu.Unlock()
	var ids []RouteID
	if err = call.Call("RPCGateway.ReserveIDs", uint8(count), &ids); err != nil {
		return err
	}
	if len(ids) != count {
		return fmt.Errorf("%d ids, not %d", len(ids), count)
	}
	l.mu.Lock()
	l.ids[pk] = ids
	l.mu.Unlock()
	return nil
}

func (n *setupNode) DialRouteGroup(r BidirectionalRoute, e *EdgeRules) error {
	if len(r.Forward) == 0 || len(r.Reverse) == 0 {
		return errors.New("bidirectional route does not have forward or reverse hops")
	}
	counts := map[PubKey]int{r.Forward[0].From: 1}
	counts[r.Reverse[0].From]++
	for _, h := range append(append([]Hop{}, r.Forward...), r.Reverse...) {
		counts[h.To]++
	}
	var keys []PubKey
	for pk := range counts {
		keys = append(keys, pk)
	}
	l := &laying{calls: map[PubKey]*rpc.Client{}, ids: map[PubKey][]RouteID{}, rules: map[PubKey][]Rule{}}
	defer func() {
		for _, call := range l.calls {
			call.Close()
		}
	}()
	if err := all(keys, func(pk PubKey) error { return n.reserve(l, pk, counts[pk]) }); err != nil {
		return err
	}
	sends, ends := l.path(r.Forward, r.KeepAlive, r.Desc)
	back, takes := l.path(r.Reverse, r.KeepAlive, r.Desc.invert())
	keys = nil
	for pk := range l.rules {
		keys = append(keys, pk)
	}
	var ok bool
	err := all(keys, func(pk PubKey) error {
		var ok bool
		return l.calls[pk].Call("RPCGateway.AddIntermediaryRules", l.rules[pk], &ok)
	})
	if err == nil {
		responder := r.Reverse[0].From
		err = l.calls[responder].Call("RPCGateway.AddEdgeRules", EdgeRules{r.Desc, back, ends}, &ok)
	}
	*e = EdgeRules{r.Desc.invert(), sends, takes}
	return err
}

func runSetup(o *options) error {
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	n := &setupNode{newClient(o.sk, *o.gen, *o.pq), s}
	server := rpc.NewServer()
	if err = server.RegisterName("SetupRPCGateway", n); err != nil {
		return err
	}
	fmt.Println("ready")
	return n.c.accept(s, setupPort, func(conn net.Conn, from Addr) { server.ServeConn(conn) })
}

// ---- load on a set-up node ----

const (
	loadNodes = 16
	loadHops  = 3
)

type loadNode struct {
	c *client
	s *session
}

// one route from that node on, by the next ones.
func (n *loadNode) route(o *options, setup PubKey, nodes []*loadNode, first int) error {
	var path []PubKey
	for i := 0; i <= loadHops; i++ {
		path = append(path, nodes[(first+i)%len(nodes)].c.pk)
	}
	_, err := o.ask(n.c, n.s, setup, path, 50000, 3)
	return err
}

// Asks a set-up node (the first argument) for so many routes (the second) over three hops, between nodes of our own;
// one at a time for a while, then many at once. Prints the median of the first in microseconds.
func runLoad(o *options) error {
	setup, err := parsePK(o.args[0])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(o.args[1])
	if err != nil {
		return err
	}
	quiet = true
	var nodes []*loadNode
	for i := 0; i < loadNodes; i++ {
		o.sk = newKey()
		n := &loadNode{c: newClient(o.sk, *o.gen, *o.pq)}
		if n.s, err = o.session(nil); err != nil {
			return err
		}
		nodes = append(nodes, n)
		go func() { fmt.Fprintln(os.Stderr, o.serveGateway(n.c, n.s, newTable(), noEdge)) }()
	}
	var idle []int
	for i := 0; i < 20; i++ {
		begin := time.Now()
		if err = nodes[0].route(o, setup, nodes, 0); err != nil {
			return err
		}
		idle = append(idle, int(time.Since(begin)/time.Microsecond))
	}
	sort.Ints(idle)
	fmt.Println(idle[len(idle)/2])
	work := make(chan struct{}, count)
	for i := 0; i < count; i++ {
		work <- struct{}{}
	}
	close(work)
	done := make(chan error, loadNodes)
	for i := 0; i < loadNodes; i++ {
		go func(n *loadNode, first int) {
			for range work {
				if err := n.route(o, setup, nodes, first); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}(nodes[i], i)
	}
	for range nodes {
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}
