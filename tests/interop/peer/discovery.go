package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

const entryMax = 64 * 1024

type entryClient struct {
	DelegatedServers []PubKey `json:"delegated_servers"`
}

type entryServer struct {
	Address           string `json:"address"`
	AddressV6         string `json:"address_v6,omitempty"`
	AddressUDP        string `json:"address_udp,omitempty"`
	AddressUDPv6      string `json:"address_udp_v6,omitempty"`
	AddressWS         string `json:"address_ws,omitempty"`
	AvailableSessions int    `json:"availableSessions"`
	ServerType        string `json:"serverType,omitempty"`
	DHTBootstrap      bool   `json:"dht_bootstrap,omitempty"`
}

// The members of 2026; their order is what the signature covers (dmsg 8.1).
type entry struct {
	Version    string       `json:"version"`
	Sequence   uint64       `json:"sequence"`
	Timestamp  int64        `json:"timestamp"`
	Static     PubKey       `json:"static"`
	Client     *entryClient `json:"client,omitempty"`
	ClientType string       `json:"client_type,omitempty"`
	Server     *entryServer `json:"server,omitempty"`
	Signature  string       `json:"signature,omitempty"`
	Protocol   string       `json:"protocol,omitempty"`
}

func (e entry) text() []byte {
	e.Signature = ""
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		panic(err)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

func (e *entry) sign(sk SecKey) {
	s := sk.sign(e.text())
	e.Signature = hex.EncodeToString(s[:])
}

func (e *entry) isSigned() bool {
	b, err := hex.DecodeString(e.Signature)
	return err == nil && len(b) == len(Sig{}) && verify(e.Static, *(*Sig)(b), e.text()) == nil
}

type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

func invalid(text string) error { return refusal{422, "entry validation error: " + text} }

// The rules of dmsg 8.2, in their order; test mode, so any address will do.
func (e *entry) check(now time.Time) error {
	switch {
	case e.Version == "":
		return invalid("entry has no version")
	case e.Signature == "":
		return invalid("entry has no signature")
	case e.Static.isNull():
		return invalid("entry Keys is nil")
	case e.Client == nil && e.Server == nil:
		return invalid("entry has neither client or server field")
	case e.Server != nil && e.Server.Address == "":
		return invalid("server address cannot be empty")
	}
	age := now.Sub(time.Unix(0, e.Timestamp))
	if e.Client == nil && (age > time.Minute || age < -5*time.Second) {
		return invalid("advertised entry has outdated timestamp")
	}
	if !e.isSigned() {
		return refusal{401, "invalid signature"}
	}
	return nil
}

type stored struct {
	e     entry
	until time.Time
}

// discovery is as bare as one can be: entries in memory, the requests that clients and servers make.
type discovery struct {
	gen   int
	mu    sync.Mutex
	entry map[PubKey]stored
}

func newDiscovery(gen int) *discovery { return &discovery{gen: gen, entry: map[PubKey]stored{}} }

func (d *discovery) get(pk PubKey) (entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, found := d.entry[pk]
	if !found || time.Now().After(s.until) {
		return entry{}, refusal{404, "entry of public key is not found"}
	}
	return s.e, nil
}

func (d *discovery) put(e entry) (string, error) {
	now := time.Now()
	if err := e.check(now); err != nil {
		return "", err
	}
	if e.Server != nil {
		e.Server.ServerType = "community"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ttl := time.Hour
	if e.Server != nil {
		ttl = 2 * time.Minute
	}
	text := "wrote a new entry"
	if old, found := d.entry[e.Static]; found && now.Before(old.until) {
		if e.Sequence <= old.e.Sequence {
			return "", invalid("sequence field of new entry is not sequence of old entry + 1")
		}
		if e.Timestamp < old.e.Timestamp {
			return "", invalid("advertised entry timestamp is not greater than previous")
		}
		text = "wrote new entry iteration"
	}
	d.entry[e.Static] = stored{e, now.Add(ttl)}
	return text, nil
}

func (d *discovery) remove(e entry) (string, error) {
	if err := e.check(time.Now()); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.entry, e.Static)
	return "deleted entry", nil
}

func (d *discovery) servers(all bool) ([]entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []entry{}
	for _, s := range d.entry {
		if s.e.Server != nil && time.Now().Before(s.until) && (all || s.e.Server.AvailableSessions > 0) {
			list = append(list, s.e)
		}
	}
	if len(list) == 0 {
		return nil, refusal{404, "no delegated dmsg servers available for remote"}
	}
	sort.Slice(list, func(i, k int) bool {
		return list[i].Server.AvailableSessions > list[k].Server.AvailableSessions
	})
	return list, nil
}

func (d *discovery) clients() []PubKey {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []PubKey{}
	for pk, s := range d.entry {
		if s.e.Client != nil && time.Now().Before(s.until) {
			list = append(list, pk)
		}
	}
	return list
}

// One of 2024 does not know the members of 2026, so they are not under the signature it checks.
func (d *discovery) read(r *http.Request) (e entry, err error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, entryMax))
	if err == nil {
		err = json.Unmarshal(body, &e)
	}
	if err != nil {
		return e, refusal{500, "something unexpected happened"}
	}
	if d.gen < 2026 {
		e.Protocol = ""
		if v := e.Server; v != nil {
			e.Server = &entryServer{Address: v.Address, AvailableSessions: v.AvailableSessions, ServerType: v.ServerType}
		}
	}
	return e, nil
}

