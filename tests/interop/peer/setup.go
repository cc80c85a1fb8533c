package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	setupPort   = 36
	gatewayPort = 136
)

// What routes are set up with (skywire-routing 2 and 5).
type uuid [16]byte

func (u uuid) MarshalBinary() ([]byte, error) { return u[:], nil }
func (u *uuid) UnmarshalBinary(b []byte) error {
	if copy(u[:], b) != len(u) || len(b) != len(u) {
		return errors.New("no UUID")
	}
	return nil
}

type RouteDescriptor [70]byte
type RouteID uint32
type Rule []byte

type Hop struct {
	TpID     uuid
	From, To PubKey
}

type BidirectionalRoute struct {
	Desc      RouteDescriptor
	KeepAlive time.Duration
	Forward   []Hop
	Reverse   []Hop
}

type EdgeRules struct {
	Desc    RouteDescriptor
	Forward Rule
	Reverse Rule
}

func describe(src, dst PubKey, srcPort, dstPort uint16) (d RouteDescriptor) {
	copy(d[:33], src[:])
	copy(d[33:66], dst[:])
	binary.BigEndian.PutUint16(d[66:], srcPort)
	binary.BigEndian.PutUint16(d[68:], dstPort)
	return d
}

// A rule in words; an error for one that a visor would not take.
func (r Rule) String() string {
	lengths := map[byte]int{0: 83, 1: 120, 2: 50}
	kinds := map[byte]string{0: "consume", 1: "forward", 2: "intermediary"}
	if len(r) < 13 || lengths[r[8]] != len(r) {
		return fmt.Sprintf("bad %x", []byte(r))
	}
	s := fmt.Sprintf("%s keep=%v key=%d", kinds[r[8]], time.Duration(binary.BigEndian.Uint64(r)),
		binary.BigEndian.Uint32(r[9:]))
	if r[8] == 0 {
		return s
	}
	next := r[len(r)-37:]
	return fmt.Sprintf("%s next=%d tp=%x", s, binary.BigEndian.Uint32(next), next[4:20])
}

// A visor's end of route set-up: ids from a counter, rules are printed.
type gateway struct {
	mu     sync.Mutex
	last   RouteID
	refuse string
}

func (g *gateway) tell(method, format string, args ...interface{}) error {
	if g.refuse == method {
		return fmt.Errorf("failure code 1 (%s is refused)", method)
	}
	if quiet {
		return nil
	}
	fmt.Printf(format+"\n", args...)
	return nil
}

func (g *gateway) ReserveIDs(n uint8, ids *[]RouteID) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuse == "ReserveIDs" {
		return errors.New("failure code 4 (no ids)")
	}
	for ; n > 0; n-- {
		g.last++
		*ids = append(*ids, g.last)
	}
	return nil
}

func (g *gateway) AddIntermediaryRules(rules []Rule, ok *bool) error {
	for _, r := range rules {
		if err := g.tell("AddIntermediaryRules", "%v", r); err != nil {
			return err
		}
	}
	*ok = true
	return nil
}

func (g *gateway) AddEdgeRules(e EdgeRules, ok *bool) error {
	*ok = true
	return g.tell("AddEdgeRules", "edge\n%v\n%v", e.Forward, e.Reverse)
}

// Later versions can take rules back.
type laterGateway struct{ *gateway }

func (g laterGateway) DelRules(ids []RouteID, ok *bool) error {
	*ok = true
	return g.tell("DelRules", "deleted %v", ids)
}

// Serves set-up nodes on a session until it ends.
func (o *options) serveGateway(c *client, s *session) error {
	server := rpc.NewServer()
	g := &gateway{refuse: *o.refuse}
	var err error
	if *o.gen >= 2026 {
		err = server.RegisterName("RPCGateway", laterGateway{g})
	} else {
		err = server.RegisterName("RPCGateway", g)
	}
	if err != nil {
		return err
	}
	return c.accept(s, gatewayPort, func(conn net.Conn, from Addr) { server.ServeConn(conn) })
}

func runGateway(o *options) error {
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return o.serveGateway(newClient(o.sk, *o.gen, *o.pq), s)
}

func hops(path []PubKey) (list []Hop) {
	for i := 0; i+1 < len(path); i++ {
		h := Hop{From: path[i], To: path[i+1]}
		low, high := h.From, h.To // both ways by the same transport
		if low.String() > high.String() {
			low, high = high, low
		}
		id := hashOf(append(low[:], high[:]...))
		copy(h.TpID[:], id[:])
		list = append(list, h)
	}
	return list
}

// Asks a set-up node (the first argument) for a route by the keys of the second one, ours first.
func runRoute(o *options) error {
	setup, err := parsePK(o.args[0])
	if err != nil {
		return err
	}
	c := newClient(o.sk, *o.gen, *o.pq)
	path := []PubKey{c.pk}
	for _, text := range strings.Split(o.args[1], ",") {
		pk, err := parsePK(text)
		if err != nil {
			return err
		}
		path = append(path, pk)
	}
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	go func() { fmt.Fprintln(os.Stderr, o.serveGateway(c, s)) }()
	conn, err := c.dial(s, Addr{setup, setupPort})
	if err != nil {
		return err
	}
	back := make([]PubKey, len(path))
	for i, pk := range path {
		back[len(path)-1-i] = pk
	}
	dst := path[len(path)-1]
	route := BidirectionalRoute{describe(c.pk, dst, 50000, 3), *o.keep, hops(path), hops(back)}
	var e EdgeRules
	node := rpc.NewClient(conn)
	defer node.Close()
	if err = node.Call("SetupRPCGateway.DialRouteGroup", route, &e); err != nil {
		return err
	}
	if e.Desc != describe(dst, c.pk, 3, 50000) {
		return fmt.Errorf("descriptor %x", e.Desc)
	}
	fmt.Printf("edge\n%v\n%v\n", e.Forward, e.Reverse)
	return nil
}
