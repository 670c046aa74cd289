package redistest

import (
	"net"
	"testing"
)

// Outage is a server that can be broken, in one of the ways in which Redis breaks,
// until it is healed. While it is broken no exchange that writes succeeds.
type Outage struct {
	// Addr is where the server is reached.
	Addr string
	// Break and Heal are called once each, in this order.
	Break, Heal func()
	// Reads says that what only reads is answered all the same, and Deletes that
	// scripts are whose first write deletes: Redis does not break off such a one
	// for want of memory.
	Reads, Deletes bool
	// Executes says that commands are executed, although no reply arrives.
	Executes bool
}

// Outages are all of them, by name. Each user of Redis runs through them and says
// what must hold.
func Outages() map[string]func(tb testing.TB) Outage {
	return map[string]func(tb testing.TB) Outage{
		"stopped": func(tb testing.TB) Outage {
			s := Start(tb)
			return Outage{Addr: s.Addr, Break: s.Pause, Heal: s.Resume}
		},
		"killed, restarted empty": func(tb testing.TB) Outage {
			s := Start(tb)
			return Outage{Addr: s.Addr, Break: s.Kill, Heal: s.Restart}
		},
		"black hole": relayed(func(r *Relay) { r.Swallow() }, Outage{}),
		"replies are lost with their connections": relayed(func(r *Relay) { r.LoseReplies() }, Outage{Executes: true}),
		"loading its data":                        relayed(func(r *Relay) { r.Answer("-LOADING Redis is loading the dataset in memory\r\n") }, Outage{}),
		"garbage":                                 relayed(func(r *Relay) { r.Answer("HTTP/1.1 400 Bad Request\r\n") }, Outage{}),
		"replies of another kind":                 relayed(func(r *Relay) { r.Answer("*1\r\n:7\r\n") }, Outage{}),
		"a replica of nothing": func(tb testing.TB) Outage {
			s := Start(tb)
			_, nowhere, _ := net.SplitHostPort(closed(tb))
			return Outage{
				Addr: s.Addr, Reads: true,
				Break: func() { s.must("REPLICAOF", "127.0.0.1", nowhere) },
				Heal:  func() { s.must("REPLICAOF", "NO", "ONE") },
			}
		},
		"out of memory": func(tb testing.TB) Outage {
			s := Start(tb, "--maxmemory-policy", "noeviction")
			return Outage{
				Addr: s.Addr, Reads: true, Deletes: true,
				Break: func() { s.must("CONFIG", "SET", "maxmemory", "1") },
				Heal:  func() { s.must("CONFIG", "SET", "maxmemory", "0") },
			}
		},
	}
}

// relayed makes an outage of a relay's.
func relayed(broken func(*Relay), o Outage) func(tb testing.TB) Outage {
	return func(tb testing.TB) Outage {
		r := StartRelay(tb, Start(tb).Addr)
		o.Addr, o.Break, o.Heal = r.Addr, func() { broken(r) }, r.Pass
		return o
	}
}

// closed is an address at which nothing listens, and nothing will.
func closed(tb testing.TB) string { return net.JoinHostPort("127.0.0.1", heldPort(tb)) }
