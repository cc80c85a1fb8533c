package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Every bit of what a caller says before a transport stands is turned, one in each handshake: get_nonce, the signed frame,
// noise, the sealed entry. The other end has to end each of them, in time; it may take only what Go takes, too.

const flipPatience = 30 * time.Second // its own limits are 10, 5 and 20 s

// flipConn turns one bit of all that is written. It has one limit, which those of the handshake don't change.
type flipConn struct {
	net.Conn
	bit   int
	wrote []byte
	heard atomic.Bool // something, since the bit was turned
}

func (c *flipConn) SetDeadline(time.Time) error { return nil }

func (c *flipConn) Write(p []byte) (int, error) {
	p = append([]byte{}, p...)
	if at := c.bit/8 - len(c.wrote); at >= 0 && at < len(p) {
		p[at] ^= 1 << (c.bit % 8)
	}
	c.wrote = append(c.wrote, p...)
	return c.Conn.Write(p)
}

func (c *flipConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.turned() {
		c.heard.Store(true)
	}
	return n, err
}

func (c *flipConn) turned() bool { return c.bit/8 < len(c.wrote) }

// Whether Go would take this frame 2: names of JSON may be written otherwise.
func (c *flipConn) isGood() bool {
	var f helloFrame
	if c.bit/8 < 9 || json.NewDecoder(bytes.NewReader(c.wrote[9:])).Decode(&f) != nil {
		return false
	}
	return verify(f.SrcAddr.PK, f.Sig, f.text()) == nil
}

// packetFlip turns one bit of the packets of a group: of type and payload, for what is between says where they end, and
// whose they are.
type packetFlip struct {
	bit, said int
	turned    bool
}

func (f *packetFlip) turn(p packet) packet {
	bits := 8 * (1 + len(p.payload()))
	if at := f.bit - f.said; at >= 0 && at < bits {
		p = append(packet{}, p...)
		if at >= 8 {
			at += 8 * 6
		}
		p[at/8] ^= 1 << (at % 8)
		f.turned = true
	}
	f.said += bits
	return p
}

type flips struct {
	peer    PubKey
	address string
	next    int32
	mu      sync.Mutex
	ends    map[string]int // what came of them
}

func (f *flips) count(what string) {
	f.mu.Lock()
	f.ends[what]++
	f.mu.Unlock()
}

// try is one handshake. False: this bit is beyond all that is said.
func (f *flips) try(s *stcp, from net.IP, bit int) (bool, error) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: from}}
	tcp, err := d.Dial("tcp", f.address)
	if err != nil {
		return false, err
	}
	defer tcp.Close()
	tcp.SetDeadline(time.Now().Add(flipPatience))
	c := &flipConn{Conn: tcp, bit: bit}
	_, err = s.connect(c, f.peer)
	switch {
	case err == nil && !c.turned():
		return false, nil
	case err == nil && c.isGood():
		f.count("taken, as Go does")
		return true, nil
	case err == nil:
		return false, fmt.Errorf("bit %d: taken: %x", bit, c.wrote)
	case strings.Contains(err.Error(), "too many calls"):
		return f.again(s, from, bit)
	case !c.turned():
		return false, fmt.Errorf("bit %d: nothing is wrong with it: %w", bit, err)
	}
	if _, over := io.Copy(io.Discard, tcp); errors.Is(over, net.ErrClosed) || isTimeout(over) || isTimeout(err) {
		return false, fmt.Errorf("bit %d: not ended in %v: %v, %v", bit, flipPatience, err, over)
	}
	f.count(strings.SplitN(err.Error(), ":", 2)[0])
	return true, nil
}

