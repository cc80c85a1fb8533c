package main

import (
	"fmt"
	"net"
	"net/rpc"
	"os"
)

const hypervisorPort = 46

// The argument of SetLANDmsgServer (dmsg 9): gob leaves out of a value what is empty, but not out of its type.
type lanServer struct {
	Enabled bool
	PK      PubKey
	Address string
}

type lanServerLater struct {
	Enabled       bool
	PK            PubKey
	Address       string
	PublicAddress string
	DiscoveryURL  string
}

// push tells a visor, which serves the calls on the stream that it dialled, of a LAN server. The stream lasts.
func push(conn net.Conn, from Addr, gen int, lan lanServer) error {
	var args interface{} = lan
	var taken bool
	if gen >= 2026 {
		args = lanServerLater{Enabled: lan.Enabled, PK: lan.PK, Address: lan.Address}
	}
	visor := rpc.NewClient(conn)
	if err := visor.Call("app-visor.SetLANDmsgServer", args, &taken); err != nil {
		return err
	}
	if !taken {
		return fmt.Errorf("%v did not take it", from.PK)
	}
	return nil
}

// Until the session ends; visors that dial port 46 are pushed the server, and each is told of on standard output.
func runHypervisor(o *options) error {
	pk, address, err := splitServer(*o.lan)
	if err != nil {
		return err
	}
	s, err := o.session(nil)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return newClient(o.sk, *o.gen, *o.pq).accept(s, hypervisorPort, func(conn net.Conn, from Addr) {
		if err := push(conn, from, *o.gen, lanServer{true, pk, address}); err != nil {
			fmt.Fprintln(os.Stderr, "push:", err)
			conn.Close()
			return
		}
		fmt.Println("pushed", from.PK)
	})
}
