package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ---- rules (skywire-routing 2) ----

func (r Rule) keep() time.Duration   { return time.Duration(binary.BigEndian.Uint64(r)) }
func (r Rule) kind() byte            { return r[8] }
func (r Rule) key() RouteID          { return RouteID(binary.BigEndian.Uint32(r[9:])) }
func (r Rule) desc() RouteDescriptor { return *(*RouteDescriptor)(r[13:]) }
func (r Rule) next() RouteID         { return RouteID(binary.BigEndian.Uint32(r[len(r)-37:])) }
func (r Rule) tp() uuid              { return *(*uuid)(r[len(r)-33:]) }

type usedRule struct {
	Rule
	used time.Time
}

func (u *usedRule) expired(now time.Time) bool { return now.Sub(u.used) > u.keep() }

type table struct {
	mu    sync.Mutex
	rules map[RouteID]*usedRule
	last  RouteID
}

func newTable() *table { return &table{rules: map[RouteID]*usedRule{}} }

func (t *table) reserve(n uint8) (ids []RouteID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; n > 0; n-- {
		t.last++
		ids = append(ids, t.last)
	}
	return ids
}

func (t *table) save(rules ...Rule) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range rules {
		t.rules[r.key()] = &usedRule{r, time.Now()}
		if t.last < r.key() {
			t.last = r.key()
		}
	}
}

// find refreshes rules that end here; others are by what was sent (2.5).
func (t *table) find(id RouteID) *usedRule {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.rules[id]
	if u == nil || u.expired(now) {
		return nil
	}
	if u.kind() == consume {
		u.used = now
	}
	return u
}

func (t *table) touch(u *usedRule) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u.used = time.Now()
}

func (t *table) drop(ids ...RouteID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		delete(t.rules, id)
	}
}

// sweep takes what has expired out.
func (t *table) sweep() (gone []Rule) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, u := range t.rules {
		if u.expired(now) {
			gone = append(gone, u.Rule)
			delete(t.rules, id)
		}
	}
	return gone
}

// ---- router (skywire-routing 3) ----

type router struct {
	o       *options
	pk      PubKey
	rules   *table
	mu      sync.Mutex
	tps     map[uuid]*transport
	groups  map[RouteDescriptor]*group
	accepts map[uint16]func(*group)
	failed  func(error) // of who waits for one group
	dropped uint64      // packets
	flips   int32       // groups with a bit that is turned
}

func newRouter(o *options) *router {
	r := &router{o: o, pk: o.sk.pub(), rules: newTable(), tps: map[uuid]*transport{},
		groups: map[RouteDescriptor]*group{}, accepts: map[uint16]func(*group){}}
	period := 5 * time.Second
	if *o.gen >= 2026 {
		period = 10 * time.Second
	}
	go func() {
		for range time.Tick(period) {
			for _, rule := range r.rules.sweep() {
				tell("expired %v", rule)
				if g := r.groupOf(rule); g != nil {
					go g.Close()
				}
			}
		}
	}()
	return r
}

func (r *router) transport(id uuid) *transport {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tps[id]
}

func (r *router) groupOf(rule Rule) *group {
	if rule.kind() == intermediary {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.groups[rule.desc()]
}

func (r *router) add(t *transport, how string) {
	r.mu.Lock()
	r.tps[t.id] = t
	r.mu.Unlock()
	tell("transport %v up, %s", t.peer, how)
}

// run takes the packets of a transport until it ends, and then ends the groups on it.
func (r *router) run(t *transport) error {
	err := t.read(r.take)
	t.conn.Close()
	r.mu.Lock()
	delete(r.tps, t.id)
	for _, g := range r.groups {
		if g.tp == t {
			go g.end(fmt.Errorf("transport to %v: %w", t.peer, err))
		}
	}
	r.mu.Unlock()
	tell("transport %v down, sent %d got %d", t.peer, atomic.LoadUint64(&t.sent), atomic.LoadUint64(&t.got))
	return err
}

func (r *router) take(p packet) {
	u := r.rules.find(p.id())
	if u == nil {
		r.lose(p, "no rule")
		return
	}
	if p.kind() == pktClose {
		r.rules.drop(u.key())
	}
	if u.kind() != consume {
		if u.kind() == intermediary || (p.kind() != pktKeepAlive && p.kind() != pktClose) {
			r.forward(u, p)
		}
		return
	}
	if p.kind() == pktKeepAlive {
		return
	}
	if g := r.groupOf(u.Rule); g != nil {
		g.take(p)
	} else {
		r.lose(p, "no group")
	}
}

func (r *router) lose(p packet, why string) {
	atomic.AddUint64(&r.dropped, 1)
	logf("packet %x: %s", p[:7], why)
}

func (r *router) forward(u *usedRule, p packet) {
	t := r.transport(u.tp())
	if t == nil {
		r.lose(p, "no transport")
		return
	}
	if err := t.send(p.next(u.next(), *r.o.gen)); err != nil {
		r.lose(p, err.Error())
		return
	}
	r.rules.touch(u)
}

// open makes a group out of rules that are saved already.
func (r *router) open(e EdgeRules, initiator bool) (*group, error) {
	t := r.transport(e.Forward.tp())
	if t == nil {
		return nil, fmt.Errorf("no transport %v", e.Forward.tp())
	}
	g := newGroup(r, t, e, initiator)
	r.mu.Lock()
	old := r.groups[e.Desc]
	if old != nil && !old.ready {
		r.mu.Unlock()
		return nil, errors.New("such a group is being set up")
	}
	r.groups[e.Desc] = g
	r.mu.Unlock()
	if old != nil {
		go old.Close()
	}
	return g, nil
}

// respond is what a node does whose rules of an edge have been set up: it waits for who dials.
func (r *router) respond(g *group) {
	if err := g.establish(); err != nil {
		tell("group %v failed: %v", g.remote(), err)
		g.end(err)
		if r.failed != nil {
			r.failed(err)
		}
		return
	}
	tell("group %v up", g.remote())
	port := binary.BigEndian.Uint16(g.e.Desc[68:])
	if use := r.accepts[port]; use != nil {
		use(g)
		return
	}
	g.send(newPacket(pktError, g.e.Forward.next(), []byte(fmt.Sprintf("no listener on port %d, service offline", port))))
	g.Close()
}