func (f *flips) again(s *stcp, from net.IP, bit int) (bool, error) {
	f.count("told to come later")
	time.Sleep(500 * time.Millisecond)
	return f.try(s, from, bit)
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// bit is the one that is to be turned next.
func (f *flips) bit() int { return int(atomic.AddInt32(&f.next, 1) - 1) }

// atOnce has n try one after the other, each until there is no more.
func (f *flips) atOnce(n int, try func(i int) (bool, error)) error {
	done := make(chan error, n)
	for i := 0; i < n; i++ {
		go func(i int) {
			more, err := true, error(nil)
			for more && err == nil {
				more, err = try(i)
			}
			done <- err
		}(i)
	}
	var err error
	for i := 0; i < n; i++ {
		if e := <-done; e != nil {
			fmt.Println(e)
			err = errors.New("not each bit was borne")
		}
	}
	return err
}

// runFlipGroups makes groups to a port, each with a bit turned, until one had none: the bits of a Handshake that say the same
// are the only ones that may be taken.
func runFlipGroups(o *options) error {
	to, err := parseAddr(o.args[0])
	if err != nil {
		return err
	}
	*o.fault = "flip"
	events = io.Discard
	n, err := newNode(o)
	if err != nil {
		return err
	}
	const many = 16
	f := &flips{ends: map[string]int{}}
	err = f.atOnce(many, func(int) (bool, error) { return f.tryGroup(n, to) })
	fmt.Println(int(n.r.flips)-many, "bits:", f.ends)
	return err
}

func (f *flips) tryGroup(n *node, to Addr) (bool, error) {
	e, err := n.askEdge(to)
	if err != nil {
		return false, fmt.Errorf("set-up: %w", err)
	}
	g, err := n.r.open(e, true)
	if err != nil {
		return false, err
	}
	flip := g.flip
	if err = g.establish(); err != nil {
		g.Close()
		if !flip.turned {
			return false, fmt.Errorf("bit %d: nothing is wrong with it: %w", flip.bit, err)
		}
		f.count(err.Error())
		return true, nil
	}
	g.Close()
	if !flip.turned {
		return false, nil
	}
	if flip.bit < 9 || flip.bit > 15 { // any value but 0 asks for a seal
		return false, fmt.Errorf("bit %d: taken", flip.bit)
	}
	f.count("taken, as Go does")
	return true, nil
}

// runFlipCalls turns each bit of a set-up node's calls at a node: ids, and a rule to a neighbour. A call that is changed may well be
// good; it has to be answered, or the stream has to end.
func runFlipCalls(o *options) error {
	to, err := parsePK(o.args[0])
	if err != nil {
		return err
	}
	by, err := parsePK(o.args[1])
	if err != nil {
		return err
	}
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	n := &setupNode{newClient(o.sk, *o.gen, *o.pq), s}
	rule := newRule(intermediary, *o.keep, 1, RouteDescriptor{}, 7, newEntry(to, by, "stcp").ID)
	const many = 128 // most of what it does is to wait for the end of those that lack something
	f := &flips{ends: map[string]int{}}
	err = f.atOnce(many, func(int) (bool, error) { return f.tryCalls(n, to, rule, f.bit()) })
	fmt.Println(int(f.next)-many, "bits:", f.ends)
	return err
}

func (f *flips) tryCalls(n *setupNode, to PubKey, rule Rule, bit int) (bool, error) {
	conn, err := n.c.dial(n.s, Addr{to, gatewayPort})
	if err != nil {
		return false, err
	}
	defer conn.Close()
	c := &flipConn{Conn: conn, bit: bit}
	call := rpc.NewClient(c)
	over := make(chan error, 1)
	go func() {
		var ids []RouteID
		var ok bool
		err := call.Call("RPCGateway.ReserveIDs", uint8(1), &ids)
		if err == nil && len(ids) > 0 {
			r := append(Rule{}, rule...)
			binary.BigEndian.PutUint32(r[9:], uint32(ids[0]))
			err = call.Call("RPCGateway.AddIntermediaryRules", []Rule{r}, &ok)
		}
		over <- err
	}()
	late := false
	select {
	case err = <-over:
	case <-time.After(2 * flipPatience):
		if !c.heard.Load() {
			return false, fmt.Errorf("bit %d: neither answered nor ended in %v", bit, 2*flipPatience)
		}
		late, err = true, errors.New("no answer with our number")
	}
	if !c.turned() {
		return false, err
	}
	var refusal rpc.ServerError
	switch {
	case err == nil:
		f.count("taken")
	case errors.As(err, &refusal):
		f.count("refused")
	case late:
		f.count("answered with another number")
	default:
		f.count("ended")
	}
	return true, nil
}

// The key of the nth caller.
func (o *options) callerKey(n int) SecKey {
	return SecKey(hashOf(binary.BigEndian.AppendUint32(o.sk[:], uint32(n))))
}

func runCallers(o *options) error {
	n, err := strconv.Atoi(o.args[0])
	for i := 0; i < n; i++ {
		fmt.Println(o.callerKey(i).pub())
	}
	return err
}

func runFlip(o *options) error {
	peer, address, err := splitServer(o.args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(o.args[1])
	if err != nil {
		return err
	}
	from := net.ParseIP(*o.from).To4()
	if from == nil {
		return errors.New("-from is an IPv4 address")
	}
	f := &flips{peer: peer, address: address, ends: map[string]int{}}
	callers, ips := make([]*stcp, n), make([]net.IP, n)
	for i := range callers {
		sk := o.callerKey(i)
		callers[i] = &stcp{sk: sk, pk: sk.pub()}
		ips[i] = append(net.IP{}, from...)
		ips[i][3] += byte(i)
	}
	err = f.atOnce(n, func(i int) (bool, error) { return f.try(callers[i], ips[i], f.bit()) })
	fmt.Println(int(f.next)-n, "bits:", f.ends)
	return err
}