func (d *discovery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const base = "/dmsg-discovery/"
	var answer interface{}
	var text string
	err := error(refusal{404, "404 page not found"})
	path := strings.TrimPrefix(r.URL.Path, base)
	switch {
	case r.URL.Path == "/health":
		answer, err = map[string]string{"started_at": "now"}, nil
	case r.Method == http.MethodGet && strings.HasPrefix(path, "entry/"):
		var pk PubKey
		if pk, err = parsePK(path[len("entry/"):]); err != nil {
			err = refusal{400, "error bad input"}
		} else {
			answer, err = d.get(pk)
		}
	case r.Method == http.MethodPost && strings.HasPrefix(path, "entry/"):
		var e entry
		if e, err = d.read(r); err == nil {
			text, err = d.put(e)
		}
	case r.Method == http.MethodDelete && path == "entry":
		var e entry
		if e, err = d.read(r); err == nil {
			text, err = d.remove(e)
		}
	case r.Method == http.MethodGet && (path == "available_servers" || path == "all_servers"):
		answer, err = d.servers(path == "all_servers")
	case r.Method == http.MethodGet && path == "entries":
		answer, err = d.clients(), nil
	}
	status := http.StatusOK
	var no refusal
	if errors.As(err, &no) {
		status, text = no.status, no.text
	}
	if text != "" {
		answer = map[string]interface{}{"message": text, "code": status}
	}
	logf("%s %s: %d %s", r.Method, r.URL.Path, status, text)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}

func serveDiscovery(address string, gen int) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready", l.Addr())
	return http.Serve(l, newDiscovery(gen))
}

// ---- the side of who publishes and asks ----

type discoClient struct{ url string }

func (c discoClient) do(method, path string, in, out interface{}) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequest(method, c.url+"/dmsg-discovery/"+path, body)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var no struct{ Message string }
		json.NewDecoder(resp.Body).Decode(&no)
		return refusal{resp.StatusCode, no.Message}
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func (c discoClient) get(pk PubKey) (e entry, err error) {
	err = c.do(http.MethodGet, "entry/"+pk.String(), nil, &e)
	return e, err
}

// publish keeps an entry alive until done is closed, and takes it out then.
func (c discoClient) publish(sk SecKey, e entry, done <-chan struct{}) {
	e.Version, e.Static = "0.0.1", sk.pub()
	for {
		old, err := c.get(e.Static)
		if err == nil {
			e.Sequence = old.Sequence + 1
		}
		e.Timestamp = time.Now().UnixNano()
		e.sign(sk)
		if err = c.do(http.MethodPost, "entry/", e, nil); err != nil {
			logf("entry not published: %v", err)
		}
		select {
		case <-done:
			e.Timestamp = time.Now().UnixNano()
			e.sign(sk)
			c.do(http.MethodDelete, "entry", e, nil)
			return
		case <-time.After(30 * time.Second):
		}
	}
}
