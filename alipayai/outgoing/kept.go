package outgoing

import (
	"bytes"
	"crypto/tls"
	"slices"
	"sync"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing/pool"
)

// Kept are the connections to one origin that outlive the Transports which make them. Transports have them in common where
// they show the same certificate and trust the same authorities: a certificate that has been replaced gets new connections.
// Its zero value is ready.
type Kept struct {
	mu    sync.Mutex
	pools []*keptPool
}

// keptPool has those of one TLS configuration.
type keptPool struct {
	pool.Pool
	config *tls.Config
	users  int
}

// hold gives the pool for a configuration. leave takes that back.
func (k *Kept) hold(config *tls.Config) *keptPool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.pools, func(p *keptPool) bool { return sameTLS(p.config, config) })
	if i < 0 {
		i = len(k.pools)
		k.pools = append(k.pools, &keptPool{config: config})
	}
	k.pools[i].users++
	return k.pools[i]
}

func (k *Kept) leave(p *keptPool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.users--; p.users == 0 {
		k.pools = slices.DeleteFunc(k.pools, func(other *keptPool) bool { return other == p })
	}
}

// sameTLS reports whether connections made by one configuration are what the other would make, as far as files and
// modules decide that. Functions cannot be compared, and count as different.
func sameTLS(a, b *tls.Config) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	for _, c := range []*tls.Config{a, b} {
		if c.GetClientCertificate != nil || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil {
			return false
		}
	}
	return a.ServerName == b.ServerName && a.InsecureSkipVerify == b.InsecureSkipVerify &&
		(a.RootCAs == nil) == (b.RootCAs == nil) && (a.RootCAs == nil || a.RootCAs.Equal(b.RootCAs)) &&
		slices.EqualFunc(a.Certificates, b.Certificates, func(x, y tls.Certificate) bool {
			return slices.EqualFunc(x.Certificate, y.Certificate, bytes.Equal)
		})
}
